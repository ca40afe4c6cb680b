package orchestrator

import (
	"encoding/json"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

func eventPlaced(p placing) bus.Event {
	o := p.order
	e := event("order", "placed", o.reference, p.Trace(), &eventv1.OrderPlaced{
		OrderId: o.id.String(), SagaId: o.sagaID.String(), CustomerId: o.customerID, Total: amountToProto(o.total),
	})
	e.SagaID = o.sagaID.String()
	return e
}

// eventsOf are the events that others need of a saga's: one per change of its phase.
func eventsOf(t transition) []bus.Event {
	if t.view.definition.name == recurring {
		return eventsOfRecurring(t)
	}
	var out []bus.Event
	orderID, sagaID, cause := t.view.subjectID(), t.view.id.String(), t.after.cause
	tell := func(name string, payload proto.Message) {
		out = append(out, event("order", name, orderID, t.Trace(), payload))
	}
	for _, e := range t.events {
		switch e.Type {
		case saga.CompensationDecided:
			tell("compensating", &eventv1.OrderCompensating{OrderId: orderID, SagaId: sagaID, Cause: cause})
		case saga.SagaCompleted:
			tell("completed", &eventv1.OrderCompleted{OrderId: orderID, SagaId: sagaID})
		case saga.SagaCompensated:
			tell("compensated", &eventv1.OrderCompensated{OrderId: orderID, SagaId: sagaID, Cause: cause})
		case saga.SagaParked:
			tell("parked", &eventv1.OrderParked{OrderId: orderID, SagaId: sagaID, Cause: cause})
		}
	}
	return out
}

// eventsOfRecurring tell how a recurring payment ends, with what was answered to its charge.
func eventsOfRecurring(t transition) []bus.Event {
	var out []bus.Event
	rid, sagaID, cause := t.view.subjectID(), t.view.id.String(), t.after.cause
	tell := func(name string, payload proto.Message) {
		out = append(out, event(recurring, name, rid, t.Trace(), payload))
	}
	var charge saga.StepState
	if len(t.state.Steps) > 0 { // a history that cannot be read has none
		charge = t.state.Steps[0]
	}
	for _, e := range t.events {
		switch e.Type {
		case saga.SagaCompleted:
			tell("completed", &eventv1.RecurringPaymentCompleted{
				RecurringPaymentId: rid, SagaId: sagaID, Reference: t.view.reference, PaymentId: paymentOf(charge.Result),
			})
		case saga.SagaCompensated:
			tell("compensated", &eventv1.RecurringPaymentCompensated{
				RecurringPaymentId: rid, SagaId: sagaID, Reference: t.view.reference, PaymentId: charge.Info.Resource, Reason: charge.Info.Reason,
				DeclineReason: charge.Info.Metadata["declineReason"], Cause: cause,
			})
		case saga.SagaParked:
			tell("parked", &eventv1.RecurringPaymentParked{
				RecurringPaymentId: rid, SagaId: sagaID, Reference: t.view.reference, Cause: cause,
			})
		}
	}
	return out
}

// paymentOf reads the payment out of what the charge step answered; a step that a person has resolved has none.
func paymentOf(result json.RawMessage) string {
	var c charged
	if json.Unmarshal(result, &c) != nil {
		return ""
	}
	return c.PaymentID
}

func event(entity, name, subject, traceparent string, payload proto.Message) bus.Event {
	return bus.Event{
		Traceparent: traceparent,
		Service:     serviceName, Entity: entity, Name: name, Subject: subject, Reference: subject, Data: bus.Payload(payload),
	}
}
