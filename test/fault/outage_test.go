package fault

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

var (
	outageFor  = flag.Duration("fault.outage", 3*time.Second, "how long Postgres is stopped; NATS is for twice as long")
	outageRate = flag.Int("fault.outage-rate", 40, "orders a second meanwhile")
)

// TestOutage_OfPostgresRefusesNoOrder stops the Postgres of all services while orders come in at a steady rate, and starts it
// again. Orders are accepted all the time; each that was acknowledged ends, once.
func TestOutage_OfPostgresRefusesNoOrder(t *testing.T) {
	o := setupOutage(t)
	ended := o.load(func() {
		o.pause(time.Second)
		o.postgres.Stop(t)
		o.pause(*outageFor)
		o.postgres.Start(t)
		o.pause(time.Second)
	})
	o.wantAccepted(ended, 999)
	o.wantEachOnce()
}

// TestOutage_OfNATSRefusesNoOrder stops NATS for longer. Nothing but the telling of what happened waits for it.
func TestOutage_OfNATSRefusesNoOrder(t *testing.T) {
	o := setupOutage(t)
	ended := o.load(func() {
		o.pause(time.Second)
		o.world.NATS.Shutdown()
		o.pause(2 * *outageFor)
		o.nats.Start(t)
		o.world.NATS = o.nats.Server
		o.pause(time.Second)
	})
	o.wantAccepted(ended, 1000)
	o.wantEachOnce()
}

// TestOutage_OfBothIsRefusedClearly stops both: no order is accepted, each is told why and when to ask again, and none of those
// that were acknowledged before is lost.
func TestOutage_OfBothIsRefusedClearly(t *testing.T) {
	o := setupOutage(t)
	var away, back time.Time
	ended := o.load(func() {
		o.pause(time.Second)
		o.postgres.Stop(t)
		o.pause(time.Second) // in which orders are queued
		o.world.NATS.Shutdown()
		away = time.Now()
		o.pause(*outageFor)
		back = time.Now()
		o.nats.Start(t)
		o.world.NATS = o.nats.Server
		o.postgres.Start(t)
		o.pause(time.Second)
	})
	refused := 0
	for _, p := range ended {
		if p.begun.After(away.Add(5*time.Second/2)) && p.ended.Before(back) && p.err == nil {
			t.Errorf("%s was accepted by nobody", p.key)
		}
		if p.err != nil {
			refused++
			if e, ok := rpcerr.FromError(p.err); !ok || e.Reason != rpcerr.IntakeUnavailable || e.RetryAfter == 0 {
				t.Errorf("%s is refused with %v", p.key, p.err)
			}
		}
	}
	t.Logf("%d of %d orders were refused", refused, len(ended))
	if refused == 0 {
		t.Error("no order was refused")
	}
	o.wantEachOnce()
}

// outage is the system in processes, with a Postgres and a NATS that can be stopped.
type outage struct {
	*testing.T
	world    *systemtest.World
	postgres *pgtest.Stoppable
	nats     *bustest.Stoppable
	split    *systemtest.Split
	orders   orderv1.OrderServiceClient

	acked map[string]string // ids by key
}

