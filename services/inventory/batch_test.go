package inventory

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/inventory/stock"
)

func (b bundle) reserveBatch(t *testing.T, requests ...*inventoryv1.ReserveRequest) []*inventoryv1.BatchReserveResponse_Result {
	t.Helper()
	answer, err := b.BatchReserve(t.Context(), &inventoryv1.BatchReserveRequest{Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetResults()) != len(requests) {
		t.Fatalf("%d results for %d requests", len(answer.GetResults()), len(requests))
	}
	return answer.GetResults()
}

func wantStatus(t *testing.T, s *spb.Status, reason rpcerr.Reason, fields ...string) {
	t.Helper()
	rpcerrtest.Want(t, status.FromProto(s).Err(), reason, fields...)
}

func TestBatchReserve_AnswersEachByItself(t *testing.T) {
	t.Parallel()
	b := setup(t, line("cup", 4), line("mug", 10))
	before := b.mustReserve(t, "saga/sag_0/reserve", line("mug", 1))
	noPieces, reused := toReserve("saga/sag_2/reserve", line("mug", 1), line("mug", 0)), toReserve("saga/sag_0/reserve", line("mug", 2))
	got := b.reserveBatch(t,
		toReserve("saga/sag_1/reserve", line("mug", 5), line("cup", 4)),
		noPieces,
		toReserve("saga/sag_3/reserve", line("mug", 1), line("cup", 1)), // the first has taken the cups
		toReserve("short", line("mug", 1)),
		toReserve("saga/sag_4/reserve", line("mug", 1), line("jug", 1)),
		toReserve("saga/sag_0/reserve", line("mug", 1)),
		toReserve("saga/sag_1/reserve", line("cup", 4), line("mug", 5)), // the first again, told differently
		reused,
		toReserve("saga/sag_5/reserve", line("mug", 4)),
	)
	for i, ok := range []bool{true, false, false, false, false, true, true, false, true} {
		if done := got[i].GetStatus() == nil && got[i].GetResponse().GetReservation() != nil; done != ok {
			t.Errorf("request %d: got %v", i, got[i])
		}
		if replayed := i == 5 || i == 6; got[i].GetReplayed() != replayed {
			t.Errorf("request %d: replayed is %v", i, got[i].GetReplayed())
		}
	}
	wantStatus(t, got[1].GetStatus(), rpcerr.RequestInvalid, "requests[1].lines[1].quantity")
	wantStatus(t, got[2].GetStatus(), rpcerr.InsufficientStock, "cup")
	wantStatus(t, got[3].GetStatus(), rpcerr.IdempotencyKeyInvalid, "requests[3].idempotency_key")
	wantStatus(t, got[4].GetStatus(), rpcerr.SKUUnknown, "requests[4].lines[1].sku")
	wantStatus(t, got[7].GetStatus(), rpcerr.IdempotencyKeyReused, "lines")
	if diff := cmp.Diff(before, got[5].GetResponse().GetReservation(), protocmp.Transform()); diff != "" {
		t.Errorf("answer given again (-first +again):\n%s", diff)
	}
	if diff := cmp.Diff(got[0].GetResponse(), got[6].GetResponse(), protocmp.Transform()); diff != "" {
		t.Errorf("answer to the second of a batch (-first +second):\n%s", diff)
	}
	b.wantLevels(t, stock.Level{SKU: "cup", Reserved: 4}, stock.Level{SKU: "mug", Reserved: 10})
	wantEvents := []string{"stock.received", "reservation.held", "reservation.held", "reservation.held"}
	if diff := cmp.Diff(wantEvents, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestBatchReserve_OfOneSKUWritesItsLevelOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 200))
	written := func() int64 {
		return pgtest.Rows[struct{ N int64 }](t, b.db, `SELECT pg_current_xact_id()::text::bigint`)[0].N
	}
	before := written()
	requests := make([]*inventoryv1.ReserveRequest, 256)
	for i := range requests {
		requests[i] = toReserve(fmt.Sprintf("saga/sag_%d/reserve", i), line("mug", 1))
	}
	served := 0
	for i, r := range b.reserveBatch(t, requests...) {
		if r.GetStatus() == nil {
			served++
		}
		if ok := r.GetStatus() == nil; ok != (i < 200) {
			t.Errorf("request %d of 256 for 200 pieces: got %v", i, r.GetStatus())
		}
	}
	writers := pgtest.Rows[struct{ N int64 }](t, b.db, fmt.Sprintf(
		`SELECT count(DISTINCT xmin::text) FROM reservation WHERE xmin::text::bigint > %d`, before))[0].N
	if served != 200 || writers != 1 {
		t.Errorf("%d were served, in %d transactions; want 200 in 1", served, writers)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Reserved: 200})
}

