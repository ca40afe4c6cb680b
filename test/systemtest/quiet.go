package systemtest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// CheckQuiet checks what must hold when the given orders, all that were placed, are at rest.
func (w *World) CheckQuiet(t testing.TB, orders []*orderv1.Order) {
	t.Helper()
	w.checkMoney(t, orders)
	w.checkStock(t, orders)
	w.checkShipments(t, orders)
	for name, violations := range w.violations(t) {
		for _, v := range violations {
			t.Errorf("%s: %s", name, v)
		}
	}
	w.checkStream(t)
}

// checkMoney compares what the provider did with what the orders came to: all of the total for a completed one,
// nothing for a compensated one, and never two charges for one key.
func (w *World) checkMoney(t testing.TB, orders []*orderv1.Order) {
	t.Helper()
	net, charges := map[string]int64{}, map[string]int{}
	for _, e := range w.PSP.Journal() {
		switch e.Type {
		case pspsim.TypeCharge:
			net[e.Reference] += e.AmountMinor
			charges[e.IdempotencyKey]++
			if charges[e.IdempotencyKey] > 1 {
				t.Errorf("order %s was charged %d times under one key", e.Reference, charges[e.IdempotencyKey])
			}
		case pspsim.TypeRefund:
			net[e.Reference] -= e.AmountMinor
		}
	}
	for _, o := range orders {
		var want int64
		if o.GetState() == orderv1.OrderState_ORDER_STATE_COMPLETED {
			want = o.GetTotal().GetMinorUnits()
		}
		if net[o.GetOrderId()] != want {
			t.Errorf("order %s, %s: the provider holds %d, want %d (%s)", o.GetOrderId(), o.GetState(), net[o.GetOrderId()], want, o.GetCause())
		}
		delete(net, o.GetOrderId())
	}
	for reference, amount := range net {
		t.Errorf("the provider holds %d for %s, which nobody placed", amount, reference)
	}
}

// checkStock compares the pieces that left with what completed orders contain.
func (w *World) checkStock(t testing.TB, orders []*orderv1.Order) {
	t.Helper()
	want := map[string]int64{}
	for _, o := range orders {
		if o.GetState() == orderv1.OrderState_ORDER_STATE_COMPLETED {
			for _, l := range o.GetLines() {
				want[l.GetSku()] += int64(l.GetQuantity())
			}
		}
	}
	got := map[string]int64{}
	for _, row := range w.rows(t, "inventory", `SELECT sku || '', shipped FROM stock_level WHERE shipped > 0`) {
		got[row[0].(string)] = row[1].(int64)
	}
	if !maps.Equal(got, want) {
		t.Errorf("stock: %d SKUs have shipped pieces, want %d; or their numbers differ", len(got), len(want))
	}
}

// checkShipments wants one scheduled shipment for a completed order, and none for a compensated one.
func (w *World) checkShipments(t testing.TB, orders []*orderv1.Order) {
	t.Helper()
	scheduled := map[string]int64{}
	for _, row := range w.rows(t, "shipment", `SELECT reference, count(*) FROM shipment WHERE state = 2 GROUP BY reference`) {
		scheduled[row[0].(string)] = row[1].(int64)
	}
	for _, o := range orders {
		var want int64
		if o.GetState() == orderv1.OrderState_ORDER_STATE_COMPLETED {
			want = 1
		}
		if got := scheduled[o.GetOrderId()]; got != want {
			t.Errorf("order %s, %s: %d shipments, want %d", o.GetOrderId(), o.GetState(), got, want)
		}
	}
}

