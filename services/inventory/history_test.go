package inventory

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/inventory/stock"
)

// history is every event of a SKU, the newest first, read in pages of two.
func (b bundle) history(t *testing.T, request *inventoryv1.ListStockEventsRequest) []*inventoryv1.StockEvent {
	t.Helper()
	var all []*inventoryv1.StockEvent
	request.PageSize = 2
	for more := true; more; more = request.GetPageToken() != "" {
		page, err := b.ListStockEvents(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		all, request.PageToken = append(all, page.GetEvents()...), page.GetNextPageToken()
	}
	return all
}

// eventful makes a SKU to which everything but an expiry has happened.
func eventful(t *testing.T) bundle {
	t.Helper()
	b := setup(t, line("cup", 1), line("mug", 10))
	made := b.mustReserve(t, key, line("mug", 4))
	b.mustReserve(t, "saga/sag_2/reserve", line("mug", 2), line("cup", 1))
	if _, err := b.commit(t, commitKey, made.GetReservationId()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.release(t, "saga/sag_2/reserve"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.adjust(t.Context(), "adjust-one", "mug", -1); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStockEvents_TellWhatHappenedAndWhatThereWas(t *testing.T) {
	t.Parallel()
	b := eventful(t)
	all := b.history(t, &inventoryv1.ListStockEventsRequest{Sku: "mug"})
	var told []string
	for _, e := range all {
		told = append(told, fmt.Sprintf("%v %d %s%s", e.GetType(), e.GetQuantity(), e.GetActor(), e.GetReason()))
	}
	want := []string{
		"STOCK_EVENT_TYPE_ADJUSTED -1 orchestratorcounted", "STOCK_EVENT_TYPE_RELEASED 2 ", "STOCK_EVENT_TYPE_COMMITTED 4 ",
		"STOCK_EVENT_TYPE_RESERVED 2 ", "STOCK_EVENT_TYPE_RESERVED 4 ", "STOCK_EVENT_TYPE_RECEIVED 10 ",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	var fold stock.Level
	for i := len(all) - 1; i >= 0; i-- { // from the first on
		e := all[i]
		var err error
		if fold, err = fold.Apply(stock.Event{SKU: "mug", Type: stock.EventType(e.GetType()), Quantity: e.GetQuantity()}); err != nil {
			t.Fatal(err)
		}
		for name, request := range map[string]*inventoryv1.GetStockRequest{
			"event": {Sku: "mug", AsOf: &inventoryv1.GetStockRequest_AsOfEventId{AsOfEventId: e.GetEventId()}},
			"time":  {Sku: "mug", AsOf: &inventoryv1.GetStockRequest_AsOfTime{AsOfTime: e.GetCreateTime()}},
		} {
			got, err := b.GetStock(t.Context(), request)
			s := got.GetStock()
			was := stock.Level{SKU: s.GetSku(), Available: s.GetAvailable(), Reserved: s.GetReserved(), Shipped: s.GetShipped(), Adjusted: s.GetAdjusted()}
			if diff := cmp.Diff(fold, was); diff != "" || err != nil {
				t.Errorf("as of the %s of event %d: %v (-want +got):\n%s", name, e.GetEventId(), err, diff)
			}
		}
	}
	middle := all[3].GetCreateTime()
	if n := len(b.history(t, &inventoryv1.ListStockEventsRequest{Sku: "mug", Since: middle})); n != 4 {
		t.Errorf("%d events since the third, want 4", n)
	}
	if n := len(b.history(t, &inventoryv1.ListStockEventsRequest{Sku: "mug", Until: middle})); n != 2 {
		t.Errorf("%d events until the third, want 2", n)
	}
}

func TestStockAsOf_RefusesWhatNeverWas(t *testing.T) {
	t.Parallel()
	b := eventful(t)
	before := timestamppb.New(time.Now().Add(-time.Hour))
	got, err := b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "mug", AsOf: &inventoryv1.GetStockRequest_AsOfTime{AsOfTime: before}})
	if err != nil || got.GetStock().GetReceived() != 0 || got.GetStock().GetUpdateTime() != nil {
		t.Errorf("before anything happened: got %v, %v", got, err)
	}
	cups := b.history(t, &inventoryv1.ListStockEventsRequest{Sku: "cup"})[0].GetEventId()
	_, err = b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "mug", AsOf: &inventoryv1.GetStockRequest_AsOfEventId{AsOfEventId: cups}})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "as_of_event_id")
	never := &timestamppb.Timestamp{Seconds: math.MaxInt64}
	_, err = b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "mug", AsOf: &inventoryv1.GetStockRequest_AsOfTime{AsOfTime: never}})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "as_of_time")
	_, err = b.ListStockEvents(t.Context(), &inventoryv1.ListStockEventsRequest{Sku: "mug", Since: never})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "since")
	_, err = b.ListStockEvents(t.Context(), &inventoryv1.ListStockEventsRequest{Sku: "mug", Until: never})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "until")
	_, err = b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "jug", AsOf: &inventoryv1.GetStockRequest_AsOfTime{AsOfTime: before}})
	rpcerrtest.Want(t, err, rpcerr.SKUUnknown, "sku")
	_, err = b.ListStockEvents(t.Context(), &inventoryv1.ListStockEventsRequest{Sku: "mug", PageToken: "eA"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
}

// differences adds up all SKUs, one a page.
func (b bundle) differences(t *testing.T) map[string]*inventoryv1.StockDifference {
	t.Helper()
	all := map[string]*inventoryv1.StockDifference{}
	request := &inventoryv1.ListStockDifferencesRequest{PageSize: 1}
	for more := true; more; more = request.GetPageToken() != "" {
		page, err := b.ListStockDifferences(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.GetDifferences() {
			all[d.GetSku()] = d
		}
		request.PageToken = page.GetNextPageToken()
	}
	return all
}

func (b bundle) rebuild(t *testing.T, sku string) (*inventoryv1.RebuildStockResponse, error) {
	t.Helper()
	return b.RebuildStock(t.Context(), &inventoryv1.RebuildStockRequest{IdempotencyKey: "rebuild/" + sku, Sku: sku, Reason: "audit"})
}

func TestRebuild_MakesTheLevelsWhatTheEventsSay(t *testing.T) {
	t.Parallel()
	b := eventful(t)
	healthy := b.levels(t)
	if got := b.differences(t); len(got) != 0 {
		t.Errorf("differences of a healthy stock: %v", got)
	}
	for _, damage := range []string{
		`UPDATE stock_level SET available = available + 3 WHERE sku = 'mug'`, `DELETE FROM stock_level WHERE sku = 'cup'`,
		`INSERT INTO stock_level (sku, available, reserved, shipped) VALUES ('ghost', 1, 0, 0)`,
	} {
		if _, err := b.db.Exec(t.Context(), damage); err != nil {
			t.Fatal(err)
		}
	}
	got := b.differences(t)
	if len(got) != 3 || got["mug"].GetLevel().GetAvailable() != 8 || got["mug"].GetEvents().GetAvailable() != 5 ||
		got["cup"].GetLevel() != nil || got["ghost"].GetEvents().GetAvailable() != 0 {
		t.Errorf("differences: %v", got)
	}
	for sku := range got {
		if done, err := b.rebuild(t, sku); err != nil || !done.GetChanged() {
			t.Errorf("rebuilding %s: got %v, %v", sku, done, err)
		}
	}
	b.wantLevels(t, healthy[0], stock.Level{SKU: "ghost"}, healthy[1])
	done, err := b.RebuildStock(t.Context(), &inventoryv1.RebuildStockRequest{IdempotencyKey: "rebuild/again", Sku: "mug", Reason: "audit"})
	if err != nil || done.GetChanged() {
		t.Errorf("rebuilding what is right: got %v, %v", done, err)
	}
	if n := pgtest.Column[int](t, b.db, `SELECT count(*)::int FROM operator_action WHERE verb = 'rebuild'`)[0]; n != 3 {
		t.Errorf("%d audit rows, want 3", n)
	}
	_, err = b.rebuild(t, "jug")
	rpcerrtest.Want(t, err, rpcerr.SKUUnknown, "sku")
}

func TestRebuild_LeavesADamagedHistoryAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	exec := func(statement string) {
		t.Helper()
		if _, err := b.db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO stock_event (sku, type, quantity, reservation_id) VALUES ('mug', 4, 1, '00000000-0000-7000-8000-000000000001')`)
	d := b.differences(t)["mug"]
	if d.GetEvents() != nil || !strings.Contains(d.GetDamage(), "committed 1 of mug with 10 available and 0 reserved") {
		t.Errorf("pieces that left and were never promised: got %v", d)
	}
	_, err := b.rebuild(t, "mug")
	rpcerrtest.Want(t, err, rpcerr.StockHistoryDamaged)
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 10})
	exec(`ALTER TABLE stock_event DISABLE TRIGGER stock_event_is_append_only; DELETE FROM stock_event WHERE type = 4`) // for what setup checks at the end
}

// Whoever moves stock while it is rebuilt and compared is in no way hindered, and loses nothing.
func TestRebuild_RunsWhileTheServiceWorks(t *testing.T) {
	t.Parallel()
	const rounds = 30
	b := setup(t, line("mug", 1000))
	errs := together(3, func(worker int) error {
		for i := range rounds {
			var err error
			switch worker {
			case 0:
				_, err = b.RebuildStock(t.Context(), &inventoryv1.RebuildStockRequest{
					IdempotencyKey: fmt.Sprintf("rebuild/%d", i), Sku: "mug", Reason: "audit",
				})
			case 1:
				_, err = b.Reserve(t.Context(), toReserve(fmt.Sprintf("saga/sag_%d/reserve", i), line("mug", 1)))
			case 2:
				if page, listErr := b.ListStockDifferences(t.Context(), &inventoryv1.ListStockDifferencesRequest{}); len(page.GetDifferences()) > 0 || listErr != nil {
					err = fmt.Errorf("differences %v, %w", page.GetDifferences(), listErr)
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	for worker, err := range errs {
		if err != nil {
			t.Errorf("worker %d: %v", worker, err)
		}
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 1000 - rounds, Reserved: rounds})
}
