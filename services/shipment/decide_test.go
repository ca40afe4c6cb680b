package shipment

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

func toCancel(key, shipmentID string) *shipmentv1.CancelShipmentRequest {
	return &shipmentv1.CancelShipmentRequest{IdempotencyKey: key, ShipmentId: shipmentID, Reason: "wrong address"}
}

// actions gives what operators did.
func (b bundle) actions(t *testing.T) []string {
	t.Helper()
	return b.rows(t, `SELECT actor, verb, reason FROM operator_action ORDER BY id`)
}

func TestCancelShipment_CancelsOnceWithAnAuditRow(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	made := b.mustSchedule(t, key)
	var answers []*shipmentv1.CancelShipmentResponse
	for range 2 {
		answer, err := b.CancelShipment(t.Context(), toCancel("cancel/1", made.GetShipmentId()))
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer)
	}
	if diff := cmp.Diff(answers[0], answers[1], protocmp.Transform()); diff != "" || answers[0].GetShipment().GetState() != 4 {
		t.Errorf("got %v, and again (-first +again):\n%s", answers[0], diff)
	}
	_, err := b.CancelShipment(t.Context(), toCancel("cancel/2", made.GetShipmentId()))
	rpcerrtest.Want(t, err, rpcerr.ShipmentStateRefused, "shipment_id")
	_, err = b.CancelShipment(t.Context(), toCancel("cancel/1", id.New[shipmentKind]().String()))
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "shipment_id")
	if diff := cmp.Diff([]string{"orchestrator cancel wrong address"}, b.actions(t)); diff != "" {
		t.Errorf("audit rows (-want +got):\n%s", diff)
	}
	if n := by.undone.Load(); n != 1 {
		t.Errorf("the carrier was asked %d times to cancel, want 1", n)
	}
	if diff := cmp.Diff(made, b.mustSchedule(t, key), protocmp.Transform()); diff != "" {
		t.Errorf("scheduled again (-first +again):\n%s", diff)
	}
	b.mustCancel(t, key) // the saga's, which finds it cancelled
	if diff := cmp.Diff([]string{"scheduled", "cancelled"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestCancelShipment_RefusesWhatIsNotScheduled(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	by.answers.Store(1)
	_, err := b.Schedule(t.Context(), toSchedule(shipKey(1), "GB")) // in doubt
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	_, err = b.Schedule(t.Context(), toSchedule(shipKey(2), "XX"))
	rpcerrtest.Want(t, err, rpcerr.CarrierRefused)
	handed := b.mustSchedule(t, shipKey(3)).GetShipmentId()
	if _, err := b.db.Exec(t.Context(), `UPDATE shipment SET state = 5 WHERE state = 2`); err != nil {
		t.Fatal(err)
	}
	ids := b.rows(t, `SELECT 'shp_' || id FROM shipment ORDER BY id`)
	before := b.rows(t, `SELECT s FROM shipment s ORDER BY id`)
	for name, c := range map[string]struct {
		request *shipmentv1.CancelShipmentRequest
		reason  rpcerr.Reason
		fields  []string
	}{
		"in doubt":         {toCancel("cancel/1", ids[0]), rpcerr.ShipmentStateRefused, []string{"shipment_id"}},
		"refused":          {toCancel("cancel/2", ids[1]), rpcerr.ShipmentStateRefused, []string{"shipment_id"}},
		"handed over":      {toCancel("cancel/3", handed), rpcerr.ShipmentHandedOver, nil},
		"unknown":          {toCancel("cancel/4", id.New[shipmentKind]().String()), rpcerr.NotFound, []string{"shipment_id"}},
		"no shipment's id": {toCancel("cancel/5", "ord_1"), rpcerr.NotFound, []string{"shipment_id"}},
		"no id":            {toCancel("cancel/6", ""), rpcerr.RequestInvalid, []string{"shipment_id"}},
		"no key":           {toCancel("", ids[0]), rpcerr.IdempotencyKeyMissing, []string{"idempotency_key"}},
		"no reason":        {&shipmentv1.CancelShipmentRequest{IdempotencyKey: "cancel/7", ShipmentId: ids[0]}, rpcerr.RequestInvalid, []string{"reason"}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				_, err := b.CancelShipment(t.Context(), c.request)
				rpcerrtest.Want(t, err, c.reason, c.fields...)
			}
		})
	}
	if diff := cmp.Diff(before, b.rows(t, `SELECT s FROM shipment s ORDER BY id`)); diff != "" || len(b.actions(t)) != 0 || by.undone.Load() != 0 {
		t.Errorf("got audit rows %v, and shipments (-before +after):\n%s", b.actions(t), diff)
	}
}

func TestCancelShipment_OfWhatTheCarrierHasIsRefused(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	made := b.mustSchedule(t, key)
	by.has.Store(true)
	for range 2 {
		_, err := b.CancelShipment(t.Context(), toCancel("cancel/1", made.GetShipmentId()))
		rpcerrtest.Want(t, err, rpcerr.ShipmentHandedOver)
	}
	if diff := cmp.Diff([]string{"scheduled", "handed_over"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if n := by.undone.Load(); n != 1 {
		t.Errorf("the carrier was asked %d times to cancel, want 1", n)
	}
}

func TestListShipments_GivesThoseOfAStateOrAnOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, newLedger(t))
	kept := b.mustSchedule(t, shipKey(1))
	b.mustSchedule(t, shipKey(2))
	b.mustCancel(t, shipKey(2))
	for _, c := range []struct {
		request *shipmentv1.ListShipmentsRequest
		want    int
	}{
		{&shipmentv1.ListShipmentsRequest{}, 2},
		{&shipmentv1.ListShipmentsRequest{State: 2}, 1},
		{&shipmentv1.ListShipmentsRequest{State: 2, Reference: kept.GetReference()}, 1},
		{&shipmentv1.ListShipmentsRequest{State: 7}, 0},
		{&shipmentv1.ListShipmentsRequest{Reference: "ord_9"}, 0},
	} {
		got, err := b.ListShipments(t.Context(), c.request)
		if err != nil || len(got.GetShipments()) != c.want {
			t.Errorf("%v: got %v and %v, want %d", c.request, got.GetShipments(), err, c.want)
		}
	}
	_, err := b.ListShipments(t.Context(), &shipmentv1.ListShipmentsRequest{State: 99})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "state")
}
