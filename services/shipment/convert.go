package shipment

import (
	"cmp"

	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/services/shipment/carrier"
)

func addressFromProto(a *commonv1.Address) carrier.Address {
	return carrier.Address{
		Name: a.GetName(), Street: a.GetStreet(), City: a.GetCity(), PostalCode: a.GetPostalCode(), Country: a.GetCountry(),
	}
}

func addressToProto(a carrier.Address) *commonv1.Address {
	return &commonv1.Address{Name: a.Name, Street: a.Street, City: a.City, PostalCode: a.PostalCode, Country: a.Country}
}

// levelFromProto gives the level that a request asks for.
func levelFromProto(l shipmentv1.ServiceLevel) carrier.Level {
	return cmp.Or(carrier.Level(l), carrier.Standard)
}

func shipmentToProto(sh shipment) *shipmentv1.Shipment {
	return &shipmentv1.Shipment{
		ShipmentId: sh.ID.String(), State: shipmentv1.ShipmentState(sh.State), Reference: sh.Reference,
		Address: addressToProto(sh.Address), TrackingNumber: sh.TrackingNumber, RefusalReason: sh.RefusalReason,
		Carrier: sh.Carrier, ServiceLevel: shipmentv1.ServiceLevel(sh.Level),
		CreateTime: timestamppb.New(sh.CreatedAt), UpdateTime: timestamppb.New(sh.UpdatedAt),
	}
}

func trackingEventToProto(e trackingEvent) *shipmentv1.TrackingEvent {
	return &shipmentv1.TrackingEvent{
		EventId: e.ID, State: shipmentv1.ShipmentState(e.State), Detail: e.Detail, Sequence: e.Seq,
		EventTime: timestamppb.New(e.At), CreateTime: timestamppb.New(e.CreatedAt),
	}
}
