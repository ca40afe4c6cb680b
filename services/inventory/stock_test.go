package inventory

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/testing/protocmp"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/inventory/stock"
)

func TestReceive_AddsUpAndAnswersWithTheStock(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	got := b.mustReceive(t, "receipt-two", line("mug", 2), line("cup", 4), line("mug", 1))
	want := []*inventoryv1.Stock{
		{Sku: "cup", Available: 4, Received: 4},
		{Sku: "mug", Available: 13, Received: 13},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(want[0], "update_time")); diff != "" {
		t.Errorf("stock (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"stock.received", "stock.received"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestReceive_TheSameReceiptCountsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receipt-one", Lines: []*inventoryv1.StockLine{line("mug", 10)}}
	first, err := b.ReceiveStock(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	b.mustReceive(t, "receipt-two", line("mug", 1))
	var header metadata.MD
	again, err := b.ReceiveStock(t.Context(), request, grpc.Header(&header))
	if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" || err != nil || !replayed(header) {
		t.Errorf("received again: %v, header %v (-first +again):\n%s", err, header, diff)
	}
	request.Lines[0].Quantity = 11
	_, err = b.ReceiveStock(t.Context(), request)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "lines")
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 11})
}

func TestReceive_CountsBeyond32Bits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustReceive(t, "receipt-one", line("mug", math.MaxInt32), line("mug", math.MaxInt32))
	b.mustReceive(t, "receipt-two", line("mug", math.MaxInt32))
	b.mustReserve(t, key, line("mug", math.MaxInt32), line("mug", math.MaxInt32))
	b.wantLevels(t, stock.Level{SKU: "mug", Available: math.MaxInt32, Reserved: 2 * math.MaxInt32})
}

func TestReceive_RefusesWhat64BitsCannotCount(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 1))
	for _, statement := range []string{
		fmt.Sprintf(`INSERT INTO stock_event (sku, type, quantity) VALUES ('mug', 1, %d)`, math.MaxInt64-2),
		fmt.Sprintf(`UPDATE stock_level SET available = %d`, math.MaxInt64-1),
	} {
		if _, err := b.db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.ReceiveStock(t.Context(), &inventoryv1.ReceiveStockRequest{
		IdempotencyKey: "receipt-two", Lines: []*inventoryv1.StockLine{line("cup", 1), line("mug", 2)},
	})
	rpcerrtest.Want(t, err, rpcerr.QuantityOverflow, "lines")
	b.wantLevels(t, stock.Level{SKU: "mug", Available: math.MaxInt64 - 1})
	b.mustReceive(t, "receipt-three", line("mug", 1))
}

func TestGetStock_AnswersInTheOrderAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10), line("cup", 4))
	one, err := b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "mug"})
	if err != nil || one.GetStock().GetAvailable() != 10 || one.GetStock().GetUpdateTime() == nil {
		t.Errorf("got %v, %v, want 10 available", one, err)
	}
	several, err := b.BatchGetStock(t.Context(), &inventoryv1.BatchGetStockRequest{Skus: []string{"mug", "cup", "mug"}})
	if err != nil {
		t.Fatal(err)
	}
	var skus []string
	for _, s := range several.GetStock() {
		skus = append(skus, s.GetSku())
	}
	if diff := cmp.Diff([]string{"mug", "cup", "mug"}, skus); diff != "" {
		t.Errorf("SKUs (-want +got):\n%s", diff)
	}
	_, err = b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "jug"})
	rpcerrtest.Want(t, err, rpcerr.SKUUnknown, "sku")
	_, err = b.BatchGetStock(t.Context(), &inventoryv1.BatchGetStockRequest{Skus: []string{"mug", "jug", "cup", "pan"}})
	rpcerrtest.Want(t, err, rpcerr.SKUUnknown, "skus[1]", "skus[3]")
}

func TestListStock_PagesBySKU(t *testing.T) {
	t.Parallel()
	b := setup(t, line("e", 1), line("c", 1), line("a", 1), line("d", 1), line("b", 1))
	var got []string
	for token, more := "", true; more; more = token != "" {
		page, err := b.ListStock(t.Context(), &inventoryv1.ListStockRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		var skus strings.Builder
		for _, s := range page.GetStock() {
			skus.WriteString(s.GetSku())
		}
		got, token = append(got, skus.String()), page.GetNextPageToken()
	}
	if diff := cmp.Diff([]string{"ab", "cd", "e"}, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	_, err := b.ListStock(t.Context(), &inventoryv1.ListStockRequest{PageToken: "not base64!"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
	_, err = b.ListStock(t.Context(), &inventoryv1.ListStockRequest{PageSize: -1})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_size")
}

// What is said of levels when they are written is not read back: it follows from what was locked.
func TestPutLevels_SaysWhatIsWritten(t *testing.T) {
	t.Parallel()
	b := setup(t, line("cup", 4), line("mug", 10))
	b.mustReserve(t, key, line("mug", 1))
	var said, read []levelAt
	seen := errors.New("seen") // and undone, for no events tell of it
	err := pg.InTxByKey(t.Context(), b.db, func(tx *pg.Tx) error {
		locked, err := newStore(tx).lockLevels(t.Context(), []string{"cup", "mug"})
		if err != nil {
			return err
		}
		said, err = newStore(tx.Later()).putLevels(t.Context(), locked,
			[]stock.Level{{SKU: "cup", Available: 5}, {SKU: "jug", Available: 6}, {SKU: "mug", Available: 7}}, map[string]bool{"jug": true})
		if err != nil {
			return err
		}
		read, err = newStore(tx).levels(t.Context(), []string{"cup", "jug", "mug"})
		return errors.Join(err, seen)
	})
	if !errors.Is(err, seen) || read == nil {
		t.Fatal(err)
	}
	slices.SortFunc(said, func(a, b levelAt) int { return strings.Compare(a.SKU, b.SKU) })
	if diff := cmp.Diff(read, said, cmp.AllowUnexported(levelAt{})); diff != "" {
		t.Errorf("levels (-read +said):\n%s", diff)
	}
}