func setupOutage(t *testing.T) *outage {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	t.Parallel()
	o := &outage{T: t, postgres: pgtest.NewStoppable(t), nats: bustest.NewStoppable(t), acked: map[string]string{}}
	o.world = systemtest.NewWorldOn(t, func(s service.Service) string { return o.postgres.DSN(t, s.Name, s.Migrations...) })
	o.world.NATS.Shutdown()
	o.world.NATS = o.nats.Server
	o.split = o.world.Split(t)
	receipt := &inventoryv1.ReceiveStockRequest{
		IdempotencyKey: "receive-all", Lines: []*inventoryv1.StockLine{{Sku: "MUG", Quantity: 1_000_000}},
	}
	if _, err := inventoryv1.NewInventoryServiceClient(o.split.Dial(t, "inventory")).ReceiveStock(t.Context(), receipt, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	o.orders = orderv1.NewOrderServiceClient(o.split.Dial(t, "orchestrator"))
	first, err := o.orders.PlaceOrder(t.Context(), o.request("warming-up-1"), grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	systemtest.End(t, o.orders, first.GetOrder().GetOrderId())
	return o
}

func (o *outage) request(key string) *orderv1.PlaceOrderRequest {
	return &orderv1.PlaceOrderRequest{
		IdempotencyKey: key, CustomerId: "load", PaymentMethod: "pm_ok", ShipTo: &commonv1.Address{Country: "GB"},
		Lines: []*orderv1.OrderLine{{Sku: "MUG", Quantity: 1, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 1250}}},
	}
}

// pause lets the load go on for a time.
func (o *outage) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-o.Context().Done():
	}
}

// placed is one attempt at an order.
type placed struct {
	key          string
	begun, ended time.Time
	err          error
}

// load places orders at the rate, each once and whether earlier ones were answered or not, until something has been done.
func (o *outage) load(do func()) []placed {
	o.Helper()
	var all []placed
	var mu sync.Mutex
	var calls sync.WaitGroup
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	tick := time.NewTicker(time.Second / time.Duration(*outageRate))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-done:
			calls.Wait()
			return all
		case <-tick.C:
		}
		calls.Go(func() {
			p := placed{key: fmt.Sprintf("order-%06d", i), begun: time.Now()}
			ctx, cancel := context.WithTimeout(o.Context(), 10*time.Second)
			defer cancel()
			var answer *orderv1.PlaceOrderResponse
			answer, p.err = o.orders.PlaceOrder(ctx, o.request(p.key))
			p.ended = time.Now()
			mu.Lock()
			defer mu.Unlock()
			all = append(all, p)
			if p.err == nil {
				o.acked[p.key] = answer.GetOrder().GetOrderId()
			}
		})
	}
}

// wantAccepted wants so many of a thousand to be accepted at the first attempt, of those that were not refused because more came
// than the machine can do.
func (o *outage) wantAccepted(all []placed, least int) {
	o.Helper()
	var took []time.Duration
	refused, shed := map[string]int{}, 0
	for _, p := range all {
		took = append(took, p.ended.Sub(p.begun))
		switch {
		case rpcerr.Is(p.err, rpcerr.Overloaded):
			shed++
		case p.err != nil:
			refused[p.err.Error()]++
		}
	}
	slices.Sort(took)
	o.Logf("%d orders at %d a second: %d accepted, p50 %s, p99 %s, at most %s; %d too many, refused: %v", len(all), *outageRate, len(o.acked),
		took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), shed, refused)
	if len(o.acked)*1000 < least*(len(all)-shed) {
		o.Errorf("%d of %d were accepted", len(o.acked), len(all)-shed)
	}
}

// wantEachOnce wants every order that was acknowledged to complete, none to be there twice, and everything to tie out.
func (o *outage) wantEachOnce() {
	o.Helper()
	ended := time.Now()
	for key, orderID := range o.acked {
		if got := systemtest.End(o.T, o.orders, orderID); got.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
			o.Errorf("%s is %s: %s", key, got.GetState(), got.GetCause())
		}
	}
	o.Logf("%d acknowledged orders ended %s later", len(o.acked), time.Since(ended).Round(time.Millisecond))
	db := o.world.Pool["orchestrator"]
	var keys int
	waittest.Until(o, "the database answers the test", func() bool {
		return db.QueryRow(o.Context(), `SELECT count(DISTINCT key) FROM idem WHERE method = 'PlaceOrder'`).Scan(&keys) == nil
	})
	if orders := pgtest.Column[int](o, db, `SELECT count(*) FROM orders`)[0]; orders != keys {
		o.Errorf("%d orders under %d keys", orders, keys)
	}
	o.world.CheckQuiet(o.T, o.split.DialAll(o.T)...)
}
