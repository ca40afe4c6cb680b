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

// A saga went away while the outcome of what it asked for was not known.
func TestResolver_FindsOutWhatBecameOfASchedule(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	by.answers.Store(3)
	named := with("simulator", express, toSchedule(shipKey(3), "GB"))
	for _, r := range []*shipmentv1.ScheduleRequest{toSchedule(shipKey(1), "GB"), toSchedule(shipKey(2), "XX"), named} {
		_, err := b.Schedule(t.Context(), r)
		rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	}
	by.answers.Store(1) // of one look
	for range 3 {
		b.look(t)
	}
	if diff := cmp.Diff(map[string]int64{"2": 2, "3": 1}, counts(b.states(t))); diff != "" {
		t.Errorf("shipments by state (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"scheduled": 2, "refused": 1}, counts(b.events(t))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	b.mustSchedule(t, shipKey(1)) // the saga is back
	_, err := b.Schedule(t.Context(), toSchedule(shipKey(2), "XX"))
	rpcerrtest.Want(t, err, rpcerr.CarrierRefused)
	if n := by.booked.Load(); n != 3 {
		t.Errorf("the carrier was asked to book %d times, want 3: nothing is scheduled by looking", n)
	}
	by.wantKnown(2)
}

func TestResolver_NeverSchedulesNorCancelsWhatTheCarrierDoesNotKnow(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	by.calls.Store(1)
	_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	for range 3 {
		b.look(t)
	}
	if booked, undone := by.booked.Load(), by.undone.Load(); booked != 1 || undone != 0 {
		t.Errorf("the carrier was asked %d times to book and %d times to cancel, want 1 and 0", booked, undone)
	}
	if got := b.rows(t, `SELECT state, looks, look_at IS NULL FROM shipment`); !cmp.Equal(got, []string{"1 3 false"}) {
		t.Errorf("got %v, want it in doubt and looked at three times", got)
	}
	b.mustSchedule(t, key)
	by.wantKnown(1)
}

func TestResolver_EndsACancellationThatWasBegun(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*ledger){
		"not applied": func(l *ledger) { l.calls.Store(2) },
		"applied":     func(l *ledger) { l.answers.Store(2) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			by := newLedger(t)
			b := setup(t, by)
			b.mustSchedule(t, key)
			b.mustSchedule(t, shipKey(2))
			lose(by)
			_, err := b.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: key})
			rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
			for range 3 { // once without an answer
				b.look(t)
			}
			if diff := cmp.Diff([]string{"4", "2"}, b.states(t)); diff != "" {
				t.Errorf("shipments (-want +got):\n%s", diff)
			}
			if got := b.mustCancel(t, key); got.GetState() != shipmentv1.ShipmentState_SHIPMENT_STATE_CANCELLED {
				t.Errorf("got %v, want it cancelled", got)
			}
			if n := by.undone.Load(); n != 3 {
				t.Errorf("the carrier was asked to cancel %d times, want 3", n)
			}
			if diff := cmp.Diff(map[string]int64{"scheduled": 2, "cancelled": 1}, counts(b.events(t))); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolver_LeavesWhatSomebodyIsWorkingOn(t *testing.T) {
	t.Parallel()
	by := newSlow()
	b := setup(t, by)
	scheduled := make(chan error, 1)
	go func() {
		_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
		scheduled <- err
	}()
	<-by.arrived
	b.look(t)
	close(by.released)
	if err := <-scheduled; err != nil {
		t.Fatal(err)
	}
	if n := by.asked.Load(); n != 1 {
		t.Errorf("the carrier was asked %d times, want 1", n)
	}
}

// The process dies while the carrier is asked; the one after it resolves what nobody asks for any more.
func TestResolver_OfANewProcessGoesOn(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	by.answers.Store(1)
	_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	next := bundle{}
	next.start(t, b.db.Config().ConnString(), by)
	next.look(t)
	got := next.mustSchedule(t, key)
	if diff := cmp.Diff(got, b.mustSchedule(t, key), protocmp.Transform()); diff != "" {
		t.Errorf("the two processes differ (-new +old):\n%s", diff)
	}
	if n := by.booked.Load(); n != 1 {
		t.Errorf("the carrier was asked to book %d times, want 1", n)
	}
}

func TestResolver_LeavesShipmentsWhoseRequestIsNotKept(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.Simulator{})
	if _, err := b.db.Exec(t.Context(), `
		INSERT INTO shipment (id, state, reference, address, carrier_key) VALUES (gen_random_uuid(), 1, 'ord_0', '{}', 'k')`); err != nil {
		t.Fatal(err)
	}
	b.look(t)
	if diff := cmp.Diff([]string{"1"}, b.states(t)); diff != "" {
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
}
