package inventory

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/inventory/stock"
)

func (b bundle) adjust(ctx context.Context, key, sku string, by int32) (*inventoryv1.Stock, error) {
	answer, err := b.AdjustStock(ctx, &inventoryv1.AdjustStockRequest{IdempotencyKey: key, Sku: sku, Quantity: by, Reason: "counted"})
	return answer.GetStock(), err
}

func TestAdjust_CorrectsTheStockOnceAndKeepsWhoAndWhy(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	b.mustReserve(t, key, line("mug", 4))
	missed, err := b.adjust(t.Context(), "adjust-one", "mug", -6)
	want := &inventoryv1.Stock{Sku: "mug", Reserved: 4, Received: 10, Adjusted: -6}
	if diff := cmp.Diff(want, missed, protocmp.Transform(), protocmp.IgnoreFields(want, "update_time")); diff != "" || err != nil {
		t.Errorf("stock: %v (-want +got):\n%s", err, diff)
	}
	again, err := b.adjust(t.Context(), "adjust-one", "mug", -6)
	if diff := cmp.Diff(missed, again, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("adjusted again: %v (-first +again):\n%s", err, diff)
	}
	if _, err := b.adjust(t.Context(), "adjust-two", "mug", 2); err != nil {
		t.Fatal(err)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 2, Reserved: 4, Adjusted: -4})
	if diff := cmp.Diff([]string{"stock.received", "reservation.held", "stock.adjusted", "stock.adjusted"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	type written struct {
		Quantity                 int64
		Actor, Verb, SKU, Reason string
	}
	got := pgtest.Rows[written](t, b.db, `
SELECT e.quantity, a.actor, a.verb, a.sku, a.reason FROM stock_event e JOIN operator_action a ON a.id = e.action_id ORDER BY e.id`)
	wantRows := []written{{-6, "orchestrator", "adjust", "mug", "counted"}, {2, "orchestrator", "adjust", "mug", "counted"}}
	if diff := cmp.Diff(wantRows, got); diff != "" {
		t.Errorf("audit rows (-want +got):\n%s", diff)
	}
}

func TestAdjust_LeavesWhatIsPromised(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	b.mustReserve(t, key, line("mug", 4))
	for i, by := range []int32{-7, math.MinInt32} {
		_, err := b.adjust(t.Context(), "adjust-promised-"+string(rune('a'+i)), "mug", by)
		refusal := rpcerrtest.Want(t, err, rpcerr.AdjustmentBelowReserved, "quantity")
		if !strings.HasPrefix(refusal.Fields[0].Description, "6 of mug are promised to nobody") {
			t.Errorf("got %q", refusal.Fields[0].Description)
		}
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 6, Reserved: 4})
}

func TestAdjust_AgainstReservesNeverTakesWhatTheyGot(t *testing.T) {
	t.Parallel()
	const calls = 48
	b := setup(t, line("mug", calls/2))
	for i, err := range together(calls, func(i int) (err error) {
		key := "saga/sag_" + string(rune('A'+i)) + "/step"
		if i%2 == 0 {
			_, err = b.adjust(t.Context(), key, "mug", -1)
		} else {
			_, err = b.Reserve(t.Context(), toReserve(key, line("mug", 1)))
		}
		if rpcerr.Is(err, rpcerr.AdjustmentBelowReserved) || rpcerr.Is(err, rpcerr.InsufficientStock) {
			return nil
		}
		return err
	}) {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	got := b.levels(t)[0]
	if got.Available != 0 || got.Reserved-got.Adjusted != calls/2 {
		t.Errorf("got %+v, want all pieces reserved or taken away", got)
	}
}

func TestAdjust_RefusesWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	good := func(change func(*inventoryv1.AdjustStockRequest)) *inventoryv1.AdjustStockRequest {
		r := &inventoryv1.AdjustStockRequest{IdempotencyKey: "adjust-one", Sku: "mug", Quantity: 1, Reason: "counted"}
		change(r)
		return r
	}
	for name, c := range map[string]struct {
		request *inventoryv1.AdjustStockRequest
		reason  rpcerr.Reason
		field   string
	}{
		"no key":      {good(func(r *inventoryv1.AdjustStockRequest) { r.IdempotencyKey = "" }), rpcerr.IdempotencyKeyMissing, "idempotency_key"},
		"no pieces":   {good(func(r *inventoryv1.AdjustStockRequest) { r.Quantity = 0 }), rpcerr.RequestInvalid, "quantity"},
		"no reason":   {good(func(r *inventoryv1.AdjustStockRequest) { r.Reason = "" }), rpcerr.RequestInvalid, "reason"},
		"no SKU":      {good(func(r *inventoryv1.AdjustStockRequest) { r.Sku = "" }), rpcerr.RequestInvalid, "sku"},
		"unknown SKU": {good(func(r *inventoryv1.AdjustStockRequest) { r.Sku = "jug" }), rpcerr.SKUUnknown, "sku"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.AdjustStock(t.Context(), c.request)
			rpcerrtest.Want(t, err, c.reason, c.field)
		})
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 10})
}

func TestItem_IsWhatWasSaidLast(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	put := func(key, sku, description, unit string) *inventoryv1.Item {
		t.Helper()
		answer, err := b.PutItem(t.Context(), &inventoryv1.PutItemRequest{IdempotencyKey: key, Sku: sku, Description: description, Unit: unit})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetItem()
	}
	first := put("put-one-", "tea", "Assam", "box")
	if diff := cmp.Diff(first, put("put-one-", "tea", "Assam", "box"), protocmp.Transform()); diff != "" {
		t.Errorf("put again (-first +again):\n%s", diff)
	}
	put("put-two-", "tea", "Darjeeling", "")
	list, err := b.ListItems(t.Context(), &inventoryv1.ListItemsRequest{})
	want := []*inventoryv1.Item{{Sku: "mug", Unit: "piece"}, {Sku: "tea", Description: "Darjeeling", Unit: "piece"}}
	if diff := cmp.Diff(want, list.GetItems(), protocmp.Transform(), protocmp.IgnoreFields(want[0], "create_time", "update_time")); diff != "" || err != nil {
		t.Errorf("items: %v (-want +got):\n%s", err, diff)
	}
	one, err := b.GetItem(t.Context(), &inventoryv1.GetItemRequest{Sku: "tea"})
	if err != nil || !one.GetItem().GetCreateTime().AsTime().Equal(first.GetCreateTime().AsTime()) {
		t.Errorf("got %v, %v, want it made at %v", one, err, first.GetCreateTime())
	}
	_, err = b.GetItem(t.Context(), &inventoryv1.GetItemRequest{Sku: "jug"})
	rpcerrtest.Want(t, err, rpcerr.SKUUnknown, "sku")
	_, err = b.Reserve(t.Context(), toReserve(key, line("tea", 1)))
	rpcerrtest.Want(t, err, rpcerr.InsufficientStock, "tea") // it is known, and there is none
	if n := pgtest.Column[int](t, b.db, `SELECT count(*)::int FROM operator_action WHERE verb = 'put_item'`)[0]; n != 2 {
		t.Errorf("%d audit rows, want 2", n)
	}
	b.mustReceive(t, "receipt-tea", line("tea", 3))
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 10}, stock.Level{SKU: "tea", Available: 3})
}
