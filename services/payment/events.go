package payment

import (
	"google.golang.org/protobuf/proto"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/bus"
)

// eventOf is what the world is told of a change.
func eventOf(by change, p payment) bus.Event {
	paymentID := p.ID.String()
	switch by {
	case changeCapture:
		return event("captured", p, &eventv1.PaymentCaptured{
			PaymentId: paymentID, Reference: p.Reference, Amount: amountToProto(p.Amount), ProviderChargeId: p.ChargeID,
		})
	case changeDecline:
		return event("declined", p, &eventv1.PaymentDeclined{
			PaymentId: paymentID, Reference: p.Reference, DeclineReason: p.DeclineReason,
		})
	case changeLose:
		return event("unknown", p, &eventv1.PaymentUnknown{
			PaymentId: paymentID, Reference: p.Reference, Amount: amountToProto(p.Amount),
		})
	case changeRefund:
		return event("refunded", p, &eventv1.PaymentRefunded{
			PaymentId: paymentID, Reference: p.Reference, Amount: amountToProto(p.Amount), ProviderRefundId: p.RefundID,
		})
	case changeVoid:
		return event("voided", p, &eventv1.PaymentVoided{PaymentId: paymentID, Reference: p.Reference})
	}
	panic("payment: no event for change " + string(by)) // changes are the constants of state.go
}

func event(name string, p payment, payload proto.Message) bus.Event {
	return bus.Event{
		Service: "payment", Entity: "payment", Name: name,
		Subject: p.ID.String(), Reference: p.Reference, Data: bus.Payload(payload),
	}
}
