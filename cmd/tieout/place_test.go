package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/cmd/tieout/placing"
	"github.com/tieout/tieout/cmd/tieout/receiving"
)

// orderLine is an order as JSON.
func orderLine(key, sku string, quantity int, method, country string) string {
	return fmt.Sprintf(`{"idempotency_key":%q,"customer_id":"c1","lines":[{"sku":%q,"quantity":%d,"unit_price":`+
		`{"currency_code":"GBP","minor_units":"899"}}],"payment_method":%q,"ship_to":{"name":"A","country":%q}}`+"\n", key, sku, quantity, method, country)
}

func TestOrderPlace_BringsOrdersToTheirEnds(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	if code, _, stderr := d.tieout(t, `{"sku":"MUG","quantity":90}`+"\n"+`{"sku":"MUG","quantity":10}`, "stock", "receive", "-f", "-"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	file := orderLine("order-ok", "MUG", 2, "pm_ok", "GB") +
		orderLine("order-declined", "MUG", 2, "pm_declined", "GB") +
		orderLine("order-nowhere", "MUG", 2, "pm_ok", "XX") +
		orderLine("order-unknown-sku", "CUP", 2, "pm_ok", "GB") +
		orderLine("order-zero", "MUG", 0, "pm_ok", "GB") +
		orderLine("", "MUG", 1, "pm_ok", "GB") +
		`{"idempotency_key":"order-colour","colour":"red"}` + "\n"
	for run, replayed := range []int64{0, 3} {
		code, stdout, stderr := d.tieout(t, file, "order", "place", "-f", "-", "--wait", "-o", "json")
		got := decode[placing.Summary](t, stdout)
		if got.DurationS <= 0 || got.LatencyMS.P50 <= 0 || got.LatencyMS.P99 < got.LatencyMS.P50 {
			t.Errorf("run %d: times are not told: %s", run, stdout)
		}
		got.DurationS, got.LatencyMS = 0, placing.Latency{}
		want := placing.Summary{Accepted: 3, Refused: 4, Completed: 1, Compensated: 2, Replayed: replayed}
		if diff := cmp.Diff(want, got); diff != "" || code != exitPartial {
			t.Errorf("run %d: exit %d, summary (-want +got):\n%s\n%s", run, code, diff, stderr)
		}
		for _, line := range []string{
			"line 4: SKU_UNKNOWN: ",
			"line 5: REQUEST_INVALID: must be greater than 0 (field lines[0].quantity)",
			"line 6: IDEMPOTENCY_KEY_MISSING:",
			`line 7: REQUEST_MALFORMED: unknown field "colour"`,
		} {
			if !strings.Contains(stderr, line) {
				t.Errorf("run %d: stderr lacks %q:\n%s", run, line, stderr)
			}
		}
	}
	_, stdout, _ := d.tieout(t, "", "stock", "get", "MUG", "-o", "json")
	stock := decode[map[string]string](t, stdout)
	if stock["available"] != "98" || stock["shipped"] != "2" || stock["reserved"] != "0" {
		t.Errorf("stock is %v, want 98 available and 2 shipped", stock)
	}
	testLookingAround(t, d)
}

// testTraces looks at the traces of three orders.
func testTraces(t *testing.T, d *daemon) {
	t.Helper()
	_, stdout, _ := d.tieout(t, "", "order", "list", "-o", "json")
	for _, o := range decode[[]map[string]any](t, stdout) {
		id, _ := o["order_id"].(string)
		code, stdout, stderr := d.tieout(t, "", "trace", id)
		if code != exitOK || strings.Count(stdout, "(the caller") != 1 || !strings.Contains(stdout, "└ order") ||
			!strings.Contains(stdout, "├ execute reserve") || !strings.Contains(stdout, "inventory.Reserve") {
			t.Errorf("trace %s: exit %d, %s\n%s", id, code, stderr, stdout)
		}
		if cause, _ := o["cause"].(string); !strings.Contains(stdout, cause) {
			t.Errorf("trace %s does not tell %q:\n%s", id, cause, stdout)
		}
		_, asJSON, _ := d.tieout(t, "", "trace", id, "-o", "json")
		if spans, _ := decode[map[string]any](t, asJSON)["spans"].([]any); len(spans) < 10 {
			t.Errorf("trace %s -o json: %d spans", id, len(spans))
		}
	}
	code, _, stderr := d.tieout(t, "", "trace", "ord_00000000-0000-7000-8000-000000000000")
	if code != exitNotFound || !strings.Contains(stderr, "no order") {
		t.Errorf("trace of an order that is not there: exit %d, %s", code, stderr)
	}
}

// testLookingAround looks at what three orders left behind.
func testLookingAround(t *testing.T, d *daemon) {
	t.Helper()
	for kind, want := range map[string]int{"order": 3, "saga": 3, "payment": 3, "stock": 1} {
		code, stdout, stderr := d.tieout(t, "", kind, "list", "-o", "json")
		if got := decode[[]map[string]any](t, stdout); code != exitOK || len(got) != want {
			t.Errorf("%s list: exit %d, %d items, want %d: %s", kind, code, len(got), want, stderr)
		}
	}
	_, stdout, _ := d.tieout(t, "", "order", "list", "-o", "jsonl", "--limit", "1")
	id, _ := decode[map[string]any](t, stdout)["order_id"].(string)
	for _, args := range [][]string{{"order", "get", id}, {"saga", "get", id}} {
		code, stdout, stderr := d.tieout(t, "", append(args, "-o", "json")...)
		if got := decode[map[string]any](t, stdout); code != exitOK || got["order_id"] != id {
			t.Errorf("%v: exit %d, order %v: %s", args, code, got["order_id"], stderr)
		}
	}
	testTraces(t, d)
	code, stdout, stderr := d.tieout(t, "", "order", "watch", id, "-o", "jsonl")
	if code != exitOK || strings.Count(stdout, "\n") != 1 {
		t.Errorf("watching an order that has ended: exit %d, %q, %s", code, stdout, stderr)
	}
	code, _, stderr = d.tieout(t, "", "order", "cancel", id)
	if code != exitPrecondition || !strings.Contains(stderr, "ORDER_NOT_CANCELLABLE") || !strings.Contains(stderr, "trace ") {
		t.Errorf("cancelling an order that has ended: exit %d, %s", code, stderr)
	}
	code, stdout, stderr = d.tieout(t, "", "order", "get", "ord_00000000-0000-7000-8000-000000000000", "-o", "json")
	if code != exitNotFound || stdout != "" {
		t.Errorf("an order that is not there: exit %d, stdout %q, %s", code, stdout, stderr)
	}
}

func TestStockReceive_ReceivesAFileOnce(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	var file strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&file, `{"sku":"S%d","quantity":2}`+"\n", i%700)
	}
	file.WriteString(`{"sku":"S0","quantity":0}` + "\n" + `{"sku":"S0"` + "\n")
	receive := func(args ...string) receiving.Summary {
		t.Helper()
		code, stdout, stderr := d.tieout(t, file.String(), append([]string{"stock", "receive", "-f", "-", "-o", "json"}, args...)...)
		if code != exitPartial || !strings.Contains(stderr, "line 1201: REQUEST_INVALID: must be greater than 0 (field quantity)") ||
			!strings.Contains(stderr, "line 1202: REQUEST_MALFORMED") {
			t.Errorf("exit %d: %s", code, stderr)
		}
		return decode[receiving.Summary](t, stdout)
	}
	want := receiving.Summary{Received: 1200, Quantity: 2400, Refused: 2}
	if diff := cmp.Diff(want, receive()); diff != "" {
		t.Errorf("first time (-want +got):\n%s", diff)
	}
	want.Replayed = 1200
	if diff := cmp.Diff(want, receive()); diff != "" {
		t.Errorf("the same file again (-want +got):\n%s", diff)
	}
	want.Replayed = 0
	if diff := cmp.Diff(want, receive("--key", "second-delivery")); diff != "" {
		t.Errorf("a second delivery (-want +got):\n%s", diff)
	}
	_, stdout, _ := d.tieout(t, "", "stock", "get", "S1", "-o", "json")
	if got := decode[map[string]string](t, stdout)["received"]; got != "8" {
		t.Errorf("%s pieces received, want 8", got)
	}
	_, stdout, _ = d.tieout(t, "", "stock", "list", "-o", "jsonl", "--limit", "0")
	if got := strings.Count(stdout, "\n"); got != 700 {
		t.Errorf("%d SKUs listed, want 700", got)
	}
}

