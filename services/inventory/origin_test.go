package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

// Saga 1 is recorded, saga 2 is not.
const (
	trace1 = "00-11111111111111111111111111111111-1111111111111111-01"
	trace2 = "00-22222222222222222222222222222222-2222222222222222-00"
)

func TestBatch_ItemsGoOnInTheTracesOfTheirSagas(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	cfg := servicetest.Config()
	cfg.Telemetry.Processor = spans // records what the caller records
	b := setupWith(t, cfg, line("mug", 10))
	origins := []*commonv1.Origin{{Traceparent: trace1}, {Traceparent: trace2}, nil, {Traceparent: "nonsense"}}
	keys := []string{"saga/sag_1/reserve", "saga/sag_2/reserve", "saga/sag_3/reserve", "saga/sag_4/reserve"}
	var reserves []*inventoryv1.ReserveRequest
	var settle [2]string
	for i, origin := range origins {
		r := toReserve(keys[i], line("mug", 1))
		r.Origin = origin
		reserves = append(reserves, r)
	}
	for i, r := range b.reserveBatch(t, reserves...)[:2] {
		settle[i] = r.GetResponse().GetReservation().GetReservationId()
	}
	if _, err := b.Commit(t.Context(), &inventoryv1.CommitRequest{
		IdempotencyKey: commitKey, ReservationId: settle[0], Origin: origins[0],
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Release(t.Context(), &inventoryv1.ReleaseRequest{IdempotencyKey: keys[1], Origin: origins[1]}); err != nil {
		t.Fatal(err)
	}

	// Items' spans end before their answers are on their way.
	var reserve, commit sdktrace.ReadOnlySpan
	for _, s := range spans.Ended() {
		switch s.Name() {
		case "inventory.Reserve":
			reserve = s
		case "inventory.Commit":
			commit = s
		case "inventory.Release":
			t.Error("a span was recorded of a trace that is not")
		}
	}
	if reserve == nil || commit == nil {
		t.Fatalf("the trace of saga 1 has spans %v and %v, want both", reserve, commit)
	}
	for _, s := range []sdktrace.ReadOnlySpan{reserve, commit} {
		if s.Parent().TraceID().String() != trace1[3:35] || s.Parent().SpanID().String() != trace1[36:52] {
			t.Errorf("the parent of %s is %v, want that of saga 1", s.Name(), s.Parent())
		}
	}
	type written struct{ Name, Trace string }
	got := pgtest.Rows[written](t, b.db, `
SELECT name, CASE WHEN substr(traceparent, 4, 32) IN ($1, $2) OR traceparent = '' THEN substr(traceparent, 4) ELSE 'the call' END
  FROM outbox WHERE entity = 'reservation' ORDER BY seq`, trace1[3:35], trace2[3:35])
	want := []written{
		{"held", trace1[3:36] + reserve.SpanContext().SpanID().String() + "-01"}, {"held", trace2[3:]},
		{"held", "the call"}, {"held", "the call"},
		{"committed", trace1[3:36] + commit.SpanContext().SpanID().String() + "-01"}, {"released", trace2[3:]},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("traces of the events (-want +got):\n%s", diff)
	}
}
