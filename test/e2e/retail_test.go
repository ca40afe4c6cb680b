package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/test/systemtest"
)

// retail is 512 real invoices of an online retailer, with all their mess.
const retail = "../../../shared/data/retail/online_retail.csv"

// exitPartial is the exit code of a command that did a part of what it was told.
const exitPartial = 7

type placeSummary struct {
	Accepted, Refused, Completed, Compensated, Parked, Replayed, Failed int
}

func TestRetail_EveryInvoiceEndsOrIsRefusedWithAReason(t *testing.T) {
	if _, err := os.Stat(retail); err != nil {
		t.Skipf("the data set is not there: %v", err)
	}
	f := setup(t)
	cli := &command{fixture: f, binary: systemtest.Build(t)}
	stock := filepath.Join(t.TempDir(), "stock.jsonl")
	invoices, plain := writeStock(t, stock)
	if _, code := cli.run("stock", "receive", "-f", stock); code != 0 {
		t.Fatalf("stock receive ended with %d:\n%s", code, cli.stderr)
	}

	place := []string{"order", "place", "-f", retail, "--payment-method", "pm_ok", "--ship-to", "GB", "--wait", "-o", "json",
		"--map", "order=InvoiceNo,sku=StockCode,quantity=Quantity,unit_price=UnitPrice,customer=CustomerID,currency=GBP"}
	got := cli.place(place)
	if want := (placeSummary{Accepted: plain, Refused: invoices - plain, Completed: plain}); got != want {
		t.Errorf("got %+v, want %+v\n%s", got, want, cli.stderr)
	}
	for line := range strings.Lines(cli.stderr) {
		if progress := strings.Contains(line, " accepted, "); !progress && !refusalLine(line) {
			t.Errorf("stderr has a line without line number, reason and field: %q", line)
		}
	}
	again := cli.place(place)
	if want := (placeSummary{Accepted: plain, Refused: invoices - plain, Completed: plain, Replayed: plain}); again != want {
		t.Errorf("the second time: got %+v, want %+v", again, want)
	}
	orders := f.all()
	if len(orders) != plain {
		t.Errorf("%d orders exist, want %d", len(orders), plain)
	}
	f.world.CheckQuiet(t, f.conn)
}

// refusalLine tells whether a line reads as `line 12: REASON: message (field …)`.
func refusalLine(line string) bool {
	var n int
	if _, err := fmt.Sscanf(line, "line %d:", &n); err != nil || n < 2 {
		return false
	}
	_, rest, _ := strings.Cut(line, ": ")
	reason, _, ok := strings.Cut(rest, ": ")
	return ok && reason == strings.ToUpper(reason) && strings.Contains(line, "(field ")
}

// writeStock writes a receipt of every SKU of the data set, enough for all of it, and counts the invoices, and
// those that anybody would accept as they are.
func writeStock(t *testing.T, path string) (invoices, plain int) {
	t.Helper()
	file, err := os.Open(retail)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	pieces, odd := map[string]int64{}, map[string]bool{}
	for _, row := range rows[1:] {
		quantity, err := strconv.ParseInt(row[3], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		pieces[row[1]] += max(quantity, 1)
		price, err := strconv.ParseFloat(row[5], 64) // only to find prices of nothing
		odd[row[0]] = odd[row[0]] || err != nil || price <= 0 || quantity <= 0 || row[6] == "" || strings.HasPrefix(row[0], "C")
	}
	var out bytes.Buffer
	for _, sku := range slices.Sorted(maps.Keys(pieces)) {
		line, err := json.Marshal(map[string]any{"sku": sku, "quantity": pieces[sku]})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, is := range odd {
		if !is {
			plain++
		}
	}
	return len(odd), plain
}

// command runs the binary as a user would, against the fixture's process.
type command struct {
	*fixture
	binary string
	stderr string // of the last run
}

func (c *command) run(args ...string) (stdout string, code int) {
	c.Helper()
	cmd := exec.CommandContext(c.Context(), c.binary, append(args, "--addr", c.process.GRPCAddr())...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	c.stderr = errs.String()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), exit.ExitCode()
	}
	if err != nil {
		c.Fatal(err)
	}
	return out.String(), 0
}

// place runs `order place` where some of the orders are refused.
func (c *command) place(args []string) placeSummary {
	c.Helper()
	out, code := c.run(args...)
	var s placeSummary
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != exitPartial {
		c.Fatalf("order place ended with %d, want %d (%v):\n%s\n%s", code, exitPartial, err, out, c.stderr)
	}
	return s
}

// all reads every order there is.
func (f *fixture) all() []*orderv1.Order {
	f.Helper()
	var orders []*orderv1.Order
	for token := ""; ; {
		page, err := f.orders.ListOrders(f.Context(), &orderv1.ListOrdersRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			f.Fatal(err)
		}
		orders = append(orders, page.GetOrders()...)
		if token = page.GetNextPageToken(); token == "" {
			return orders
		}
	}
}
