package shipment

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

func shipKey(saga int) string { return fmt.Sprintf("saga/sag_%d/ship", saga) }

func (b bundle) scheduleBatch(t *testing.T, requests ...*shipmentv1.ScheduleRequest) []*shipmentv1.BatchScheduleResponse_Result {
	t.Helper()
	answer, err := b.BatchSchedule(t.Context(), &shipmentv1.BatchScheduleRequest{Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetResults()) != len(requests) {
		t.Fatalf("%d results for %d requests", len(answer.GetResults()), len(requests))
	}
	return answer.GetResults()
}

func (b bundle) cancelBatch(t *testing.T, requests ...*shipmentv1.CancelRequest) []*shipmentv1.BatchCancelResponse_Result {
	t.Helper()
	answer, err := b.BatchCancel(t.Context(), &shipmentv1.BatchCancelRequest{Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetResults()) != len(requests) {
		t.Fatalf("%d results for %d requests", len(answer.GetResults()), len(requests))
	}
	return answer.GetResults()
}

func wantStatus(t *testing.T, s *spb.Status, reason rpcerr.Reason, fields ...string) *rpcerr.Error {
	t.Helper()
	return rpcerrtest.Want(t, status.FromProto(s).Err(), reason, fields...)
}

// of makes a request one of a saga's owner.
func of(epoch int64, r *shipmentv1.ScheduleRequest) *shipmentv1.ScheduleRequest {
	r.Origin = &commonv1.Origin{Epoch: epoch}
	return r
}

func TestBatchSchedule_AnswersEachByItself(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	before := b.scheduleBatch(t, of(7, toSchedule(shipKey(0), "GB")))[0]
	b.mustCancel(t, shipKey(9))
	noAddress := toSchedule(shipKey(3), "GB")
	noAddress.Address = nil
	got := b.scheduleBatch(t,
		toSchedule(shipKey(1), "GB"),
		toSchedule(shipKey(2), "XX"),
		noAddress,
		toSchedule("short", "GB"),
		toSchedule(shipKey(0), "GB"),
		toSchedule(shipKey(0), "FR"),
		of(6, toSchedule(shipKey(0), "GB")),
		toSchedule(shipKey(9), "GB"),
		toSchedule(shipKey(1), "GB"), // the first again
		toSchedule(shipKey(4), "GB"),
	)
	for i, done := range []bool{true, false, false, false, true, false, false, false, false, true} {
		if scheduled := got[i].GetResponse().GetShipment().GetTrackingNumber() != ""; scheduled != done || (got[i].GetStatus() == nil) != done {
			t.Errorf("request %d: got %v", i, got[i])
		}
		if got[i].GetReplayed() != (i == 4) {
			t.Errorf("request %d: replayed is %v", i, got[i].GetReplayed())
		}
	}
	wantStatus(t, got[1].GetStatus(), rpcerr.CarrierRefused)
	wantStatus(t, got[2].GetStatus(), rpcerr.RequestInvalid, "requests[2].address")
	wantStatus(t, got[3].GetStatus(), rpcerr.IdempotencyKeyInvalid, "requests[3].idempotency_key")
	wantStatus(t, got[5].GetStatus(), rpcerr.IdempotencyKeyReused, "address")
	wantStatus(t, got[6].GetStatus(), rpcerr.EpochStale)
	wantStatus(t, got[7].GetStatus(), rpcerr.StepTombstoned)
	wantStatus(t, got[8].GetStatus(), rpcerr.IdempotencyKeyInFlight)
	if diff := cmp.Diff(before.GetResponse(), got[4].GetResponse(), protocmp.Transform()); diff != "" {
		t.Errorf("answer given again (-first +again):\n%s", diff)
	}
	by.wantKnown(3)
	if n := by.booked.Load(); n != 4 {
		t.Errorf("the carrier was asked %d times, want 4", n)
	}
	if diff := cmp.Diff(map[string]int64{"scheduled": 3, "refused": 1}, counts(b.events(t))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestBatchSchedule_IsOneCommitBeforeTheCarrierAndOneAfter(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	requests := make([]*shipmentv1.ScheduleRequest, 100)
	for i := range requests {
		requests[i] = toSchedule(shipKey(i), "GB")
	}
	for i, r := range b.scheduleBatch(t, requests...) {
		if r.GetStatus() != nil {
			t.Fatalf("request %d: got %v", i, r.GetStatus())
		}
	}
	by.wantKnown(100)
	type commits struct{ Intents, Outcomes, Answers, Events int64 }
	got := pgtest.Rows[commits](t, b.db, `
SELECT (SELECT count(DISTINCT created_at) FROM shipment), (SELECT count(DISTINCT updated_at) FROM shipment),
       (SELECT count(DISTINCT xmin::text) FROM idem), (SELECT count(DISTINCT xmin::text) FROM outbox WHERE published_at IS NULL)`)[0]
	if got.Intents != 1 || got.Outcomes != 1 || got.Answers != 1 || got.Events > 1 {
		t.Errorf("a batch of 100 was written in %+v transactions, want 1 of each", got)
	}
}

func TestBatchSchedule_AnswersWithoutASlowOneThatGoesOn(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	by.holding = make(chan struct{})
	cfg := DefaultConfig()
	cfg.BatchPatience = 3 * time.Second // more than enough for those that are not held back
	b := setupWith(t, by, cfg, servicetest.Config())
	requests := []*shipmentv1.ScheduleRequest{toSchedule(shipKey(1), "GB"), toSchedule(shipKey(2), "FR"), toSchedule(shipKey(3), "GB")}
	got := b.scheduleBatch(t, requests...)
	for _, i := range []int{0, 2} {
		if got[i].GetResponse().GetShipment().GetTrackingNumber() == "" {
			t.Errorf("request %d: got %v, want it scheduled", i, got[i])
		}
	}
	inFlight := []*spb.Status{
		got[1].GetStatus(),
		b.scheduleBatch(t, requests[1])[0].GetStatus(),
		b.lookUp(t, requests[1])[0].GetStatus(),
		b.cancelBatch(t, &shipmentv1.CancelRequest{IdempotencyKey: shipKey(2)})[0].GetStatus(),
	}
	for _, s := range inFlight {
		if e := wantStatus(t, s, rpcerr.IdempotencyKeyInFlight); e.RetryAfter <= 0 {
			t.Errorf("got %v, want it to say when to ask again", e)
		}
	}
	close(by.holding)
	answer, err := b.Schedule(t.Context(), requests[1]) // waits for the first
	if err != nil || answer.GetShipment().GetTrackingNumber() == "" {
		t.Errorf("got %v, %v, want it scheduled", answer, err)
	}
	if n := by.booked.Load(); n != 3 {
		t.Errorf("the carrier was asked %d times, want 3", n)
	}
}

func TestBatchSchedule_PoisonFailsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, poisonous{})
	if _, err := b.db.Exec(t.Context(), `ALTER TABLE shipment ADD CHECK (tracking_number <> 'POISON')`); err != nil {
		t.Fatal(err)
	}
	got := b.scheduleBatch(t, toSchedule(shipKey(1), "GB"), toSchedule(shipKey(2), "FR"), toSchedule(shipKey(3), "GB"))
	for i, r := range got {
		if i != 1 && r.GetResponse().GetShipment().GetTrackingNumber() == "" {
			t.Errorf("request %d: got %v, want it scheduled", i, r)
		}
	}
	wantStatus(t, got[1].GetStatus(), rpcerr.Internal)
	if diff := cmp.Diff(map[string]int64{"scheduled": 2}, counts(b.events(t))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// poisonous gives tracking numbers for France that the test does not let be written.
type poisonous struct{ carrier.Simulator }

func (p poisonous) Book(ctx context.Context, b carrier.Booking) (string, error) {
	if b.Address.Country == "FR" {
		return "POISON", nil
	}
	return p.Simulator.Book(ctx, b)
}

func TestBatchCancel_UndoesWhatThereIs(t *testing.T) {
	t.Parallel()
	by := newLedger(t)
	b := setup(t, by)
	made := b.mustSchedule(t, shipKey(1))
	_, err := b.Schedule(t.Context(), toSchedule(shipKey(2), "XX"))
	rpcerrtest.Want(t, err, rpcerr.CarrierRefused)
	by.answers.Store(1)
	_, err = b.Schedule(t.Context(), toSchedule(shipKey(3), "GB"))
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	cancel := func(saga int) *shipmentv1.CancelRequest {
		return &shipmentv1.CancelRequest{IdempotencyKey: shipKey(saga), Origin: &commonv1.Origin{Epoch: 7}}
	}
	requests := []*shipmentv1.CancelRequest{cancel(1), cancel(2), cancel(3), cancel(4), {}}
	got := b.cancelBatch(t, requests...)
	if sh := got[0].GetResponse().GetShipment(); sh.GetShipmentId() != made.GetShipmentId() || sh.GetTrackingNumber() != made.GetTrackingNumber() {
		t.Errorf("got %v, want %s cancelled", got[0], made.GetShipmentId())
	}
	for _, i := range []int{0, 2} {
		if sh := got[i].GetResponse().GetShipment(); sh.GetState() != shipmentv1.ShipmentState_SHIPMENT_STATE_CANCELLED {
			t.Errorf("request %d: got %v, want it cancelled", i, got[i])
		}
	}
	for _, i := range []int{1, 3} {
		if got[i].GetStatus() != nil || got[i].GetResponse().GetShipment() != nil {
			t.Errorf("request %d: got %v, want nothing: there was nothing to cancel", i, got[i])
		}
	}
	wantStatus(t, got[4].GetStatus(), rpcerr.IdempotencyKeyMissing, "requests[4].idempotency_key")

	again := b.cancelBatch(t, requests[:4]...)
	for i, r := range again {
		if diff := cmp.Diff(got[i].GetResponse(), r.GetResponse(), protocmp.Transform()); diff != "" || !r.GetReplayed() {
			t.Errorf("request %d again (-first +again):\n%s", i, diff)
		}
	}
	stale := cancel(1)
	stale.Origin.Epoch = 6
	wantStatus(t, b.cancelBatch(t, stale)[0].GetStatus(), rpcerr.EpochStale)
	for i, r := range b.scheduleBatch(t, toSchedule(shipKey(1), "GB"), toSchedule(shipKey(2), "XX"), toSchedule(shipKey(3), "GB"), toSchedule(shipKey(4), "GB")) {
		if e := wantStatus(t, r.GetStatus(), rpcerr.StepTombstoned); e == nil {
			t.Errorf("request %d: got %v", i, r)
		}
	}
	by.wantKnown(0)
	if n := by.undone.Load(); n != 2 {
		t.Errorf("the carrier was asked to cancel %d times, want 2", n)
	}
	if diff := cmp.Diff(map[string]int64{"scheduled": 1, "refused": 1, "cancelled": 2}, counts(b.events(t))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestBatchSchedule_ItemsGoOnInTheTracesOfTheirSagas(t *testing.T) {
	t.Parallel()
	const trace1 = "00-11111111111111111111111111111111-1111111111111111-01"
	spans := tracetest.NewSpanRecorder()
	process := servicetest.Config()
	process.Telemetry.Processor = spans // records what the caller records
	by := newLedger(t)
	b := setupWith(t, by, patient(), process)
	traced := toSchedule(shipKey(1), "GB")
	traced.Origin = &commonv1.Origin{Traceparent: trace1}
	b.scheduleBatch(t, traced)

	var span sdktrace.ReadOnlySpan
	for _, s := range spans.Ended() { // it ends before the answer is on its way
		if s.Name() == "shipment.Schedule" {
			span = s
		}
	}
	if span == nil || span.Parent().SpanID().String() != trace1[36:52] {
		t.Fatalf("got span %v, want one below saga 1's", span)
	}
	asked := trace.SpanContextFromContext(*by.traced.Load().(*context.Context))
	if !asked.Equal(span.SpanContext()) {
		t.Errorf("the carrier was asked in %v, want %v", asked, span.SpanContext())
	}
	want := []string{trace1}
	if diff := cmp.Diff(want, b.rows(t, `SELECT traceparent FROM outbox`)); diff != "" {
		t.Errorf("trace of the event (-want +got):\n%s", diff)
	}
}

func TestStop_WaitsForWhatTheCarrierWasAsked(t *testing.T) {
	t.Parallel()
	by := newSlow()
	cfg := DefaultConfig()
	cfg.BatchPatience = time.Millisecond
	b := bundle{}
	dsn := pgtest.DSN(t, Migrations()...)
	process := servicetest.Config()
	process.NATS.URL = bustest.Server(t).URL()
	p, err := service.Start(t.Context(), process, t.Output(), b.service(t, dsn, by, cfg))
	if err != nil {
		t.Fatal(err)
	}
	b.connect(t, p, dsn)
	b.scheduleBatch(t, toSchedule(shipKey(1), "GB"))
	<-by.arrived
	stopped := make(chan error)
	go func() { stopped <- p.Stop() }()
	waittest.Until(t, "no call is taken", func() bool {
		_, err := b.ListShipments(t.Context(), &shipmentv1.ListShipmentsRequest{})
		return err != nil
	})
	close(by.released)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"scheduled"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
