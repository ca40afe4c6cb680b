package shipment

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

func TestSchedule_BooksAndTellsWithOneEvent(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.Simulator{})
	got := b.mustSchedule(t, key)

	want := &shipmentv1.Shipment{State: shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULED, Reference: "ord_1", Address: address("GB"),
		Carrier: "simulator", ServiceLevel: standard}
	if diff := cmp.Diff(want, got, protocmp.Transform(),
		protocmp.IgnoreFields(want, "shipment_id", "tracking_number", "create_time", "update_time")); diff != "" {
		t.Errorf("shipment (-want +got):\n%s", diff)
	}
	if got.GetTrackingNumber() == "" || got.GetUpdateTime().AsTime().Before(got.GetCreateTime().AsTime()) {
		t.Errorf("got %v, want a tracking number and times in order", got)
	}
	read, err := b.GetShipment(t.Context(), &shipmentv1.GetShipmentRequest{ShipmentId: got.GetShipmentId()})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, read.GetShipment(), protocmp.Transform()); diff != "" {
		t.Errorf("shipment as read again (-answered +read):\n%s", diff)
	}

	var name, subject, reference string
	var data []byte
	if err := b.db.QueryRow(t.Context(), `SELECT name, subject, reference, data FROM outbox`).Scan(&name, &subject, &reference, &data); err != nil {
		t.Fatal(err)
	}
	var event eventv1.ShipmentScheduled
	if err := proto.Unmarshal(data, &event); err != nil {
		t.Fatal(err)
	}
	if name != "scheduled" || subject != got.GetShipmentId() || reference != "ord_1" {
		t.Errorf("got event %s of %s for %s", name, subject, reference)
	}
	wantEvent := &eventv1.ShipmentScheduled{ShipmentId: got.GetShipmentId(), Reference: "ord_1", TrackingNumber: got.GetTrackingNumber(),
		Carrier: "simulator", ServiceLevel: "standard"}
	if diff := cmp.Diff(wantEvent, &event, protocmp.Transform()); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestSchedule_RefusalIsKeptAndGivenAgain(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	_, err := b.Schedule(t.Context(), toSchedule(key, "XX"))
	first := rpcerrtest.Want(t, err, rpcerr.CarrierRefused)

	var header metadata.MD
	_, err = b.Schedule(t.Context(), toSchedule(key, "XX"), grpc.Header(&header))
	again := rpcerrtest.Want(t, err, rpcerr.CarrierRefused)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("refusal given again (-first +again):\n%s", diff)
	}
	if got := header.Get("idempotency-replayed"); !cmp.Equal(got, []string{"true"}) {
		t.Errorf("got header idempotency-replayed %q, want true", got)
	}
	if n := by.booked.Load(); n != 1 {
		t.Errorf("the carrier was asked %d times, want 1", n)
	}
	got := b.rows(t, `SELECT state, refusal_reason, tracking_number FROM shipment`)
	if diff := cmp.Diff([]string{"3 no delivery to country XX "}, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"refused"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSchedule_ParallelDuplicatesMakeOneShipment(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	const callers = 16
	answers, errs := make([]*shipmentv1.ScheduleResponse, callers), make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { answers[i], errs[i] = b.Schedule(t.Context(), toSchedule(key, "GB")) })
	}
	wg.Wait()
	for i := range callers {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if diff := cmp.Diff(answers[0], answers[i], protocmp.Transform()); diff != "" {
			t.Errorf("answers to one request differ (-first +other):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"2"}, b.states(t)); diff != "" {
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
	if n := by.booked.Load(); n != 1 {
		t.Errorf("the carrier was asked %d times, want 1", n)
	}
	if diff := cmp.Diff([]string{"scheduled"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSchedule_KeyReusedNamesTheFieldsThatDiffer(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.Simulator{})
	b.mustSchedule(t, key)
	elsewhere := toSchedule(key, "GB")
	elsewhere.Address.City = "Leeds"
	other := toSchedule(key, "FR")
	other.Reference = "ord_2"
	for _, c := range []struct {
		request *shipmentv1.ScheduleRequest
		fields  []string
	}{{elsewhere, []string{"address"}}, {other, []string{"reference", "address"}}} {
		_, err := b.Schedule(t.Context(), c.request)
		rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, c.fields...)
	}
	if diff := cmp.Diff([]string{"2"}, b.states(t)); diff != "" {
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
}

func TestSchedule_LostAnswerIsUnknownAndAskedForAgain(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	by.answers.Store(2)
	b := setup(t, by)
	for range 2 {
		_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
		if e := rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown); e.RetryAfter <= 0 {
			t.Errorf("got %v, want it to say when to ask again", e)
		}
		if diff := cmp.Diff([]string{"1"}, b.states(t)); diff != "" {
			t.Errorf("shipments (-want +got):\n%s", diff)
		}
	}
	got := b.mustSchedule(t, key)
	want, err := carrier.Simulator{}.Book(t.Context(), carrier.Booking{Key: request{caller: "orchestrator", key: key}.carrierKey()})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetTrackingNumber() != want {
		t.Errorf("got tracking number %s, want %s, which the first attempt was given", got.GetTrackingNumber(), want)
	}
	if diff := cmp.Diff([]string{"scheduled"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSchedule_IsResumedAfterTheLease(t *testing.T) {
	t.Parallel()
	by := newSlow()
	b := setup(t, by)
	overtaken := make(chan error, 1)
	go func() {
		_, err := b.Schedule(t.Context(), toSchedule(key, "GB"))
		overtaken <- err
	}()
	<-by.arrived
	b.endLease(t, methodSchedule)
	resumed := b.mustSchedule(t, key)

	close(by.released)
	rpcerrtest.Want(t, <-overtaken, rpcerr.CarrierOutcomeUnknown) // its outcome is the other's to tell
	if diff := cmp.Diff(resumed, b.mustSchedule(t, key), protocmp.Transform()); diff != "" {
		t.Errorf("the answer changed (-resumed +again):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"2"}, b.states(t)); diff != "" {
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"scheduled"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSchedule_AnswerIsKeptWhenTheCallerHasLeft(t *testing.T) {
	t.Parallel()
	by := newSlow()
	b := setup(t, by)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := b.Schedule(ctx, toSchedule(key, "GB"))
		left <- err
	}()
	<-by.arrived
	leave()
	if err := <-left; err == nil {
		t.Fatal("the caller was answered after it had left")
	}
	close(by.released)
	if got := b.mustSchedule(t, key); got.GetTrackingNumber() == "" {
		t.Errorf("got %v, want it scheduled", got)
	}
	if n := by.asked.Load(); n != 1 {
		t.Errorf("the carrier was asked %d times, want 1: its answer was lost", n)
	}
}

func TestSchedule_RefusesWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.Simulator{})
	for name, c := range map[string]struct {
		request *shipmentv1.ScheduleRequest
		reason  rpcerr.Reason
		field   string
	}{
		"no key":       {toSchedule("", "GB"), rpcerr.IdempotencyKeyMissing, "idempotency_key"},
		"no address":   {&shipmentv1.ScheduleRequest{IdempotencyKey: key, Reference: "ord_1"}, rpcerr.RequestInvalid, "address"},
		"no reference": {&shipmentv1.ScheduleRequest{IdempotencyKey: key, Address: address("GB")}, rpcerr.RequestInvalid, "reference"},
		"no country":   {toSchedule(key, "Britain"), rpcerr.RequestInvalid, "address.country"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Schedule(t.Context(), c.request)
			rpcerrtest.Want(t, err, c.reason, c.field)
		})
	}
	if got := b.states(t); len(got) != 0 {
		t.Errorf("got shipments in states %v, want none", got)
	}
}
