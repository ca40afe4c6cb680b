package payment

import (
	"context"

	"google.golang.org/grpc"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/rpc"
)

// server is the gRPC face of the use cases.
type server struct {
	paymentv1.UnimplementedPaymentServiceServer
	payments *payments
}

// register serves the use cases on r.
func register(r grpc.ServiceRegistrar, p *payments) {
	paymentv1.RegisterPaymentServiceServer(r, &server{payments: p})
}

func requestOf(ctx context.Context, key string) request {
	return request{caller: rpc.Caller(ctx), key: key}
}

func (s *server) Charge(ctx context.Context, r *paymentv1.ChargeRequest) (*paymentv1.ChargeResponse, error) {
	p, err := s.payments.charge(ctx, chargeCommand{
		request: requestOf(ctx, r.GetIdempotencyKey()), amount: amountFromProto(r.GetAmount()),
		method: r.GetPaymentMethod(), customerID: r.GetCustomerId(), reference: r.GetReference(),
	})
	if err != nil {
		return nil, err
	}
	return &paymentv1.ChargeResponse{Payment: paymentToProto(p)}, nil
}

func (s *server) Refund(ctx context.Context, r *paymentv1.RefundRequest) (*paymentv1.RefundResponse, error) {
	p, err := s.payments.refund(ctx, requestOf(ctx, r.GetIdempotencyKey()))
	if err != nil || p == nil {
		return &paymentv1.RefundResponse{}, err
	}
	return &paymentv1.RefundResponse{Payment: paymentToProto(*p)}, nil
}

func (s *server) GetPayment(ctx context.Context, r *paymentv1.GetPaymentRequest) (*paymentv1.GetPaymentResponse, error) {
	p, err := s.payments.getPayment(ctx, r.GetPaymentId())
	if err != nil {
		return nil, err
	}
	return &paymentv1.GetPaymentResponse{Payment: paymentToProto(p)}, nil
}

func (s *server) ListPayments(ctx context.Context, r *paymentv1.ListPaymentsRequest) (*paymentv1.ListPaymentsResponse, error) {
	before, err := rpc.PageBefore[paymentKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	all, err := s.payments.listPayments(ctx, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(all, n, paymentToProto, (*paymentv1.Payment).GetPaymentId)
	return &paymentv1.ListPaymentsResponse{Payments: page, NextPageToken: next}, nil
}
