package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/protobuf/testing/protocmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/inventory/stock"
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
		{"held", trace1[3:]}, {"held", trace2[3:]},
		{"held", "the call"}, {"held", "the call"},
		{"committed", trace1[3:]}, {"released", trace2[3:]},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("traces of the events (-want +got):\n%s", diff)
	}
}

func TestBatch_RefusesItemsOfAnOwnerThatWasFollowed(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	owned := func(key string, epoch int64) *inventoryv1.ReserveRequest {
		r := toReserve(key, line("mug", 1))
		r.Origin = &commonv1.Origin{Epoch: epoch}
		return r
	}
	first := b.reserveBatch(t, owned("saga/sag_1/reserve", 7), owned("saga/sag_2/reserve", 7))
	got := b.reserveBatch(t, owned("saga/sag_1/reserve", 6), owned("saga/sag_2/reserve", 8), owned("saga/sag_3/reserve", 6))
	wantStatus(t, got[0].GetStatus(), rpcerr.EpochStale)
	if diff := cmp.Diff(first[1].GetResponse(), got[1].GetResponse(), protocmp.Transform()); diff != "" || !got[1].GetReplayed() {
		t.Errorf("asked by the next owner (-first +again):\n%s", diff)
	}
	if got[2].GetResponse().GetReservation() == nil {
		t.Errorf("got %v, want it reserved: nobody else asked for it", got[2])
	}

	made := first[0].GetResponse().GetReservation().GetReservationId()
	commit := func(epoch int64) error {
		_, err := b.Commit(t.Context(), &inventoryv1.CommitRequest{
			IdempotencyKey: commitKey, ReservationId: made, Origin: &commonv1.Origin{Epoch: epoch},
		})
		return err
	}
	release := func(epoch int64) error {
		_, err := b.Release(t.Context(), &inventoryv1.ReleaseRequest{
			IdempotencyKey: "saga/sag_2/reserve", Origin: &commonv1.Origin{Epoch: epoch},
		})
		return err
	}
	for name, call := range map[string]func(int64) error{"commit": commit, "release": release} {
		if err := call(9); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		rpcerrtest.Want(t, call(8), rpcerr.EpochStale)
		if err := call(0); err != nil { // of a caller that owns no shard
			t.Errorf("%s again: %v", name, err)
		}
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 8, Reserved: 1, Shipped: 1})
}
