package inventory

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

// BenchmarkReserve tells reservations per second, through gRPC, on a server that syncs its commits to disk.
func BenchmarkReserve(b *testing.B) {
	for _, skus := range []int{1, 1000} {
		b.Run(fmt.Sprintf("unary/skus=%d", skus), func(b *testing.B) { benchmarkReserve(b, skus, 64, 1) })
		b.Run(fmt.Sprintf("batches/skus=%d", skus), func(b *testing.B) { benchmarkReserve(b, skus, 4, 256) })
	}
}

// benchmarkReserve makes b.N reservations of one piece, by so many callers, each with so many requests in one call.
func benchmarkReserve(b *testing.B, skus, callers, items int) {
	client, _ := startOnDurableServer(b)
	stocked := make([]*inventoryv1.StockLine, skus)
	for i := range stocked {
		stocked[i] = line(fmt.Sprintf("sku-%04d", i), 1<<30)
	}
	if _, err := client.ReceiveStock(b.Context(), &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receipt-of-setup", Lines: stocked}); err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	var running sync.WaitGroup
	b.ResetTimer()
	for range callers {
		running.Go(func() {
			for {
				first := next.Add(int64(items)) - int64(items)
				if first >= int64(b.N) {
					return
				}
				requests := make([]*inventoryv1.ReserveRequest, min(int64(items), int64(b.N)-first))
				for i := range requests {
					n := int(first) + i
					requests[i] = toReserve(fmt.Sprintf("saga/sag_%d/reserve", n), line(stocked[n%skus].GetSku(), 1))
				}
				if err := reserveAll(b.Context(), client, requests); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reserves/s")
	b.ReportMetric(0, "ns/op")
}

// reserveAll makes one call: a unary one for a single request.
func reserveAll(ctx context.Context, client inventoryv1.InventoryServiceClient, requests []*inventoryv1.ReserveRequest) error {
	if len(requests) == 1 {
		_, err := client.Reserve(ctx, requests[0])
		return err
	}
	answer, err := client.BatchReserve(ctx, &inventoryv1.BatchReserveRequest{Requests: requests})
	for _, r := range answer.GetResults() {
		if r.GetStatus() != nil {
			return fmt.Errorf("an item was refused: %v", r.GetStatus())
		}
	}
	return err
}

// startOnDurableServer runs the service on a Postgres of its own, which syncs as in production.
func startOnDurableServer(b *testing.B) (client inventoryv1.InventoryServiceClient, dsn string) {
	b.Helper()
	dsn = pgtest.DurableDSN(b, pgtest.Durable(b), "inventory", Migrations()...)
	p := servicetest.Start(b, inventoryService(dsn))
	return inventoryv1.NewInventoryServiceClient(servicetest.Dial(b, p, "orchestrator")), dsn
}
