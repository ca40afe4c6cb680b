package overload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/benchtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/test/systemtest"
)

const (
	skus  = 200
	conns = 8
	// underWay is how many orders are kept under way while the capacity is measured.
	underWay = 1000
	// lookEvery is how often is looked how many orders have ended, which costs the system something.
	lookEvery = 250 * time.Millisecond
	// patience is how long a client waits for an answer.
	patience = 10 * time.Second
	// maxOut is how many calls the generator has out at most.
	maxOut = 50_000
)

// classes are the calls that come, and how many of each come for an order. Those that finish something come at the same
// rate whatever the load.
var classes = []struct {
	name string
	part float64
}{{"finish", 0.01}, {"new", 1}, {"read", 0.05}, {"batch", 0.05}}

// generator is clients without end.
type generator struct {
	*testing.T
	system *systemtest.Dev
	orders []orderv1.OrderServiceClient
	conn   *grpc.ClientConn
	next   atomic.Int64
	// databases are connections to those of services.
	databases map[string]*pgx.Conn

	mu           sync.Mutex
	acknowledged []string
}

func newGenerator(t *testing.T, system *systemtest.Dev) *generator {
	t.Helper()
	g := &generator{T: t, system: system, databases: map[string]*pgx.Conn{}}
	for range conns {
		g.conn = servicetest.DialAddr(t, system.Ready.GRPC, "load")
		g.orders = append(g.orders, orderv1.NewOrderServiceClient(g.conn))
	}
	return g
}

func sku(n int64) string { return fmt.Sprintf("SKU-%03d", n%skus) }

// receive fills the store.
func (g *generator) receive() {
	g.Helper()
	r := &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receive-all"}
	for i := range int64(skus) {
		r.Lines = append(r.Lines, &inventoryv1.StockLine{Sku: sku(i), Quantity: 1 << 30})
	}
	if _, err := inventoryv1.NewInventoryServiceClient(g.conn).ReceiveStock(g.Context(), r); err != nil {
		g.Fatal(err)
	}
}

// call makes one call of a class.
func (g *generator) call(ctx context.Context, class string) error {
	n := g.next.Add(1)
	client := g.orders[n%conns]
	switch class {
	case "new":
		answer, err := client.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
			IdempotencyKey: fmt.Sprintf("order-%010d", n), CustomerId: "c-1", PaymentMethod: "pm_ok", ShipTo: &commonv1.Address{Country: "GB"},
			Lines: []*orderv1.OrderLine{{Sku: sku(n), Quantity: 1, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 255}}},
		})
		if err == nil {
			g.mu.Lock()
			g.acknowledged = append(g.acknowledged, answer.GetOrder().GetOrderId())
			g.mu.Unlock()
		}
		return err
	case "finish":
		_, err := client.CancelOrder(ctx, &orderv1.CancelOrderRequest{IdempotencyKey: fmt.Sprintf("cancel-%010d", n), OrderId: g.someOrder()})
		if status.Code(err) == codes.FailedPrecondition {
			return nil // it has ended, which is an answer
		}
		return err
	case "batch":
		ctx = metadata.AppendToOutgoingContext(ctx, "x-request-priority", "batch")
	}
	_, err := client.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: g.someOrder()})
	return err
}

// someOrder is one of the last that were acknowledged.
func (g *generator) someOrder() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.acknowledged)
	if n == 0 {
		return "ord_019a0000-0000-7000-8000-000000000000"
	}
	return g.acknowledged[n-1-rand.IntN(min(n, 1000))]
}

// measures are what the metrics tell.
type measures struct {
	ended float64 // orders, so far
	live  float64 // orders under way
	lag   float64 // events that consumers have not been told of
}

// measured reads the metrics.
func (g *generator) measured() (m measures) {
	g.Helper()
	err := benchtest.Metrics(g.Context(), g.system.Ready.Metrics, func(name string, value float64) {
		switch {
		case strings.HasPrefix(name, "tieout_saga_live{"):
			m.live += value
		case strings.HasPrefix(name, "tieout_inbox_lag{"):
			m.lag += value
		case strings.HasPrefix(name, "tieout_saga_events_total{") &&
			(strings.Contains(name, `type="completed"`) || strings.Contains(name, `type="compensated"`)):
			m.ended += value
		}
	})
	if err != nil {
		g.Fatal(err)
	}
	return m
}

// capacity measures how many orders a second end while there are always enough: so many are kept under way for a time, with some
// reads, and those count that end in the last four fifths of it, as in a load. New ones come spread over the time, as in a load:
// many that come at the same moment are written together, and cost less.
func (g *generator) capacity(d time.Duration) float64 {
	g.Helper()
	var calling sync.WaitGroup
	var placed atomic.Int64
	began, before := time.Now(), g.measured().ended
	since, first, last := began, before, before
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	now := began
	for ; now.Sub(began) < d; now = <-ticker.C {
		if last = g.measured().ended; since == began && now.Sub(began) > d/5 {
			since, first = now, last
		}
		for range underWay - int(float64(placed.Load())-(last-before)) {
			placed.Add(1)
			calling.Go(func() {
				<-time.After(rand.N(lookEvery))
				if g.call(g.Context(), "new") != nil {
					placed.Add(-1)
				}
				for _, class := range []string{"read", "batch"} {
					if rand.Float64() < 0.05 {
						_ = g.call(g.Context(), class)
					}
				}
			})
		}
	}
	last, now = g.measured().ended, time.Now()
	calling.Wait()
	g.settle()
	return (last - first) / now.Sub(since).Seconds()
}

// run has calls come in an open loop.
func (g *generator) run(load, capacity float64, d time.Duration) *result {
	g.Helper()
	r := newResult(load, d)
	ctx, cancel := context.WithTimeout(g.Context(), d)
	defer cancel()
	var out, calls sync.WaitGroup
	var waiting atomic.Int64
	for _, c := range classes {
		rate := capacity * c.part
		if c.name != "finish" {
			rate *= load
		}
		out.Go(func() {
			benchtest.Poisson(ctx, rate, func(due time.Time) {
				if waiting.Add(1) > maxOut {
					waiting.Add(-1)
					r.note(c.name, due, errNotSent)
					return
				}
				calls.Go(func() {
					defer waiting.Add(-1)
					callCtx, done := context.WithDeadline(g.Context(), due.Add(patience))
					defer done()
					r.note(c.name, due, g.call(callCtx, c.name))
				})
			})
		})
	}
	g.follow(ctx, r)
	out.Wait()
	calls.Wait()
	return r
}

// follow takes note of memory, of the orders under way, and of how many end in the last four fifths of the time.
func (g *generator) follow(ctx context.Context, r *result) {
	g.Helper()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	first, since := -1.0, time.Time{}
	for {
		select {
		case <-ticker.C:
			m := g.measured()
			r.memory = max(r.memory, benchtest.Memory(g.system.PID, "VmRSS:"))
			r.live = append(r.live, m.live)
			if first < 0 && time.Since(r.began) > r.lasted/5 {
				first, since = m.ended, time.Now()
			}
		case <-ctx.Done():
			if first >= 0 {
				r.goodput = (g.measured().ended - first) / time.Since(since).Seconds()
			}
			return
		}
	}
}

// refused tells whether a call was refused for there being too much.
func refused(err error) bool {
	return rpcerr.Is(err, rpcerr.Overloaded) || rpcerr.Is(err, rpcerr.QuotaExceeded)
}
