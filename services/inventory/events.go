package inventory

import (
	"google.golang.org/protobuf/proto"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/inventory/stock"
)

func eventReceived(receipt string, lines []stock.Line) bus.Event {
	return event("stock", "received", receipt, "", &eventv1.StockReceived{Lines: quantities(lines)})
}

func eventAdjusted(adjustment string, l stock.Line, reason string) bus.Event {
	return event("stock", "adjusted", adjustment, "", &eventv1.StockAdjusted{Sku: l.SKU, Quantity: l.Quantity, Reason: reason})
}

func eventHeld(r reservation) bus.Event {
	return event("reservation", "held", r.ID.String(), r.Reference, &eventv1.StockReserved{
		ReservationId: r.ID.String(), Reference: r.Reference, Lines: quantities(r.Lines),
	})
}

func eventReleased(r reservation) bus.Event {
	return event("reservation", "released", r.ID.String(), r.Reference,
		&eventv1.StockReleased{ReservationId: r.ID.String(), Reference: r.Reference})
}

func eventCommitted(r reservation) bus.Event {
	return event("reservation", "committed", r.ID.String(), r.Reference,
		&eventv1.StockCommitted{ReservationId: r.ID.String(), Reference: r.Reference})
}

func eventExpired(r reservation) bus.Event {
	return event("reservation", "expired", r.ID.String(), r.Reference,
		&eventv1.StockExpired{ReservationId: r.ID.String(), Reference: r.Reference})
}

func quantities(lines []stock.Line) []*eventv1.StockQuantity {
	out := make([]*eventv1.StockQuantity, len(lines))
	for i, l := range lines {
		out[i] = &eventv1.StockQuantity{Sku: l.SKU, Quantity: l.Quantity}
	}
	return out
}

func event(entity, name, subject, reference string, payload proto.Message) bus.Event {
	return bus.Event{
		Service: "inventory", Entity: entity, Name: name,
		Subject: subject, Reference: reference, Data: bus.Payload(payload),
	}
}

// in gives an event the trace and the saga of the request that caused it: the batch that writes it has none.
func (r request) in(e bus.Event) bus.Event {
	e.Traceparent, e.SagaID = r.traceparent, telemetry.SagaOf(r.key)
	return e
}
