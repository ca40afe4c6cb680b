package e2e

import (
	"fmt"
	"testing"
	"time"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/benchtest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/test/systemtest"
)

// BenchmarkBatch tells how long a batch takes from the first byte of its upload to its proven end, with everything in
// one process and charges over HTTP to the simulator; Postgres syncs every commit.
func BenchmarkBatch(b *testing.B) {
	for _, n := range []int{5_000, 50_000} {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			server := pgtest.Durable(b)
			world := systemtest.NewWorldOn(b, func(s service.Service) string { return pgtest.DurableDSN(b, server, s.Name, s.Migrations...) })
			world.ProviderTimeout = 5 * time.Second
			cfg := servicetest.Config()
			cfg.NATS.URL = world.NATS.URL()
			batches := billingv1.NewBatchServiceClient(servicetest.Dial(b, servicetest.StartWith(b, cfg, world.Services()...), "bench"))
			b.ResetTimer()
			for i := range b.N {
				// A file is charged once: each run has one item more.
				file := systemtest.PaymentFile(n+i, func(int) string { return "pm_ok" })
				costs := benchtest.Costs(b, server, "item")
				benchmarkBatch(b, batches, fmt.Sprintf("bench-batch-%d", i), n+i, file)
				costs(n + i)
			}
		})
	}
}

func benchmarkBatch(b *testing.B, batches billingv1.BatchServiceClient, key string, n int, file string) {
	begun := time.Now()
	planned, err := systemtest.Upload(b.Context(), batches, key, &billingv1.BatchHeader{Name: key}, file)
	if err != nil {
		b.Fatal(err)
	}
	uploaded := time.Since(begun)
	_, err = batches.StartBatch(b.Context(), &billingv1.StartBatchRequest{IdempotencyKey: key, BatchId: planned.GetBatchId(), AcceptDuplicates: true})
	if err != nil {
		b.Fatal(err)
	}
	ended := systemtest.EndBatch(b, batches, planned.GetBatchId(), 5*time.Minute)
	if p := ended.GetProgress(); p.GetSucceeded() != int64(n) || !ended.GetProof().GetHolds() {
		b.Fatalf("ended as %v, %v", p, ended.GetProof())
	}
	b.ReportMetric(uploaded.Seconds(), "upload-s")
	b.ReportMetric(time.Since(begun).Seconds(), "batch-s")
	b.ReportMetric(float64(n)/time.Since(begun).Seconds(), "items/s")
}
