package payment

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/money"
)

func amountFromProto(a *commonv1.Amount) money.Amount {
	return money.Amount{Currency: money.Currency(a.GetCurrencyCode()), Minor: a.GetMinorUnits()}
}

func amountToProto(a money.Amount) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: string(a.Currency), MinorUnits: a.Minor}
}

// paymentToProto gives nil for none.
func paymentToProto(p *payment) *paymentv1.Payment {
	if p == nil {
		return nil
	}
	return &paymentv1.Payment{
		PaymentId: p.ID.String(), State: paymentv1.PaymentState(p.State), Amount: amountToProto(p.Amount),
		PaymentMethod: p.Method, CustomerId: p.CustomerID, Reference: p.Reference, ProviderKey: p.ProviderKey,
		ProviderChargeId: p.ChargeID, ProviderRefundId: p.RefundID, DeclineReason: p.DeclineReason,
		CreateTime: timestamppb.New(p.CreatedAt), UpdateTime: timestamppb.New(p.UpdatedAt),
	}
}
