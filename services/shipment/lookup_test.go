package shipment

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

func (b bundle) lookUp(t *testing.T, requests ...*shipmentv1.ScheduleRequest) []*shipmentv1.BatchScheduleResponse_Result {
	t.Helper()
	answer, err := b.BatchLookUpSchedule(t.Context(), &shipmentv1.BatchLookUpScheduleRequest{Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetResults()) != len(requests) {
		t.Fatalf("%d results for %d requests", len(answer.GetResults()), len(requests))
	}
	return answer.GetResults()
}

func TestLookUp_GivesWhatWasAnswered(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	made := b.scheduleBatch(t, of(7, toSchedule(shipKey(1), "GB")))[0].GetResponse()
	_, err := b.Schedule(t.Context(), toSchedule(shipKey(2), "XX"))
	first := rpcerrtest.Want(t, err, rpcerr.CarrierRefused)
	b.mustCancel(t, shipKey(3))
	got := b.lookUp(t, toSchedule(shipKey(1), "GB"), toSchedule(shipKey(2), "XX"), toSchedule(shipKey(3), "GB"),
		toSchedule(shipKey(1), "FR"), of(6, toSchedule(shipKey(1), "GB")), toSchedule("short", "GB"))
	if diff := cmp.Diff(made, got[0].GetResponse(), protocmp.Transform()); diff != "" || !got[0].GetReplayed() {
		t.Errorf("scheduled (-answered +looked up):\n%s", diff)
	}
	if diff := cmp.Diff(first, wantStatus(t, got[1].GetStatus(), rpcerr.CarrierRefused)); diff != "" {
		t.Errorf("refused (-answered +looked up):\n%s", diff)
	}
	wantStatus(t, got[2].GetStatus(), rpcerr.StepTombstoned)
	wantStatus(t, got[3].GetStatus(), rpcerr.IdempotencyKeyReused, "address")
	wantStatus(t, got[4].GetStatus(), rpcerr.EpochStale)
	wantStatus(t, got[5].GetStatus(), rpcerr.IdempotencyKeyInvalid, "requests[5].idempotency_key")
	if n := by.looked.Load(); n != 0 {
		t.Errorf("the carrier was asked %d times about what is known", n)
	}
}

func TestLookUp_OfWhatWasNeverSeenLeavesNothing(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	for range 2 {
		for i, r := range b.lookUp(t, toSchedule(shipKey(1), "GB"), toSchedule(shipKey(2), "XX")) {
			wantStatus(t, r.GetStatus(), rpcerr.NotFound, fmt.Sprintf("requests[%d].idempotency_key", i))
		}
	}
	if got := b.rows(t, `SELECT key FROM idem UNION ALL SELECT reference FROM shipment`); len(got) != 0 {
		t.Errorf("got rows %v, want none", got)
	}
	b.mustSchedule(t, shipKey(1)) // one that was still travelling
	if got := b.lookUp(t, toSchedule(shipKey(1), "GB"))[0]; got.GetResponse().GetShipment().GetTrackingNumber() == "" {
		t.Errorf("got %v, want it scheduled", got)
	}
	if n := by.looked.Load(); n != 0 {
		t.Errorf("the carrier was asked %d times about what is known", n)
	}
}

func TestLookUp_AfterALostAnswerConcludesWhatTheCarrierDid(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	by.answers.Store(2)
	for saga, country := range map[int]string{1: "GB", 2: "XX"} {
		_, err := b.Schedule(t.Context(), toSchedule(shipKey(saga), country))
		rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	}
	by.answers.Store(1)
	lost := b.lookUp(t, toSchedule(shipKey(1), "GB"))[0] // the look-up's answer is lost as well
	if e := wantStatus(t, lost.GetStatus(), rpcerr.CarrierOutcomeUnknown); e.RetryAfter <= 0 {
		t.Errorf("got %v, want it to say when to ask again", e)
	}
	got := b.lookUp(t, toSchedule(shipKey(1), "GB"), toSchedule(shipKey(2), "XX"))
	if got[0].GetResponse().GetShipment().GetTrackingNumber() == "" || got[0].GetReplayed() {
		t.Errorf("got %v, want it scheduled, and told for the first time", got[0])
	}
	wantStatus(t, got[1].GetStatus(), rpcerr.CarrierRefused)
	if diff := cmp.Diff(got[0].GetResponse().GetShipment(), b.mustSchedule(t, shipKey(1)), protocmp.Transform()); diff != "" {
		t.Errorf("scheduled again (-looked up +again):\n%s", diff)
	}
	if booked, looked := by.booked.Load(), by.looked.Load(); booked != 2 || looked != 3 {
		t.Errorf("the carrier was asked %d times to book and %d times about it, want 2 and 3", booked, looked)
	}
	by.wantKnown(1)
	if diff := cmp.Diff(map[string]int64{"scheduled": 1, "refused": 1}, counts(b.events(t))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestLookUp_OfACallThatWasLostIsNotFoundAndScheduledAgain(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	by.calls.Store(1)
	_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	for range 2 {
		wantStatus(t, b.lookUp(t, toSchedule(key, "GB"))[0].GetStatus(), rpcerr.NotFound, "requests[0].idempotency_key")
	}
	if diff := cmp.Diff([]string{"1"}, b.states(t)); diff != "" {
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
	b.mustSchedule(t, key)
	by.wantKnown(1)
	if diff := cmp.Diff([]string{"scheduled"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A schedule that was asked for before it was looked up, and reaches the carrier after that, is the same intent.
func TestLookUp_BeforeALateBookingIsHarmless(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	by.holding = make(chan struct{})
	b := setup(t, by)
	late := make(chan error, 1)
	go func() {
		_, err := b.Schedule(t.Context(), toSchedule(key, "FR"))
		late <- err
	}()
	b.awaitLease(t, methodSchedule)
	b.endLease(t, methodSchedule)
	wantStatus(t, b.lookUp(t, toSchedule(key, "FR"))[0].GetStatus(), rpcerr.NotFound, "requests[0].idempotency_key")
	close(by.holding)
	rpcerrtest.Want(t, <-late, rpcerr.CarrierOutcomeUnknown) // the look-up took its claim over
	got := b.scheduleBatch(t, toSchedule(key, "FR"))[0].GetResponse().GetShipment()
	want, err := carrier.Simulator{}.Book(t.Context(), carrier.Booking{Key: request{caller: "orchestrator", key: key}.carrierKey()})
	if err != nil || got.GetTrackingNumber() != want {
		t.Errorf("got tracking number %q, want %q, which the first booking was given (%v)", got.GetTrackingNumber(), want, err)
	}
	by.wantKnown(1)
	if diff := cmp.Diff([]string{"scheduled"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
