package payment

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/services/payment/provider"
)

// eventsOf is what the world is told of what was learnt.
func eventsOf(by change, e edit, was, p payment) []bus.Event {
	var events []bus.Event
	switch {
	case e.finding == lost && was.Last.State == opSent:
		events = append(events, event("unknown", p, &eventv1.PaymentUnknown{
			PaymentId: p.ID.String(), Reference: p.Reference, Amount: amountToProto(p.Last.Amount), Operation: string(p.Last.Op),
			ProviderKey: p.ProviderKey, ProviderChargeId: p.ChargeID, OperationKey: p.Last.Key,
		}))
	case was.Last.State == opUnknown && !p.Last.State.open():
		outcome := map[opState]string{opDone: "done", opDeclined: "declined"}[p.Last.State]
		if outcome == "" {
			outcome = "not found"
		}
		events = append(events, event("resolved", p, &eventv1.PaymentResolved{
			PaymentId: p.ID.String(), Reference: p.Reference, Operation: string(p.Last.Op), Outcome: outcome,
			Evidence: string(e.by), Amount: amountToProto(p.Last.Amount), ProviderKey: p.ProviderKey, ProviderChargeId: p.ChargeID,
			OperationKey: p.Last.Key, ProviderId: p.Last.ID,
		}))
	}
	if told := eventOf(by, p); told != nil {
		events = append(events, *told)
	}
	return events
}

// eventOf is what the world is told of a change of a payment by its last operation; nil for nothing.
func eventOf(by change, p payment) *bus.Event {
	paymentID := p.ID.String()
	var e bus.Event
	switch by {
	case changeAuthorize:
		e = event("authorized", p, &eventv1.PaymentAuthorized{
			PaymentId: paymentID, Reference: p.Reference, Amount: amountToProto(p.Amount), ProviderChargeId: p.ChargeID,
			ProviderKey: p.ProviderKey,
		})
	case changeCapture:
		told := &eventv1.PaymentCaptured{
			PaymentId: paymentID, Reference: p.Reference, Amount: amountToProto(p.Last.Amount), ProviderChargeId: p.ChargeID,
			ProviderKey: p.ProviderKey, BookTime: timestamppb.New(p.UpdatedAt),
		}
		if p.Last.Op == provider.Capture {
			told.ProviderCaptureId = p.Last.ID
		}
		e = event("captured", p, told)
	case changeDecline:
		e = event("declined", p, &eventv1.PaymentDeclined{
			PaymentId: paymentID, Reference: p.Reference, DeclineReason: p.DeclineReason, Amount: amountToProto(p.Amount),
			ProviderKey: p.ProviderKey, ProviderChargeId: p.Last.ID,
		})
	case changeRefundPart, changeRefundAll:
		e = event("refunded", p, &eventv1.PaymentRefunded{
			PaymentId: paymentID, Reference: p.Reference, Amount: amountToProto(p.Last.Amount), ProviderRefundId: p.Last.ID,
			ProviderChargeId: p.ChargeID, ProviderKey: p.ProviderKey, OperationKey: p.Last.Key, BookTime: timestamppb.New(p.UpdatedAt),
		})
	case changeVoid:
		e = event("voided", p, &eventv1.PaymentVoided{
			PaymentId: paymentID, Reference: p.Reference, Amount: amountToProto(p.Amount), ProviderKey: p.ProviderKey, ProviderChargeId: p.ChargeID,
		})
	default:
		return nil
	}
	return &e
}

// disputeEvent tells of a chargeback, or the reversal of one, that the provider told of.
func disputeEvent(p payment, told provider.Event) bus.Event {
	if told.Kind == provider.EventChargebackReversal {
		return event("chargeback_reversed", p, &eventv1.PaymentChargebackReversed{
			PaymentId: p.ID.String(), Reference: p.Reference, Amount: amountToProto(told.Amount), ProviderChargebackId: told.Outcome.ID,
			ProviderChargeId: p.ChargeID, ProviderKey: p.ProviderKey, Fee: feeToProto(told.Fee), BookTime: timestamppb.New(p.UpdatedAt),
		})
	}
	return event("chargeback", p, &eventv1.PaymentChargeback{
		PaymentId: p.ID.String(), Reference: p.Reference, Amount: amountToProto(told.Amount), ProviderChargebackId: told.Outcome.ID,
		ProviderChargeId: p.ChargeID, ProviderKey: p.ProviderKey, Fee: feeToProto(told.Fee), BookTime: timestamppb.New(p.UpdatedAt),
	})
}

func event(name string, p payment, payload proto.Message) bus.Event {
	return bus.Event{
		Service: "payment", Entity: "payment", Name: name,
		Subject: p.ID.String(), Reference: p.Reference, Data: bus.Payload(payload),
	}
}

// journalEvent tells of a journal that somebody has decided on.
func journalEvent(d decision, b booking) bus.Event {
	told := &eventv1.JournalPosted{
		JournalId: b.id.String(), Kind: d.kind.String(), Key: d.key, Reference: d.reference, Actor: d.caller, Reason: d.reason,
	}
	for _, p := range b.journal.Postings() {
		told.Postings = append(told.Postings, &eventv1.JournalPosting{Account: string(p.Account), Amount: amountToProto(p.Amount)})
	}
	return bus.Event{
		Service: "payment", Entity: "journal", Name: "posted",
		Subject: told.GetJournalId(), Reference: d.reference, Data: bus.Payload(told),
	}
}

// breakerEvent tells of a change of the breaker; who forced it, and why, where somebody did.
func breakerEvent(of string, state provider.BreakerState, h hold) bus.Event {
	told := &eventv1.BreakerChanged{Provider: of, State: state.String()}
	if state == provider.BreakerForcedOpen {
		told.Actor, told.Reason = h.Actor, h.Reason
	}
	return bus.Event{Service: "payment", Entity: "breaker", Name: "changed", Subject: of, Data: bus.Payload(told)}
}
