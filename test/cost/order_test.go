package cost

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

// limit is how much of something an order may cost.
type limit struct {
	what string
	most float64
}

// kind is how orders end, how many there are and under way at once, and what each may cost at most, on average.
type kind struct {
	ends            string
	country         string
	ordered, atOnce int
	limits          []limit
}

// kinds have limits of a little more than an order costs. What is written together with others depends on how many wait at a
// moment, and has more room. When an order has become cheaper, lower the number; when it must cost more, say in the commit why.
var kinds = map[string]kind{
	"completed": {"completed", "GB", 500, 500, []limit{
		{"rows inserted", 57},
		{"rows updated", 30},
		{"rows deleted", 1},
		{"rows read", 170}, // what reads a whole table shows here
		{"bytes of WAL", 37_000},
		{"events", 7.2},
		{"commits", 1},
		{"statements", 8},
		{"round trips", 4},
		{"allocations", 5_800},
		{"bytes allocated", 760_000},
	}},
	"compensated": {"compensated", "XX", 500, 500, []limit{ // no carrier goes there: its money and its goods are given back
		{"rows inserted", 57},
		{"rows updated", 32},
		{"rows deleted", 1},
		{"rows read", 170},
		{"bytes of WAL", 39_000},
		{"events", 8.2},
		{"commits", 1},
		{"statements", 8},
		{"round trips", 4},
		{"allocations", 6_000},
		{"bytes allocated", 790_000},
	}},
	"completed alone": {"completed", "GB", 100, 1, []limit{ // nothing is shared: what one transaction costs shows
		{"commits", 40},
		{"statements", 220},
		{"round trips", 130},
	}},
}

const skus = 10

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestOrder_CostsNoMore has orders go through the whole system, and compares what each has cost with the budget.
func TestOrder_CostsNoMore(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: needs Postgres")
	}
	for name := range kinds { // one after the other: allocations are those of the process
		t.Run(name, func(t *testing.T) { costs(t, name) })
	}
}

func costs(t *testing.T, name string) {
	kind, server := kinds[name], countingServer(t)
	world := systemtest.NewWorldOn(t, func(s service.Service) string { return pgtest.DurableDSN(t, server, s.Name, s.Migrations...) })
	world.ProviderTimeout = 10 * time.Second // none is in doubt, however slow the machine is
	rows := rowsOf(t, world)
	cfg := servicetest.Config()
	cfg.NATS.URL, cfg.AuditEvery = world.NATS.URL(), time.Hour
	process, err := service.Start(t.Context(), cfg, t.Output(), world.Services()...)
	if err != nil {
		t.Fatal(err)
	}
	stopped := sync.OnceValue(process.Stop)
	t.Cleanup(func() { _ = stopped() })
	conn := servicetest.Dial(t, process, "test")
	r := &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receive-all"}
	for i := range skus {
		r.Lines = append(r.Lines, &inventoryv1.StockLine{Sku: fmt.Sprintf("SKU-%d", i), Quantity: int32(kind.ordered)})
	}
	if _, err := inventoryv1.NewInventoryServiceClient(conn).ReceiveStock(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	js := bustest.Connect(t, world.NATS)
	settle(t, world, js)

	before, trips := readCounters(t, server, js), roundTrips(t, process)
	orderAll(t, orderv1.NewOrderServiceClient(conn), js.Conn(), kind)
	settle(t, world, js)
	after := readCounters(t, server, js)
	trips = roundTrips(t, process) - trips
	if err := stopped(); err != nil {
		t.Fatal(err)
	}
	awaitDisconnected(t, server) // its connections tell what they have counted at the latest when they end
	of := rowsOf(t, world).since(rows)
	spent := map[string]int64{"round trips": trips, "rows inserted": of.inserted, "rows updated": of.updated, "rows deleted": of.deleted, "rows read": of.read}
	for what, n := range after {
		spent[what] = n - before[what]
	}
	var report strings.Builder
	for _, l := range kind.limits {
		each := float64(spent[l.what]) / float64(kind.ordered)
		fmt.Fprintf(&report, "%-16s %12.2f of %g\n", l.what, each, l.most)
		if each > l.most {
			t.Errorf("an order that is %s costs %.2f %s, more than %g", name, each, l.what, l.most)
		}
	}
	t.Logf("an order of %d at once that is %s costs\n%s", kind.atOnce, name, &report)
}

// orderAll places orders, so many at once, and waits for the event of their ends.
func orderAll(t *testing.T, orders orderv1.OrderServiceClient, conn *nats.Conn, kind kind) {
	t.Helper()
	var ending sync.WaitGroup
	ending.Add(kind.ordered)
	underWay := make(chan struct{}, kind.atOnce)
	sub, err := conn.Subscribe("evt.orchestrator.order."+kind.ends+".*", func(*nats.Msg) { <-underWay; ending.Done() })
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	var placing sync.WaitGroup
	for n := range kind.ordered {
		underWay <- struct{}{}
		placing.Go(func() {
			r := &orderv1.PlaceOrderRequest{
				IdempotencyKey: fmt.Sprintf("order-%06d", n), CustomerId: "c-1", PaymentMethod: "pm_ok", ShipTo: &commonv1.Address{Country: kind.country},
				Lines: []*orderv1.OrderLine{{Sku: fmt.Sprintf("SKU-%d", n%skus), Quantity: 1, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 255}}},
			}
			_, err := orders.PlaceOrder(t.Context(), r)
			for rpcerr.Is(err, rpcerr.Overloaded) {
				<-time.After(20 * time.Millisecond)
				_, err = orders.PlaceOrder(t.Context(), r)
			}
			if err != nil {
				t.Errorf("placing order %d: %v", n, err)
			}
		})
	}
	placing.Wait()
	if t.Failed() {
		t.FailNow()
	}
	ended := make(chan struct{})
	go func() { ending.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("not all orders have ended within a minute")
	}
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
}

// settle waits until every event is published, and every consumer has taken it in.
func settle(t *testing.T, world *systemtest.World, js jetstream.JetStream) {
	t.Helper()
	for name, pool := range world.Pool {
		waittest.Until(t, name+" has published its events", func() bool {
			var left bool
			if err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)`).Scan(&left); err != nil {
				t.Fatal(err)
			}
			return !left
		})
	}
	waittest.Until(t, "all consumers have taken in what there is", func() bool { return behind(t, js) == 0 })
}
