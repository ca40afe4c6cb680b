// Package fault holds tests that break running processes and look whether the promises still hold.
package fault

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/test/systemtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestKill_EachServiceWhileOrdersAreInFlight kills each service's process with SIGKILL in the middle of 500
// orders, and starts it again. Every acknowledged order must end, none charged twice, and everything tie out.
func TestKill_EachServiceWhileOrdersAreInFlight(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	t.Parallel()
	w := systemtest.NewWorld(t)
	split := w.Split(t)
	const orders, skus = 500, 20
	receive(t, split.Dial(t, "inventory"), skus)

	load := &load{t: t, orders: orderv1.NewOrderServiceClient(split.Dial(t, "orchestrator"))}
	placing := make(chan struct{})
	go func() { defer close(placing); load.place(orders, skus) }()
	for i, name := range []string{"payment", "inventory", "orchestrator", "shipment"} {
		load.awaitAcknowledged(int64((i + 1) * orders / 6))
		split.Kill(t, name)
		split.Start(t, name)
	}
	<-placing

	var ended []*orderv1.Order
	for _, id := range load.acknowledged() {
		ended = append(ended, systemtest.End(t, load.orders, id))
	}
	t.Logf("%d orders acknowledged: %s", len(ended), systemtest.States(ended))
	if len(ended) != orders {
		t.Errorf("%d orders were acknowledged, want %d", len(ended), orders)
	}
	for _, o := range ended {
		if o.GetState() == orderv1.OrderState_ORDER_STATE_PARKED {
			t.Errorf("order %s is parked: %s", o.GetOrderId(), o.GetCause())
		}
	}
	w.CheckQuiet(t, split.DialAll(t)...)
}

func receive(t *testing.T, conn *grpc.ClientConn, skus int) {
	t.Helper()
	r := &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receive-all"}
	for i := range skus {
		r.Lines = append(r.Lines, &inventoryv1.StockLine{Sku: sku(i), Quantity: 1000})
	}
	if _, err := inventoryv1.NewInventoryServiceClient(conn).ReceiveStock(t.Context(), r, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
}

func sku(i int) string { return fmt.Sprintf("SKU-%03d", i) }

// load is a client that places orders and tries again under the same key until each is acknowledged.
type load struct {
	t      *testing.T
	orders orderv1.OrderServiceClient
	count  atomic.Int64

	mu  sync.Mutex
	ids map[string]bool
}

// methods are what the orders are paid with, in turn.
var methods = []string{
	"pm_ok", "pm_ok", "pm_ok", "pm_declined", "pm_ok", "pm_ok", "pm_500_then_ok", "pm_ok", "pm_ok", "pm_ok",
	"pm_ok", "pm_timeout_after", "pm_ok", "pm_ok", "pm_ok", "pm_slow", "pm_ok", "pm_ok", "pm_ok", "pm_ok",
}

func (l *load) place(n, skus int) {
	l.ids = map[string]bool{}
	var clients sync.WaitGroup
	next := atomic.Int64{}
	for range 16 {
		clients.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				l.one(int(i), skus)
			}
		})
	}
	clients.Wait()
}

// order is a request for one piece.
func order(i int, method, country string) *orderv1.PlaceOrderRequest {
	return &orderv1.PlaceOrderRequest{
		IdempotencyKey: fmt.Sprintf("order-%06d", i), CustomerId: "load", PaymentMethod: method, ShipTo: &commonv1.Address{Country: country},
		Lines: []*orderv1.OrderLine{{Sku: sku(0), Quantity: 1, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: int64(100 + i)}}},
	}
}

func (l *load) one(i, skus int) {
	country := "GB"
	if i%25 == 24 {
		country = "XX"
	}
	r := &orderv1.PlaceOrderRequest{
		IdempotencyKey: fmt.Sprintf("order-%06d", i), CustomerId: "load", PaymentMethod: methods[i%len(methods)],
		ShipTo: &commonv1.Address{Country: country},
		Lines: []*orderv1.OrderLine{
			{Sku: sku(i % skus), Quantity: 1, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: int64(100 + i)}},
			{Sku: sku((i + 7) % skus), Quantity: 2, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 50}},
		},
	}
	for l.t.Context().Err() == nil {
		ctx, cancel := context.WithTimeout(l.t.Context(), 5*time.Second)
		answer, err := l.orders.PlaceOrder(ctx, r, grpc.WaitForReady(true))
		cancel()
		if err == nil {
			l.mu.Lock()
			l.ids[answer.GetOrder().GetOrderId()] = true
			l.mu.Unlock()
			l.count.Add(1)
			return
		}
		if e, ok := rpcerr.FromError(err); ok && e.Definite() {
			l.t.Errorf("order %d: %v", i, err)
			return
		}
	}
}

func (l *load) acknowledged() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for id := range l.ids {
		ids = append(ids, id)
	}
	return ids
}

// awaitAcknowledged waits until so many orders are.
func (l *load) awaitAcknowledged(n int64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for l.count.Load() < n {
		select {
		case <-tick.C:
		case <-l.t.Context().Done():
			return
		}
	}
}
