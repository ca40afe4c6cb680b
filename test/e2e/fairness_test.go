package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/test/systemtest"
)

// BenchmarkOrdersBesideABatch tells how long orders take from accepted to ended, at 20 a second, without a batch and
// beside one of 60,000 payments: their 99th percentiles, and how many times it is.
func BenchmarkOrdersBesideABatch(b *testing.B) {
	const payments = 60_000
	server := pgtest.Durable(b)
	world := systemtest.NewWorldOn(b, func(s service.Service) string { return pgtest.DurableDSN(b, server, s.Name, s.Migrations...) })
	world.ProviderTimeout = 5 * time.Second
	cfg := servicetest.Config()
	cfg.NATS.URL = world.NATS.URL()
	conn := servicetest.Dial(b, servicetest.StartWith(b, cfg, world.Services()...), "bench")
	orders, batches := orderv1.NewOrderServiceClient(conn), billingv1.NewBatchServiceClient(conn)
	stock := &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receive-all", Lines: []*inventoryv1.StockLine{{Sku: "MUG", Quantity: 1 << 30}}}
	if _, err := inventoryv1.NewInventoryServiceClient(conn).ReceiveStock(b.Context(), stock); err != nil {
		b.Fatal(err)
	}
	for range b.N {
		placeSteadily(b, orders, "warm")
		alone := placeSteadily(b, orders, "alone")
		planned, err := systemtest.Upload(b.Context(), batches, "upload-batch", &billingv1.BatchHeader{Name: "batch"},
			systemtest.PaymentFile(payments, func(int) string { return "pm_ok" }))
		if err != nil {
			b.Fatal(err)
		}
		_, err = batches.StartBatch(b.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start-batch", BatchId: planned.GetBatchId()})
		if err != nil {
			b.Fatal(err)
		}
		beside := placeSteadily(b, orders, "beside")
		left, err := batches.GetBatch(context.WithoutCancel(b.Context()), &billingv1.GetBatchRequest{BatchId: planned.GetBatchId()})
		if err != nil {
			b.Fatal(err)
		}
		p := left.GetBatch().GetProgress()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(alone.Seconds()*1000, "ms-p99-alone")
		b.ReportMetric(beside.Seconds()*1000, "ms-p99-beside")
		b.ReportMetric(beside.Seconds()/alone.Seconds(), "times")
		b.ReportMetric(float64(p.GetSucceeded())/steadySeconds, "payments/s")
	}
}

// Orders are placed so many a second, for so long.
const (
	steadyRate    = 20
	steadySeconds = 20
)

// placeSteadily places orders at a steady rate, whatever becomes of those before, and gives the 99th percentile of the
// time from accepted to ended.
func placeSteadily(b *testing.B, orders orderv1.OrderServiceClient, name string) time.Duration {
	b.Helper()
	var all sync.WaitGroup
	took := make([]time.Duration, steadyRate*steadySeconds)
	tick := time.NewTicker(time.Second / steadyRate)
	defer tick.Stop()
	for i := range took {
		<-tick.C
		all.Go(func() {
			r := request(fmt.Sprintf("%s-%06d", name, i), "pm_ok", "GB", 1)
			r.Lines[0].Sku = "MUG"
			answer, err := orders.PlaceOrder(b.Context(), r)
			if err != nil {
				b.Error(err)
				return
			}
			accepted := time.Now()
			systemtest.End(b, orders, answer.GetOrder().GetOrderId())
			took[i] = time.Since(accepted)
		})
	}
	all.Wait()
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	b.Logf("%s: p50 %s, p99 %s", name, took[len(took)/2], p99)
	return p99
}
