package orchestrator

import (
	"google.golang.org/protobuf/proto"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

func eventPlaced(p placing) bus.Event {
	o := p.order
	return event("placed", o.id, p.traceparent, &eventv1.OrderPlaced{
		OrderId: o.id.String(), SagaId: o.sagaID.String(), CustomerId: o.customerID, Total: amountToProto(o.total),
	})
}

// eventsOf are the events that others need of a saga's: one per change of its phase. The cause is the saga's after
// them.
func eventsOf(v sagaView, recorded []saga.Event, cause string) []bus.Event {
	var out []bus.Event
	orderID, sagaID := v.orderID.String(), v.id.String()
	for _, e := range recorded {
		switch e.Type {
		case saga.CompensationDecided:
			out = append(out, event("compensating", v.orderID, v.traceparent, &eventv1.OrderCompensating{OrderId: orderID, SagaId: sagaID, Cause: cause}))
		case saga.SagaCompleted:
			out = append(out, event("completed", v.orderID, v.traceparent, &eventv1.OrderCompleted{OrderId: orderID, SagaId: sagaID}))
		case saga.SagaCompensated:
			out = append(out, event("compensated", v.orderID, v.traceparent, &eventv1.OrderCompensated{OrderId: orderID, SagaId: sagaID, Cause: cause}))
		case saga.SagaParked:
			out = append(out, event("parked", v.orderID, v.traceparent, &eventv1.OrderParked{OrderId: orderID, SagaId: sagaID, Cause: cause}))
		}
	}
	return out
}

func event(name string, orderID OrderID, traceparent string, payload proto.Message) bus.Event {
	return bus.Event{
		Traceparent: traceparent,
		Service:     serviceName, Entity: "order", Name: name,
		Subject: orderID.String(), Reference: orderID.String(), Data: bus.Payload(payload),
	}
}
