package shipment

import (
	"google.golang.org/protobuf/proto"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/bus"
)

// eventOf is the event of what became of a shipment.
func eventOf(sh shipment) bus.Event {
	switch sh.State {
	case scheduled:
		return event("scheduled", sh, &eventv1.ShipmentScheduled{
			ShipmentId: sh.ID.String(), Reference: sh.Reference, TrackingNumber: sh.TrackingNumber,
			Carrier: sh.Carrier, ServiceLevel: sh.Level.String(),
		})
	case refused:
		return event("refused", sh, &eventv1.ShipmentRefused{
			ShipmentId: sh.ID.String(), Reference: sh.Reference, RefusalReason: sh.RefusalReason,
		})
	case handedOver:
		return event("handed_over", sh, &eventv1.ShipmentHandedOver{ShipmentId: sh.ID.String(), Reference: sh.Reference, TrackingNumber: sh.TrackingNumber})
	case inTransit:
		return event("in_transit", sh, &eventv1.ShipmentInTransit{ShipmentId: sh.ID.String(), Reference: sh.Reference, TrackingNumber: sh.TrackingNumber})
	case delivered:
		return event("delivered", sh, &eventv1.ShipmentDelivered{ShipmentId: sh.ID.String(), Reference: sh.Reference, TrackingNumber: sh.TrackingNumber})
	case returned:
		return event("returned", sh, &eventv1.ShipmentReturned{ShipmentId: sh.ID.String(), Reference: sh.Reference, TrackingNumber: sh.TrackingNumber})
	case lost:
		return event("lost", sh, &eventv1.ShipmentLost{ShipmentId: sh.ID.String(), Reference: sh.Reference, TrackingNumber: sh.TrackingNumber})
	default:
		return event("cancelled", sh, &eventv1.ShipmentCancelled{ShipmentId: sh.ID.String(), Reference: sh.Reference})
	}
}

func event(name string, sh shipment, payload proto.Message) bus.Event {
	return bus.Event{
		Service: "shipment", Entity: "shipment", Name: name,
		Subject: sh.ID.String(), Reference: sh.Reference, Data: bus.Payload(payload),
	}
}
