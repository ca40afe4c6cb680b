package e2e

import (
	"fmt"
	"testing"
	"time"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/benchtest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/test/systemtest"
)

// BenchmarkOrders tells orders per second through the whole system in one process, with their real effects: stock,
// authorizations and captures over HTTP to the simulator, ledger, shipments, events on the stream. Clients place each
// order and watch it to its end over gRPC; Postgres syncs every commit.
func BenchmarkOrders(b *testing.B) {
	for _, inFlight := range []int{1, 64, 512, 2048} {
		b.Run(fmt.Sprintf("in_flight=%d", inFlight), func(b *testing.B) { benchmarkOrders(b, inFlight) })
	}
}

func benchmarkOrders(b *testing.B, inFlight int) {
	server := pgtest.Durable(b)
	world := systemtest.NewWorldOn(b, func(s service.Service) string { return pgtest.DurableDSN(b, server, s.Name, s.Migrations...) })
	world.ProviderTimeout = 2 * time.Second
	cfg := servicetest.Config()
	cfg.NATS.URL = world.NATS.URL()
	conn := servicetest.Dial(b, servicetest.StartWith(b, cfg, world.Services()...), "bench")
	orders, stock := orderv1.NewOrderServiceClient(conn), inventoryv1.NewInventoryServiceClient(conn)
	var lines []*inventoryv1.StockLine
	for i := range 200 {
		lines = append(lines, &inventoryv1.StockLine{Sku: fmt.Sprintf("SKU-%03d", i), Quantity: 1 << 30})
	}
	if _, err := stock.ReceiveStock(b.Context(), &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receive-all", Lines: lines}); err != nil {
		b.Fatal(err)
	}
	benchtest.Load(b, server, "order", inFlight, func(n int64) (time.Duration, error) {
		r := request(fmt.Sprintf("order-%08d", n), "pm_ok", "GB", 1)
		r.Lines[0].Sku = lines[n%int64(len(lines))].GetSku()
		answer, err := orders.PlaceOrder(b.Context(), r)
		if err != nil {
			return 0, err
		}
		accepted := time.Now()
		if o := systemtest.End(b, orders, answer.GetOrder().GetOrderId()); o.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
			return 0, fmt.Errorf("ended as %s: %s", o.GetState(), o.GetCause())
		}
		return time.Since(accepted), nil
	})
}
