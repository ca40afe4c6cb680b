package inventory

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/inventory/stock"
)

// together runs n calls at once and gives their errors.
func together(n int, call func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = call(i) })
	}
	wg.Wait()
	return errs
}

func TestReserve_NeverPromisesAPieceTwice(t *testing.T) {
	t.Parallel()
	const takers, pieces = 64, 41
	b := setup(t, line("mug", pieces))
	errs := together(takers, func(i int) error {
		_, err := b.Reserve(t.Context(), toReserve(fmt.Sprintf("saga/sag_%d/reserve", i), line("mug", 1)))
		return err
	})
	served := 0
	for _, err := range errs {
		if err == nil {
			served++
			continue
		}
		rpcerrtest.Want(t, err, rpcerr.InsufficientStock, "mug")
	}
	if served != pieces {
		t.Errorf("%d of %d were served, want %d", served, takers, pieces)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Reserved: pieces})
}

func TestReserve_ParallelDuplicatesMakeOneReservation(t *testing.T) {
	t.Parallel()
	const callers = 16
	b := setup(t, line("mug", 3)) // the pieces of one of them
	answers, headers := make([]*inventoryv1.ReserveResponse, callers), make([]metadata.MD, callers)
	for _, err := range together(callers, func(i int) (err error) {
		answers[i], err = b.Reserve(t.Context(), toReserve(key, line("mug", 3)), grpc.Header(&headers[i]))
		return err
	}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	firsts := 0
	for i := range callers {
		if diff := cmp.Diff(answers[0], answers[i], protocmp.Transform()); diff != "" {
			t.Errorf("answers to one request differ (-first +other):\n%s", diff)
		}
		if !replayed(headers[i]) {
			firsts++
		}
	}
	if firsts != 1 {
		t.Errorf("%d answers say that they are not given again, want 1", firsts)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Reserved: 3})
	if diff := cmp.Diff([]string{"stock.received", "reservation.held"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRelease_AgainstItsReserveLeavesNothingPromised(t *testing.T) {
	t.Parallel()
	const sagas = 24
	b := setup(t, line("mug", sagas))
	for i, err := range together(3*sagas, func(i int) error {
		key := fmt.Sprintf("saga/sag_%d/reserve", i/3)
		if i%3 > 0 {
			_, err := b.release(t, key)
			return err
		}
		_, err := b.Reserve(t.Context(), toReserve(key, line("mug", 1)))
		return err
	}) {
		if err != nil && (i%3 > 0 || !rpcerr.Is(err, rpcerr.StepTombstoned)) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: sagas})
}

func TestStock_TakersInAnyOrderDoNotDeadlock(t *testing.T) {
	t.Parallel()
	const skus, calls = 12, 240
	all := make([]*inventoryv1.StockLine, skus)
	for i := range all {
		all[i] = line(fmt.Sprintf("%c-%d", "aBcD"[i%4], i), 2*calls)
	}
	b := setup(t, all[:skus/2]...)
	b.mustReserve(t, "saga/sag_first/reserve", line(all[0].GetSku(), 1))
	for i, err := range together(calls, func(i int) error {
		lines := make([]*inventoryv1.StockLine, 0, skus)
		for _, at := range rand.Perm(skus) {
			lines = append(lines, line(all[at].GetSku(), 1))
		}
		if i%4 == 0 { // half of the SKUs become known meanwhile
			_, err := b.ReceiveStock(t.Context(), &inventoryv1.ReceiveStockRequest{IdempotencyKey: fmt.Sprintf("receipt-%d", i), Lines: lines})
			return err
		}
		key := fmt.Sprintf("saga/sag_%d/reserve", i)
		_, err := b.Reserve(t.Context(), toReserve(key, lines...))
		if rpcerr.Is(err, rpcerr.SKUUnknown) || rpcerr.Is(err, rpcerr.InsufficientStock) {
			return nil
		}
		if err == nil && i%4 == 1 {
			_, err = b.release(t, key)
		}
		return err
	}) {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// failures joins the statuses of a batch's items, but for one reason.
func failures[R interface{ GetStatus() *spb.Status }](items []R, but rpcerr.Reason) error {
	var errs []error
	for _, item := range items {
		if err := status.FromProto(item.GetStatus()).Err(); !rpcerr.Is(err, but) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Two replicas get the same reserves and their releases, in batches that overlap in every order.
func TestReplicas_ShareOneDatabase(t *testing.T) {
	t.Parallel()
	const sagas, calls = 40, 60
	b := setup(t, line("cup", 3*sagas), line("mug", 3*sagas))
	other := servicetest.Start(t, inventoryService(b.db.Config().ConnString()))
	replicas := []inventoryv1.InventoryServiceClient{
		b, inventoryv1.NewInventoryServiceClient(servicetest.Dial(t, other, "orchestrator")),
	}
	keyOf := func(saga int) string { return fmt.Sprintf("saga/sag_%d/reserve", saga) }
	for i, err := range together(calls, func(i int) error {
		var reserves inventoryv1.BatchReserveRequest
		var releases inventoryv1.BatchReleaseRequest
		for _, saga := range rand.Perm(sagas)[:sagas/2] {
			reserves.Requests = append(reserves.Requests, toReserve(keyOf(saga), line("mug", 1), line("cup", 1)))
			if saga%2 == 0 {
				releases.Requests = append(releases.Requests, &inventoryv1.ReleaseRequest{IdempotencyKey: keyOf(saga)})
			}
		}
		if i%4 < 2 {
			answer, err := replicas[i%2].BatchReserve(t.Context(), &reserves)
			return errors.Join(err, failures(answer.GetResults(), rpcerr.StepTombstoned))
		}
		answer, err := replicas[i%2].BatchRelease(t.Context(), &releases)
		return errors.Join(err, failures(answer.GetResults(), ""))
	}) {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	for saga := range sagas { // whatever came first, now all are reserved or released
		if saga%2 == 0 {
			if _, err := b.release(t, keyOf(saga)); err != nil {
				t.Errorf("saga %d: %v", saga, err)
			}
			continue
		}
		b.mustReserve(t, keyOf(saga), line("mug", 1), line("cup", 1))
	}
	b.wantLevels(t, stock.Level{SKU: "cup", Available: 3*sagas - sagas/2, Reserved: sagas / 2},
		stock.Level{SKU: "mug", Available: 3*sagas - sagas/2, Reserved: sagas / 2})
}
