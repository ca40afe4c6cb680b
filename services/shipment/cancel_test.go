package shipment

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

func (b bundle) mustCancel(t *testing.T, key string) *shipmentv1.Shipment {
	t.Helper()
	answer, err := b.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: key})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetShipment()
}

func TestCancel_UndoesTheScheduleOfTheSameKeyOnce(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	made := b.mustSchedule(t, key)
	b.mustSchedule(t, "saga/sag_2/ship")
	undone := b.mustCancel(t, key)
	if undone.GetShipmentId() != made.GetShipmentId() || undone.GetState() != shipmentv1.ShipmentState_SHIPMENT_STATE_CANCELLED ||
		undone.GetTrackingNumber() != made.GetTrackingNumber() {
		t.Errorf("got %v, want %s cancelled", undone, made.GetShipmentId())
	}
	if diff := cmp.Diff(undone, b.mustCancel(t, key), protocmp.Transform()); diff != "" {
		t.Errorf("cancelled again (-first +again):\n%s", diff)
	}
	if n := by.undone.Load(); n != 1 {
		t.Errorf("the carrier was asked %d times, want 1", n)
	}
	_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
	rpcerrtest.Want(t, err, rpcerr.StepTombstoned)
	if diff := cmp.Diff([]string{"4", "2"}, b.states(t)); diff != "" {
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"scheduled", "scheduled", "cancelled"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestCancel_ComingFirstRefusesTheScheduleForEver(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	for range 2 {
		if got := b.mustCancel(t, key); got != nil {
			t.Errorf("got %v, want nothing: there was nothing to cancel", got)
		}
		_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
		rpcerrtest.Want(t, err, rpcerr.StepTombstoned)
	}
	if n := by.booked.Load() + by.undone.Load(); n != 0 {
		t.Errorf("the carrier was asked %d times, want never", n)
	}
	if states, events := b.states(t), b.events(t); len(states)+len(events) != 0 {
		t.Errorf("got shipments %v and events %v, want none", states, events)
	}
}

func TestCancel_OfARefusedScheduleDoesNothing(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	_, err := b.Schedule(t.Context(), toSchedule(key, "XX"))
	rpcerrtest.Want(t, err, rpcerr.CarrierRefused)
	if got := b.mustCancel(t, key); got != nil {
		t.Errorf("got %v, want nothing", got)
	}
	if n := by.undone.Load(); n != 0 {
		t.Errorf("the carrier was asked %d times to undo what it refused", n)
	}
	if diff := cmp.Diff([]string{"3"}, b.states(t)); diff != "" {
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
}

func TestCancel_CoversAScheduleWhoseOutcomeIsNotKnown(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	by.answers.Store(2) // the booking's answer, and the first cancellation's
	b := setup(t, by)
	_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	_, err = b.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: key})
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	_, err = b.Schedule(t.Context(), toSchedule(key, "GB"))
	rpcerrtest.Want(t, err, rpcerr.StepTombstoned)

	if got := b.mustCancel(t, key); got.GetState() != shipmentv1.ShipmentState_SHIPMENT_STATE_CANCELLED || got.GetTrackingNumber() != "" {
		t.Errorf("got %v, want it cancelled without a tracking number", got)
	}
	if booked, undone := by.booked.Load(), by.undone.Load(); booked != 1 || undone != 2 {
		t.Errorf("the carrier was asked %d times to book and %d times to cancel, want 1 and 2", booked, undone)
	}
	if diff := cmp.Diff([]string{"cancelled"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestCancel_WaitsForAScheduleUnderWay(t *testing.T) {
	t.Parallel()
	by := newSlow()
	b := setup(t, by)
	scheduled := make(chan error, 1)
	go func() {
		_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
		scheduled <- err
	}()
	<-by.arrived
	_, err := b.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: key})
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyInFlight)
	close(by.released)
	if err := <-scheduled; err != nil {
		t.Fatal(err)
	}
	if got := b.mustCancel(t, key); got.GetState() != shipmentv1.ShipmentState_SHIPMENT_STATE_CANCELLED {
		t.Errorf("got %v, want it cancelled", got)
	}
}

func TestCancel_OfAnotherCallerIsAboutAnotherKey(t *testing.T) {
	t.Parallel()
	mine, theirs := request{caller: "orchestrator", key: key}, request{caller: "billing", key: key}
	if mine.carrierKey() == theirs.carrierKey() {
		t.Error("two callers share a key at the carrier")
	}
	if got := (request{caller: "orchestrator", key: key}).carrierKey(); got != mine.carrierKey() {
		t.Error("one request has two keys at the carrier")
	}
}

func TestShipment_TableRefusesStatesThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.Simulator{})
	b.mustSchedule(t, key)
	for _, impossible := range []string{
		`UPDATE shipment SET tracking_number = ''`,
		`UPDATE shipment SET refusal_reason = 'no'`,
		`UPDATE shipment SET state = 3, tracking_number = ''`,
		`UPDATE shipment SET state = 1`,
		`UPDATE shipment SET state = 5, tracking_number = ''`,
		`UPDATE shipment SET state = 10`,
	} {
		if _, err := b.db.Exec(t.Context(), impossible); err == nil {
			t.Errorf("%s was accepted", impossible)
		}
	}
}

