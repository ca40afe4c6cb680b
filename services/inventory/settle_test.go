package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/inventory/stock"
)

const commitKey = "saga/sag_1/commit"

func TestRelease_UndoesTheReserveOfTheSameKeyOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10), line("cup", 4))
	made := b.mustReserve(t, key, line("mug", 2), line("cup", 4))
	b.mustReserve(t, "saga/sag_2/reserve", line("mug", 1))
	undone, err := b.release(t, key)
	if err != nil {
		t.Fatal(err)
	}
	want := made
	want.State = inventoryv1.ReservationState_RESERVATION_STATE_RELEASED
	if diff := cmp.Diff(want, undone, protocmp.Transform()); diff != "" {
		t.Errorf("reservation (-want +got):\n%s", diff)
	}
	again, err := b.release(t, key)
	if diff := cmp.Diff(undone, again, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("released again: %v (-first +again):\n%s", err, diff)
	}
	_, err = b.Reserve(t.Context(), toReserve(key, line("mug", 2), line("cup", 4)))
	rpcerrtest.Want(t, err, rpcerr.StepTombstoned)
	b.wantLevels(t, stock.Level{SKU: "cup", Available: 4}, stock.Level{SKU: "mug", Available: 9, Reserved: 1})
	wantEvents := []string{"stock.received", "reservation.held", "reservation.held", "reservation.released"}
	if diff := cmp.Diff(wantEvents, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRelease_ComingFirstRefusesTheReserveForEver(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	for range 2 {
		if got, err := b.release(t, key); got != nil || err != nil {
			t.Errorf("got %v, %v, want nothing: there was nothing to release", got, err)
		}
		_, err := b.Reserve(t.Context(), toReserve(key, line("mug", 2)))
		rpcerrtest.Want(t, err, rpcerr.StepTombstoned)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 10})
	if diff := cmp.Diff([]string{"stock.received"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRelease_OfARefusedReserveDoesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 1))
	_, err := b.Reserve(t.Context(), toReserve(key, line("mug", 2)))
	rpcerrtest.Want(t, err, rpcerr.InsufficientStock, "mug")
	if got, err := b.release(t, key); got != nil || err != nil {
		t.Errorf("got %v, %v, want nothing", got, err)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 1})
}

func TestRelease_OfAnotherCallerIsAboutAnotherKey(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	b.mustReserve(t, key, line("mug", 2))
	stranger := b
	stranger.InventoryServiceClient = inventoryv1.NewInventoryServiceClient(servicetest.Dial(t, b.process, "billing"))
	if got, err := stranger.release(t, key); got != nil || err != nil {
		t.Errorf("got %v, %v, want nothing", got, err)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 8, Reserved: 2})
}

func TestCommit_TakesThePiecesOutOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10), line("cup", 4))
	made := b.mustReserve(t, key, line("mug", 2), line("cup", 4))
	done, err := b.commit(t, commitKey, made.GetReservationId())
	if err != nil {
		t.Fatal(err)
	}
	made.State = inventoryv1.ReservationState_RESERVATION_STATE_COMMITTED
	if diff := cmp.Diff(made, done, protocmp.Transform()); diff != "" {
		t.Errorf("reservation (-want +got):\n%s", diff)
	}
	again, err := b.commit(t, commitKey, made.GetReservationId())
	if diff := cmp.Diff(done, again, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("committed again: %v (-first +again):\n%s", err, diff)
	}
	_, err = b.commit(t, "saga/sag_2/commit", made.GetReservationId())
	rpcerrtest.Want(t, err, rpcerr.ReservationNotHeld)
	b.wantLevels(t, stock.Level{SKU: "cup", Shipped: 4}, stock.Level{SKU: "mug", Available: 8, Shipped: 2})
	wantEvents := []string{"stock.received", "reservation.held", "reservation.committed"}
	if diff := cmp.Diff(wantEvents, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestCommit_RefusesWhatIsNotHeld(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	made := b.mustReserve(t, key, line("mug", 2))
	if _, err := b.release(t, key); err != nil {
		t.Fatal(err)
	}
	_, err := b.commit(t, commitKey, made.GetReservationId())
	rpcerrtest.Want(t, err, rpcerr.ReservationNotHeld)
	for i, nobody := range []string{id.New[reservationKind]().String(), "res_1", "mug"} {
		_, err := b.commit(t, "saga/sag_3/commit"+string(rune('a'+i)), nobody)
		rpcerrtest.Want(t, err, rpcerr.NotFound, "reservation_id")
	}
	_, err = b.commit(t, commitKey, "res_1")
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "reservation_id")
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 10})
}

func TestRelease_OfACommittedReservationIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	made := b.mustReserve(t, key, line("mug", 2))
	if _, err := b.commit(t, commitKey, made.GetReservationId()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := b.release(t, key)
		rpcerrtest.Want(t, err, rpcerr.ReservationNotHeld)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 8, Shipped: 2})
}

func TestBatchGetReservation_FindsWhatWasMadeUnderKeys(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	released, held := b.mustReserve(t, key, line("mug", 2)), b.mustReserve(t, "saga/sag_2/reserve", line("mug", 1))
	if _, err := b.release(t, key); err != nil {
		t.Fatal(err)
	}
	if _, err := b.release(t, "saga/sag_3/reserve"); err != nil { // of what never came
		t.Fatal(err)
	}
	released.State = inventoryv1.ReservationState_RESERVATION_STATE_RELEASED
	got, err := b.BatchGetReservation(t.Context(), &inventoryv1.BatchGetReservationRequest{
		IdempotencyKeys: []string{"saga/sag_3/reserve", "saga/sag_2/reserve", key, "saga/sag_4/reserve"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &inventoryv1.BatchGetReservationResponse{Reservations: []*inventoryv1.BatchGetReservationResponse_Keyed{
		{IdempotencyKey: key, Reservation: released}, {IdempotencyKey: "saga/sag_2/reserve", Reservation: held},
	}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("reservations (-want +got):\n%s", diff)
	}
}
