package shipment

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// with makes a request one for a carrier and a level.
func with(carrier string, level shipmentv1.ServiceLevel, r *shipmentv1.ScheduleRequest) *shipmentv1.ScheduleRequest {
	r.Carrier, r.ServiceLevel = carrier, level
	return r
}

const (
	standard = shipmentv1.ServiceLevel_SERVICE_LEVEL_STANDARD
	express  = shipmentv1.ServiceLevel_SERVICE_LEVEL_EXPRESS
)

func TestSchedule_KeepsCarrierAndLevel(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	for saga, c := range []struct {
		request *shipmentv1.ScheduleRequest
		carrier string
		level   shipmentv1.ServiceLevel
	}{
		{toSchedule(shipKey(0), "GB"), "simulator", standard},
		{with("simulator", express, toSchedule(shipKey(1), "GB")), "simulator", express},
		{with("economy", 0, toSchedule(shipKey(2), "GB")), "economy", standard},
	} {
		answer, err := b.Schedule(t.Context(), c.request)
		if err != nil {
			t.Fatal(err)
		}
		got := answer.GetShipment()
		if got.GetCarrier() != c.carrier || got.GetServiceLevel() != c.level {
			t.Errorf("request %d: got %s and %s, want %s and %s", saga, got.GetCarrier(), got.GetServiceLevel(), c.carrier, c.level)
		}
		read, err := b.GetShipment(t.Context(), &shipmentv1.GetShipmentRequest{ShipmentId: got.GetShipmentId()})
		if diff := cmp.Diff(got, read.GetShipment(), protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("as read again (-answered +read): %v\n%s", err, diff)
		}
	}
	if n := by.booked.Load(); n != 2 {
		t.Errorf("the default carrier was asked %d times, want 2", n)
	}
}

func TestSchedule_FromBeforeThereWereCarriersStaysTheSameRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.Simulator{})
	made := b.mustSchedule(t, key)
	// The request and the two fields that it had: SHA-256 over both, and eight bytes of each.
	if _, err := b.db.Exec(t.Context(), `UPDATE idem SET fingerprint = sha256('as it was') || substring(fingerprint FROM 33 FOR 16)`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, b.mustSchedule(t, key), protocmp.Transform()); diff != "" {
		t.Errorf("asked again (-first +again):\n%s", diff)
	}
	again, err := b.Schedule(t.Context(), with("", standard, toSchedule(key, "GB")))
	if diff := cmp.Diff(made, again.GetShipment(), protocmp.Transform()); err != nil || diff != "" {
		t.Errorf("asked again for standard (-first +again): %v\n%s", err, diff)
	}
	_, err = b.Schedule(t.Context(), with("economy", express, toSchedule(key, "GB")))
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "carrier", "service_level")
}

func TestSchedule_IsResumedWithTheCarrierItBeganWith(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	by.answers.Store(1)
	b := setup(t, by)
	_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	for _, c := range []string{"gone", "economy"} { // the default was another one then
		if _, err := b.db.Exec(t.Context(), `UPDATE shipment SET carrier = $1`, c); err != nil {
			t.Fatal(err)
		}
		if c == "gone" {
			_, err = b.Schedule(t.Context(), toSchedule(key, "GB"))
			rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
		}
	}
	if got := b.mustSchedule(t, key); got.GetCarrier() != "economy" {
		t.Errorf("got %v, want it with economy", got)
	}
	b.mustCancel(t, key)
	if booked, undone := by.booked.Load(), by.undone.Load(); booked != 1 || undone != 0 {
		t.Errorf("the default carrier was asked %d times to book and %d times to cancel, want 1 and 0", booked, undone)
	}
}

func TestSchedule_RefusesWhatNoCarrierDoes(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	long := func(change func(*shipmentv1.ScheduleRequest)) *shipmentv1.ScheduleRequest {
		r := toSchedule(key, "GB")
		change(r)
		return r
	}
	cases := map[string]struct {
		request *shipmentv1.ScheduleRequest
		reason  rpcerr.Reason
		field   string
	}{
		"unknown carrier":       {with("pigeon", 0, toSchedule(shipKey(1), "GB")), rpcerr.CarrierUnknown, "carrier"},
		"level not offered":     {with("economy", express, toSchedule(shipKey(2), "GB")), rpcerr.ServiceLevelNotOffered, "service_level"},
		"unknown level":         {with("", 9, toSchedule(key, "GB")), rpcerr.RequestInvalid, "service_level"},
		"over-long carrier":     {with(strings.Repeat("c", 65), 0, toSchedule(key, "GB")), rpcerr.RequestInvalid, "carrier"},
		"empty address":         {long(func(r *shipmentv1.ScheduleRequest) { r.Address.Reset() }), rpcerr.RequestInvalid, "address.country"},
		"empty country":         {toSchedule(key, ""), rpcerr.RequestInvalid, "address.country"},
		"over-long name":        {long(func(r *shipmentv1.ScheduleRequest) { r.Address.Name = strings.Repeat("n", 201) }), rpcerr.RequestInvalid, "address.name"},
		"over-long street":      {long(func(r *shipmentv1.ScheduleRequest) { r.Address.Street = strings.Repeat("s", 501) }), rpcerr.RequestInvalid, "address.street"},
		"over-long city":        {long(func(r *shipmentv1.ScheduleRequest) { r.Address.City = strings.Repeat("c", 201) }), rpcerr.RequestInvalid, "address.city"},
		"over-long postal code": {long(func(r *shipmentv1.ScheduleRequest) { r.Address.PostalCode = strings.Repeat("p", 21) }), rpcerr.RequestInvalid, "address.postal_code"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				_, err := b.Schedule(t.Context(), c.request)
				rpcerrtest.Want(t, err, c.reason, c.field)
			}
			wantStatus(t, b.scheduleBatch(t, c.request)[0].GetStatus(), c.reason, "requests[0]."+c.field)
		})
	}
	if states, events := b.states(t), b.events(t); len(states)+len(events) != 0 || by.booked.Load() != 0 {
		t.Errorf("got shipments in states %v and events %v, and the carrier was asked %d times; want none", states, events, by.booked.Load())
	}
	if got := b.mustCancel(t, shipKey(1)); got != nil { // what was refused has nothing to undo
		t.Errorf("cancelled %v, want nothing", got)
	}
}