func TestCancel_OfWhatTheCarrierHasIsRefused(t *testing.T) {
	t.Parallel()
	for name, inDoubt := range map[string]int32{"scheduled": 0, "of unknown outcome": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			by := newLedger(t)
			by.answers.Store(inDoubt)
			b := setup(t, by)
			_, _ = b.Schedule(t.Context(), toSchedule(key, "GB"))
			by.has.Store(true)
			for range 3 {
				_, err := b.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: key})
				rpcerrtest.Want(t, err, rpcerr.ShipmentHandedOver)
			}
			wantStatus(t, b.cancelBatch(t, &shipmentv1.CancelRequest{IdempotencyKey: key})[0].GetStatus(), rpcerr.ShipmentHandedOver)
			if n := by.undone.Load(); n != 1 {
				t.Errorf("the carrier was asked to cancel %d times, want 1: it has the parcel", n)
			}
			by.wantKnown(1)
			if got := b.rows(t, `SELECT state, tracking_number <> '' FROM shipment`); !cmp.Equal(got, []string{"5 true"}) {
				t.Errorf("got shipments %v, want one that is handed over and has a number", got)
			}
			want := map[string]int64{"scheduled": 1 - int64(inDoubt), "handed_over": 1}
			got := counts(b.events(t))
			if got["scheduled"] != want["scheduled"] || got["handed_over"] != 1 || got["cancelled"] != 0 {
				t.Errorf("events: got %v, want %v", got, want)
			}
		})
	}
}

func TestCancel_OfWhatIsKnownToBeHandedOverChangesNothing(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	made := b.mustSchedule(t, key)
	if _, err := b.db.Exec(t.Context(), `UPDATE shipment SET state = 5`); err != nil {
		t.Fatal(err)
	}
	before := b.rows(t, `SELECT i, s FROM idem i, shipment s`)
	for range 2 {
		_, err := b.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: key})
		rpcerrtest.Want(t, err, rpcerr.ShipmentHandedOver)
	}
	if diff := cmp.Diff(before, b.rows(t, `SELECT i, s FROM idem i, shipment s`)); diff != "" {
		t.Errorf("rows (-before +after):\n%s", diff)
	}
	if n := by.undone.Load(); n != 0 {
		t.Errorf("the carrier was asked %d times, want never", n)
	}
	if diff := cmp.Diff(made, b.mustSchedule(t, key), protocmp.Transform()); diff != "" {
		t.Errorf("scheduled again (-first +again):\n%s", diff)
	}
}