func TestBatchRelease_UndoesWhatThereIs(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	first := b.mustReserve(t, "saga/sag_1/reserve", line("mug", 2))
	second := b.mustReserve(t, "saga/sag_2/reserve", line("mug", 3))
	if _, err := b.commit(t, commitKey, second.GetReservationId()); err != nil {
		t.Fatal(err)
	}
	release := func(key string) *inventoryv1.ReleaseRequest { return &inventoryv1.ReleaseRequest{IdempotencyKey: key} }
	answer, err := b.BatchRelease(t.Context(), &inventoryv1.BatchReleaseRequest{Requests: []*inventoryv1.ReleaseRequest{
		release("saga/sag_1/reserve"), release("saga/sag_2/reserve"), release("saga/sag_3/reserve"), release("saga/sag_1/reserve"), release(""),
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.GetResults()
	for _, i := range []int{0, 3} {
		if id := got[i].GetResponse().GetReservation().GetReservationId(); id != first.GetReservationId() || got[i].GetReplayed() != (i == 3) {
			t.Errorf("request %d: got %v", i, got[i])
		}
	}
	wantStatus(t, got[1].GetStatus(), rpcerr.ReservationNotHeld)
	if got[2].GetStatus() != nil || got[2].GetResponse().GetReservation() != nil {
		t.Errorf("never reserved: got %v", got[2])
	}
	wantStatus(t, got[4].GetStatus(), rpcerr.IdempotencyKeyMissing, "requests[4].idempotency_key")
	_, err = b.Reserve(t.Context(), toReserve("saga/sag_3/reserve", line("mug", 1)))
	rpcerrtest.Want(t, err, rpcerr.StepTombstoned)
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 7, Shipped: 3})
}

func TestBatchCommit_CommitsAReservationOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	made := b.mustReserve(t, key, line("mug", 2)).GetReservationId()
	commit := func(key, id string) *inventoryv1.CommitRequest {
		return &inventoryv1.CommitRequest{IdempotencyKey: key, ReservationId: id}
	}
	answer, err := b.BatchCommit(t.Context(), &inventoryv1.BatchCommitRequest{Requests: []*inventoryv1.CommitRequest{
		commit("saga/sag_1/commit", made), commit("saga/sag_2/commit", made), commit("saga/sag_3/commit", id.New[reservationKind]().String()),
		commit("saga/sag_4/commit", ""),
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.GetResults()
	if got[0].GetResponse().GetReservation().GetState() != inventoryv1.ReservationState_RESERVATION_STATE_COMMITTED {
		t.Errorf("got %v", got[0])
	}
	wantStatus(t, got[1].GetStatus(), rpcerr.ReservationNotHeld)
	wantStatus(t, got[2].GetStatus(), rpcerr.NotFound, "requests[2].reservation_id")
	wantStatus(t, got[3].GetStatus(), rpcerr.RequestInvalid, "requests[3].reservation_id")
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 8, Shipped: 2})
}

func TestBatch_TakesOneTo256Items(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, n := range []int{0, 257} {
		_, err := b.BatchReserve(t.Context(), &inventoryv1.BatchReserveRequest{Requests: make([]*inventoryv1.ReserveRequest, n)})
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "requests")
	}
}