// retail is a file of real invoices, with real mistakes.
const retail = "../../../shared/data/retail/online_retail.csv"

func TestOrderPlace_BringsEveryRealInvoiceToAnEnd(t *testing.T) {
	t.Parallel()
	file, err := os.Open(filepath.FromSlash(retail))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not there", retail)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	d := startDev(t, dataDir(t))
	var receipts strings.Builder
	skus := map[string]bool{}
	for _, row := range rows[1:] {
		if !skus[row[1]] {
			skus[row[1]] = true
			fmt.Fprintf(&receipts, `{"sku":%q,"quantity":100000}`+"\n", row[1])
		}
	}
	if code, _, stderr := d.tieout(t, receipts.String(), "stock", "receive", "-f", "-"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	code, stdout, stderr := d.tieout(t, "", "order", "place", "-f", retail, "--payment-method", "pm_ok", "--ship-to", "GB", "--wait", "-o", "json",
		"--map", "order=InvoiceNo,sku=StockCode,quantity=Quantity,unit_price=UnitPrice,customer=CustomerID,currency=GBP")
	got := decode[placing.Summary](t, stdout)
	got.DurationS, got.LatencyMS = 0, placing.Latency{}
	if diff := cmp.Diff(placing.Summary{Accepted: 400, Refused: 112, Completed: 400}, got); diff != "" || code != exitPartial {
		t.Fatalf("exit %d, summary (-want +got):\n%s\n%s", code, diff, stderr)
	}
	if got, want := shipped(t, d), plainQuantity(t, rows[1:]); got != want {
		t.Errorf("%d pieces were shipped, and the plain invoices have %d", got, want)
	}
}

// plainQuantity adds up the pieces of the invoices without a fault.
func plainQuantity(t *testing.T, rows [][]string) int64 {
	t.Helper()
	pieces, faulty := map[string]int64{}, map[string]bool{}
	for _, row := range rows {
		quantity, err := strconv.ParseInt(row[3], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		price, err := strconv.ParseFloat(row[5], 64)
		if err != nil {
			t.Fatal(err)
		}
		pieces[row[0]] += quantity
		if quantity <= 0 || price <= 0 || row[6] == "" {
			faulty[row[0]] = true
		}
	}
	var sum int64
	for invoice, quantity := range pieces {
		if !faulty[invoice] {
			sum += quantity
		}
	}
	return sum
}

// shipped adds up the pieces that have left, and checks that each SKU's stock adds up.
func shipped(t *testing.T, d *daemon) int64 {
	t.Helper()
	_, stdout, _ := d.tieout(t, "", "stock", "list", "-o", "jsonl", "--limit", "0")
	var sum int64
	for lines := json.NewDecoder(strings.NewReader(stdout)); lines.More(); {
		var s struct {
			SKU                                    string
			Available, Reserved, Shipped, Received int64 `json:",string"`
		}
		if err := lines.Decode(&s); err != nil {
			t.Fatal(err)
		}
		if s.Reserved != 0 || s.Available+s.Shipped != s.Received {
			t.Errorf("the stock of %s does not add up: %+v", s.SKU, s)
		}
		sum += s.Shipped
	}
	return sum
}
