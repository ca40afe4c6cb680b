package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/tieout/tieout/cmd/tieout/auditing"
	auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/pspsim"
	"github.com/tieout/tieout/test/systemtest"
)

// fixture is a system in which some orders and recurring payments have ended, one in each way.
type fixture struct {
	world   *systemtest.World
	process *service.Process
	conn    *grpc.ClientConn
}

func setup(t *testing.T, change ...func(*service.Config)) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{world: systemtest.NewWorld(t)}
	cfg := servicetest.Config()
	cfg.NATS.URL = f.world.NATS.URL()
	for _, c := range change {
		c(&cfg)
	}
	f.process = servicetest.StartWith(t, cfg, f.world.Services()...)
	f.conn = servicetest.Dial(t, f.process, "test")
	_, err := inventoryv1.NewInventoryServiceClient(f.conn).ReceiveStock(t.Context(), &inventoryv1.ReceiveStockRequest{
		IdempotencyKey: "receive-all", Lines: []*inventoryv1.StockLine{{Sku: "MUG", Quantity: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	chargeBatch(t, f.conn)
	orders := orderv1.NewOrderServiceClient(f.conn)
	for i, r := range []struct{ method, country string }{{"pm_ok", "GB"}, {"pm_declined", "GB"}, {"pm_ok", "XX"}} {
		answer, err := orders.PlaceOrder(t.Context(), &orderv1.PlaceOrderRequest{
			IdempotencyKey: fmt.Sprintf("order-%04d", i), CustomerId: "c", PaymentMethod: r.method,
			ShipTo: &commonv1.Address{Country: r.country},
			Lines:  []*orderv1.OrderLine{{Sku: "MUG", Quantity: 2, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 255}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		systemtest.End(t, orders, answer.GetOrder().GetOrderId())
	}
	f.world.CheckQuiet(t, f.conn)
	return f
}

// chargeBatch has two recurring payments made, one of which is declined.
func chargeBatch(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	batches := billingv1.NewBatchServiceClient(conn)
	planned, err := systemtest.Upload(t.Context(), batches, "upload-dues", &billingv1.BatchHeader{Name: "dues"},
		"reference,customer_id,payment_method,amount,currency\nINV-1,c,pm_ok,5.10,GBP\nINV-2,c,pm_declined,5.10,GBP\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := batches.StartBatch(t.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start-dues", BatchId: planned.GetBatchId()}); err != nil {
		t.Fatal(err)
	}
	systemtest.EndBatch(t, batches, planned.GetBatchId(), time.Minute)
}

// between gives what the comparisons between services find, with a provider's journal.
func (f *fixture) between(t *testing.T, providerURL string) (checks []*auditv1.Check) {
	t.Helper()
	err := auditing.Run(t.Context(), auditing.Sources{Conns: []*grpc.ClientConn{f.conn}, ProviderURL: providerURL}, func(c *auditv1.Check) error {
		if c.GetService() == "system" {
			checks = append(checks, c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return checks
}

// planted is what is wrong between services, how it comes and goes, and the comparisons that it turns red.
var planted = []struct{ name, service, do, undo, red string }{
	{"the shipment of a completed order is cancelled", "shipment",
		`UPDATE shipment SET state = 4 WHERE state = 2`, `UPDATE shipment SET state = 2 WHERE state = 4`, "20_completed_once"},
	{"a compensated order ships", "shipment",
		`UPDATE shipment SET state = 2, tracking_number = 'T', refusal_reason = '' WHERE state = 3`,
		`UPDATE shipment SET state = 3, tracking_number = '', refusal_reason = 'r' WHERE tracking_number = 'T'`, "15_shipments_of_orders"},
	{"a shipment for nobody's order", "shipment",
		`INSERT INTO shipment (id, state, reference, address, tracking_number, carrier_key) VALUES (gen_random_uuid(), 2, 'x', '{}', 'T', 'x')`,
		`DELETE FROM shipment WHERE reference = 'x'`, "15_shipments_of_orders"},
	{"a payment is left in doubt", "payment",
		`UPDATE payment SET state = 2, decline_reason = '', provider_charge_id = '' WHERE state = 4`, `UPDATE payment SET state = 4, decline_reason = 'd' WHERE state = 2`, "19_nothing_left_open"},
	{"a payment of another amount", "payment",
		`UPDATE payment SET amount_minor = 511 WHERE state = 3`, `UPDATE payment SET amount_minor = 510 WHERE state = 3`,
		"5_charged_as_ordered 5_same_amounts"},
	{"a capture of another amount", "payment",
		`UPDATE payment SET captured_minor = 509 WHERE state = 3`, `UPDATE payment SET captured_minor = 510 WHERE state = 3`,
		"2_net_charge 3_no_unknown_success"},
	{"a payment in another currency", "payment",
		`UPDATE payment SET currency = 'JPY' WHERE state = 3`, `UPDATE payment SET currency = 'GBP' WHERE state = 3`,
		"5_charged_as_ordered 5_same_amounts"},
	{"a capture that the provider does not know", "payment",
		`UPDATE payment SET provider_charge_id = 'x' || provider_charge_id WHERE state = 3`,
		`UPDATE payment SET provider_charge_id = substr(provider_charge_id, 2) WHERE state = 3`, "4_no_unknown_capture"},
	{"a refund that the provider does not know", "payment",
		`UPDATE payment SET state = 10, refunded_minor = 1 WHERE state = 3`, `UPDATE payment SET state = 3, refunded_minor = 0 WHERE state = 10`,
		"4_no_unknown_capture"},
	{"a void that the books do not know", "payment",
		`UPDATE payment SET state = 9 WHERE state = 6`, `UPDATE payment SET state = 6 WHERE state = 9`, "19_nothing_left_open"},
	{"a compensated order is charged", "payment",
		`UPDATE payment SET state = 3, captured_minor = 510 WHERE state = 6`,
		`UPDATE payment SET state = 6, captured_minor = 0 WHERE reference IN (SELECT reference FROM payment WHERE state = 3 ORDER BY id DESC LIMIT 1)`,
		"2_net_charge 4_no_unknown_capture"},
	{"a payment for nobody's order", "payment",
		`WITH made AS (INSERT INTO payment (id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key)
		               VALUES (gen_random_uuid(), 6, 'GBP', 1, 'm', 'c', 'x', 'x') RETURNING id)
		 INSERT INTO operation (payment_id, seq, op, state, amount_minor, provider_key) SELECT id, 1, 2, 6, 1, 'x' FROM made`,
		`DELETE FROM operation WHERE provider_key = 'x'; DELETE FROM payment WHERE reference = 'x'`, "2_net_charge"},
	{"an order of another total", "orchestrator",
		`UPDATE orders SET total_minor = 511 WHERE payment_method = 'pm_ok'`, `UPDATE orders SET total_minor = 510 WHERE payment_method = 'pm_ok'`,
		"2_net_at_provider 2_net_charge 5_charged_as_ordered"},
	{"a recurring payment of which less was taken", "payment",
		`UPDATE payment SET captured_minor = 509 WHERE state = 3 AND reference LIKE 'rcp_%'`,
		`UPDATE payment SET captured_minor = 510 WHERE state = 3 AND reference LIKE 'rcp_%'`, "2_net_charge 3_no_unknown_success"},
	{"a recurring payment of another total", "orchestrator",
		`UPDATE recurring_payment SET amount_minor = 511 WHERE payment_method = 'pm_ok'`,
		`UPDATE recurring_payment SET amount_minor = 510 WHERE payment_method = 'pm_ok'`,
		"2_net_at_provider 2_net_charge 5_charged_as_ordered"},
	{"a compensated recurring payment is charged", "payment",
		`UPDATE payment SET state = 3, captured_minor = 510, decline_reason = '', provider_charge_id = 'x' WHERE state = 4 AND reference LIKE 'rcp_%'`,
		`UPDATE payment SET state = 4, captured_minor = 0, decline_reason = 'd', provider_charge_id = '' WHERE provider_charge_id = 'x'`,
		"2_net_charge 4_no_unknown_capture"},
	{"a recurring payment is charged a second time", "payment",
		`WITH made AS (INSERT INTO payment (id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key, provider_charge_id, captured_minor)
		               SELECT gen_random_uuid(), 3, 'GBP', 510, 'm', 'c', reference, 'x', 'x', 510
		                 FROM payment WHERE state = 3 AND reference LIKE 'rcp_%' RETURNING id)
		 INSERT INTO operation (payment_id, seq, op, state, amount_minor, provider_key, provider_id) SELECT id, 1, 1, 4, 510, 'x', 'x' FROM made`,
		`DELETE FROM operation WHERE provider_key = 'x'; DELETE FROM payment WHERE provider_key = 'x'`,
		"20_completed_once 2_net_charge 4_no_unknown_capture"},
	{"a payment for nobody's recurring payment", "payment",
		`WITH made AS (INSERT INTO payment (id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key)
		               VALUES (gen_random_uuid(), 6, 'GBP', 1, 'm', 'c', 'rcp_x', 'x') RETURNING id)
		 INSERT INTO operation (payment_id, seq, op, state, amount_minor, provider_key) SELECT id, 1, 2, 6, 1, 'x' FROM made`,
		`DELETE FROM operation WHERE provider_key = 'x'; DELETE FROM payment WHERE reference = 'rcp_x'`, "2_net_charge"},
	{"billing says of an item that it succeeded", "billing",
		`UPDATE batch_item SET state = 3 WHERE state = 4`, `UPDATE batch_item SET state = 4 WHERE reason <> ''`, "47_items_of_sagas"},
	{"billing does not say of an item that it succeeded", "billing",
		`UPDATE batch_item SET state = 5, known_at = NULL, reason = 'x' WHERE state = 3`,
		`UPDATE batch_item SET state = 3, known_at = now(), reason = '' WHERE reason = 'x'`, "47_items_of_sagas"},
	{"billing says of another attempt that it succeeded", "billing",
		`UPDATE batch_item SET attempt = 2 WHERE state = 3`, `UPDATE batch_item SET attempt = 1 WHERE state = 3`, "47_items_of_sagas"},
	{"a recurring payment for nobody's batch", "orchestrator",
		`UPDATE recurring_payment SET reference = 'bat_x/' || reference WHERE payment_method = 'pm_ok'`,
		`UPDATE recurring_payment SET reference = substr(reference, 7) WHERE payment_method = 'pm_ok'`, "47_items_of_sagas"},
	{"an orphan reservation", "inventory",
		`UPDATE stock_level SET reserved = 1`, `UPDATE stock_level SET reserved = 0`, "14_stock_of_orders"},
	{"more has left than was ordered", "inventory",
		`UPDATE stock_level SET shipped = 3`, `UPDATE stock_level SET shipped = 2`, "14_stock_of_orders"},
	{"less has left than was ordered", "inventory",
		`UPDATE stock_level SET shipped = 1`, `UPDATE stock_level SET shipped = 2`, "14_stock_of_orders"},
}

func TestComparisons_FindWhatIsPlantedAndNothingElse(t *testing.T) {
	f := setup(t)
	for _, p := range planted {
		execute(t, f.world.DSN[p.service], p.do)
		if diff := cmp.Diff(p.red, red(t, f.between(t, f.world.PSP.URL()))); diff != "" {
			t.Errorf("%s: red comparisons (-want +got):\n%s", p.name, diff)
		}
		execute(t, f.world.DSN[p.service], p.undo)
		if left := red(t, f.between(t, f.world.PSP.URL())); left != "" {
			t.Fatalf("%s: %s stays red after it was undone", p.name, left)
		}
	}
	execute(t, f.world.DSN["orchestrator"], `DELETE FROM recurring_payment`)
	want := "2_net_charge 3_no_unknown_success 47_items_of_sagas"
	if diff := cmp.Diff(want, red(t, f.between(t, f.world.PSP.URL()))); diff != "" {
		t.Errorf("all recurring payments are lost: red comparisons (-want +got):\n%s", diff)
	}
	execute(t, f.world.DSN["orchestrator"], `DELETE FROM orders`)
	want = "14_stock_of_orders 15_shipments_of_orders 2_net_charge 3_no_unknown_success 47_items_of_sagas"
	if diff := cmp.Diff(want, red(t, f.between(t, f.world.PSP.URL()))); diff != "" {
		t.Errorf("all orders are lost: red comparisons (-want +got):\n%s", diff)
	}
}

// What is decided on is no payment, and nothing that an order or the provider's journal could contradict.
func TestComparisons_HoldWhateverIsDecidedInTheLedger(t *testing.T) {
	f := setup(t)
	pounds := func(minor int64) *commonv1.Amount { return &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: minor} }
	for i, r := range []*paymentv1.PostJournalRequest{
		{Kind: paymentv1.JournalKind_JOURNAL_KIND_PAYOUT, Amount: pounds(500), Fee: pounds(5)},
		{Kind: paymentv1.JournalKind_JOURNAL_KIND_FEE, Amount: pounds(200)},
		{Kind: paymentv1.JournalKind_JOURNAL_KIND_CORRECTION, Postings: []*paymentv1.Posting{
			{Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_REVENUE, Amount: pounds(7)},
			{Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_SUSPENSE, Amount: pounds(-7)},
		}},
		{Kind: paymentv1.JournalKind_JOURNAL_KIND_WRITE_OFF, Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_SUSPENSE, Amount: pounds(-7)},
	} {
		r.IdempotencyKey, r.Key, r.Reason = fmt.Sprintf("decided-%d", i), "decided", "a test"
		if _, err := paymentv1.NewLedgerServiceClient(f.conn).PostJournal(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if found := red(t, run(t, f.conn)) + red(t, f.between(t, f.world.PSP.URL())); found != "" {
		t.Errorf("red checks: %s", found)
	}
}

// What the provider says is compared with our books, which say that all is well.
func TestComparisons_FindWhatTheProviderSaysOtherwise(t *testing.T) {
	f := setup(t)
	var said []pspsim.Entry
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, e := range said {
			_ = json.NewEncoder(w).Encode(e) // a client that leaves is none of our business
		}
	}))
	t.Cleanup(provider.Close)
	journal := f.world.PSP.Journal()
	for _, p := range []struct {
		name    string
		of      pspsim.EntryType
		becomes func(pspsim.Entry) []pspsim.Entry
		red     string
	}{
		{"an authorization is captured twice", pspsim.TypeCapture, func(e pspsim.Entry) []pspsim.Entry { return []pspsim.Entry{e, e} },
			"1_charged_once 2_net_at_provider 3_no_unknown_success"},
		{"a key is authorized twice", pspsim.TypeAuthorize, func(e pspsim.Entry) []pspsim.Entry {
			again := e
			again.ID += "again"
			return []pspsim.Entry{e, again}
		}, "19_nothing_left_set_aside 1_charged_once"},
		{"an authorization is not voided", pspsim.TypeVoid, func(pspsim.Entry) []pspsim.Entry { return nil }, "19_nothing_left_set_aside"},
		{"a capture is given back", pspsim.TypeCapture, func(e pspsim.Entry) []pspsim.Entry {
			back := e
			back.Type, back.ID = pspsim.TypeRefund, "re_1"
			return []pspsim.Entry{e, back}
		}, "3_no_unknown_success"},
		{"a recurring payment is charged twice", pspsim.TypeCharge, func(e pspsim.Entry) []pspsim.Entry {
			again := e
			again.ID += "again"
			return []pspsim.Entry{e, again}
		}, "1_charged_once 2_net_at_provider"},
		{"a recurring payment is not charged", pspsim.TypeCharge, func(pspsim.Entry) []pspsim.Entry { return nil },
			"2_net_at_provider 4_no_unknown_capture"},
	} {
		said = nil
		for _, e := range journal {
			if e.Type == p.of {
				said = append(said, p.becomes(e)...)
			} else {
				said = append(said, e)
			}
		}
		if diff := cmp.Diff(p.red, red(t, f.between(t, provider.URL))); diff != "" {
			t.Errorf("%s: red comparisons (-want +got):\n%s", p.name, diff)
		}
	}
}

func TestComparisons_SayWhichServiceIsMissing(t *testing.T) {
	t.Parallel()
	w := systemtest.NewWorld(t)
	cfg := servicetest.Config()
	cfg.NATS.URL = w.NATS.URL()
	f := &fixture{world: w, conn: servicetest.Dial(t, servicetest.StartWith(t, cfg, w.Services()[:2]...), "test")}
	for _, c := range f.between(t, "") {
		if !strings.Contains(c.GetError(), "billing, orchestrator, shipment") {
			t.Errorf("%s: error %q does not name the services that are missing", c.GetName(), c.GetError())
		}
	}
}

func TestMetric_TellsViolationsByItself(t *testing.T) {
	f := setup(t, func(c *service.Config) { c.AuditEvery = 20 * time.Millisecond })
	is := func(value string) func() bool {
		want := `tieout_invariant="12_levels_are_their_events",tieout_service="inventory"} ` + value
		return func() bool { return strings.Contains(metrics(t, f.process), want) }
	}
	waittest.Until(t, "the metric says that the invariant holds", is("0"))
	execute(t, f.world.DSN["inventory"], `UPDATE stock_level SET available = available + 1; SELECT pg_stat_force_next_flush()`)
	waittest.Until(t, "the metric says that it does not", is("1"))
}

func metrics(t *testing.T, p *service.Process) string {
	t.Helper()
	answer, err := http.Get("http://" + p.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var b strings.Builder
	if err := answer.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCommand_ExitsWithFindings(t *testing.T) {
	f := setup(t)
	binary := systemtest.Build(t)
	audit := func() (checks []*auditv1.Check, code int) {
		cmd := exec.CommandContext(t.Context(), binary, "audit", "--addr", f.process.GRPCAddr(), "--psp", f.world.PSP.URL(), "-o", "jsonl")
		out, err := cmd.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			c := &auditv1.Check{}
			if err := protojson.Unmarshal([]byte(line), c); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			checks = append(checks, c)
		}
		return checks, code
	}
	checks, code := audit()
	if found := red(t, checks); found != "" || code != 0 || len(checks) < 30 {
		t.Errorf("a healthy system: %d checks, %q violated, exit code %d", len(checks), found, code)
	}
	execute(t, f.world.DSN["inventory"], `UPDATE stock_level SET reserved = 1`)
	checks, code = audit()
	if found := red(t, checks); found != "12_levels_are_their_events 14_stock_of_orders" || code != 8 {
		t.Errorf("a broken system: %q violated, exit code %d, want 8", found, code)
	}
}