// rules are queries that must find nothing, by service.
var rules = []struct{ name, service, query string }{
	{"events = projection (stock)", "inventory", `
SELECT l.sku FROM stock_level l LEFT JOIN (
    SELECT sku, sum(CASE type WHEN 1 THEN quantity WHEN 2 THEN -quantity WHEN 3 THEN quantity ELSE 0 END) AS available,
           sum(CASE type WHEN 2 THEN quantity WHEN 3 THEN -quantity WHEN 4 THEN -quantity ELSE 0 END) AS reserved,
           sum(CASE type WHEN 4 THEN quantity ELSE 0 END) AS shipped
      FROM stock_event GROUP BY sku) e ON e.sku = l.sku
 WHERE (l.available, l.reserved, l.shipped) IS DISTINCT FROM (coalesce(e.available, 0), coalesce(e.reserved, 0), coalesce(e.shipped, 0))`},
	{"no reservation is left held", "inventory", `SELECT id::text FROM reservation WHERE state = 1`},
	{"nothing is left reserved", "inventory", `SELECT sku FROM stock_level WHERE reserved <> 0`},
	{"every journal balances", "payment", `SELECT journal_id::text FROM posting GROUP BY journal_id, currency HAVING sum(amount_minor) <> 0`},
	{"no payment is left open", "payment", `SELECT id::text FROM payment WHERE state IN (1, 2)`},
	{"a captured payment has its journal, a refunded one both", "payment", `
SELECT p.id::text FROM payment p LEFT JOIN journal j ON j.payment_id = p.id
 GROUP BY p.id HAVING count(j.id) <> CASE p.state WHEN 3 THEN 1 WHEN 5 THEN 2 ELSE 0 END`},
	{"saga events have no gaps", "orchestrator", `SELECT saga_id::text FROM saga_event GROUP BY saga_id HAVING count(*) <> max(seq) OR min(seq) <> 1`},
	{"the saga's row is at its last event", "orchestrator", `
SELECT s.id::text FROM saga s JOIN saga_event e ON e.saga_id = s.id GROUP BY s.id HAVING max(e.seq) <> s.seq`},
	{"no compensation before its decision", "orchestrator", `
SELECT c.saga_id::text FROM saga_event c WHERE c.type IN ('step_compensated', 'compensation_unknown') AND NOT EXISTS (
    SELECT FROM saga_event d WHERE d.saga_id = c.saga_id AND d.type = 'compensation_decided' AND d.seq < c.seq)`},
	{"no dead letter", "orchestrator", `SELECT error FROM dead_letter`},
}

// violations gives what the rules found, by their name.
func (w *World) violations(t testing.TB) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, r := range rules {
		for _, row := range w.rows(t, r.service, r.query) {
			found[r.name] = append(found[r.name], fmt.Sprint(row...))
		}
	}
	return found
}

func (w *World) rows(t testing.TB, service, query string) [][]any {
	t.Helper()
	rows, err := w.Pool[service].Query(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", service, err)
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
	if err != nil {
		t.Fatalf("%s: %v", service, err)
	}
	return all
}

// checkStream wants every event of every outbox in the stream, and no other, and the timeline to have seen each
// event about an order once.
func (w *World) checkStream(t testing.TB) {
	t.Helper()
	written := map[string]bool{}
	about := 0
	for name := range w.Pool {
		servicetest.Eventually(t, name+" has published its outbox", func() bool {
			return len(w.rows(t, name, `SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT 1`)) == 0
		})
		for _, row := range w.rows(t, name, `SELECT id::text, reference FROM outbox`) {
			written[row[0].(string)] = true
			if row[1].(string) != "" {
				about++
			}
		}
	}
	inStream := w.stream(t)
	for id := range written {
		if !inStream[id] {
			t.Errorf("event %s was written and is not in the stream", id)
		}
	}
	if len(inStream) != len(written) {
		t.Errorf("%d events in the stream, %d in the outboxes", len(inStream), len(written))
	}
	servicetest.Eventually(t, "the timeline has seen every event about an order", func() bool {
		return w.rows(t, "orchestrator", `SELECT count(*) FROM timeline`)[0][0].(int64) == int64(about)
	})
}

// stream gives the ids of all events in the stream.
func (w *World) stream(t testing.TB) map[string]bool {
	t.Helper()
	js := bustest.Connect(t, w.NATS)
	consumer, err := js.OrderedConsumer(t.Context(), bus.Stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for left := info.CachedInfo().State.Msgs; left > 0; {
		batch, err := consumer.Fetch(int(min(left, 1000)))
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			e, err := bus.Decode(m.Headers(), m.Data())
			if err != nil {
				t.Errorf("message in the stream: %v", err)
				continue
			}
			ids[e.ID.String()] = true
			left--
		}
		if batch.Error() != nil {
			t.Fatal(batch.Error())
		}
	}
	return ids
}

// States counts orders by state.
func States(orders []*orderv1.Order) string {
	counts := map[orderv1.OrderState]int{}
	for _, o := range orders {
		counts[o.GetState()]++
	}
	var out string
	for _, s := range slices.Sorted(maps.Keys(counts)) {
		out += fmt.Sprintf("%s %d ", s, counts[s])
	}
	return out
}
