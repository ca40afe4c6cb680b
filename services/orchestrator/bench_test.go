package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

// BenchmarkEngine tells order sagas per second of the engine alone: participants do nothing but answer, over gRPC in
// memory; Postgres syncs every commit. With it come the time from acceptance to end, the commits and the bytes of WAL
// a saga.
func BenchmarkEngine(b *testing.B) {
	for _, inFlight := range []int{1, 64, 512, 2048} {
		b.Run(fmt.Sprintf("in_flight=%d", inFlight), func(b *testing.B) { benchmarkEngine(b, inFlight) })
	}
}

func benchmarkEngine(b *testing.B, inFlight int) {
	server := pgtest.Durable(b)
	dsn := pgtest.DurableDSN(b, server, "orchestrator", Migrations()...)
	var o *orchestrator
	services := append(newParticipants(b).services(), service.Service{
		Name: "orchestrator", Postgres: service.Postgres{DSN: dsn, MaxConns: 24}, Migrations: Migrations(),
		Run: func(ctx context.Context, env *service.Env) (err error) {
			o, err = wire(ctx, env, DefaultConfig(), orderV1)
			return err
		},
	})
	servicetest.Start(b, services...)
	owns(b, o)
	if _, err := placeAndAwait(b.Context(), o, "warming-up"); err != nil {
		b.Fatal(err)
	}
	before := costsOf(b, o)
	latencies := make([][]time.Duration, inFlight)
	var next atomic.Int64
	var clients sync.WaitGroup
	b.ResetTimer()
	for c := range inFlight {
		clients.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				took, err := placeAndAwait(b.Context(), o, fmt.Sprintf("order-%08d", n))
				if err != nil {
					b.Error(err)
					return
				}
				latencies[c] = append(latencies[c], took)
			}
		})
	}
	clients.Wait()
	b.StopTimer()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	after, n := costsOf(b, o), float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(n/b.Elapsed().Seconds(), "sagas/s")
	b.ReportMetric(all[len(all)/2].Seconds()*1000, "ms-p50")
	b.ReportMetric(all[len(all)*99/100].Seconds()*1000, "ms-p99")
	b.ReportMetric(float64(after.Commits-before.Commits)/n, "commits/saga")
	b.ReportMetric(float64(after.WAL-before.WAL)/n, "WAL-B/saga")
}

// owns waits until the replica drives.
func owns(t testing.TB, o *orchestrator) {
	t.Helper()
	for len(o.engine.shards.ours()) < shardCount {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the replica owns nothing")
		}
	}
}

// placeAndAwait places an order and waits until it is completed.
func placeAndAwait(ctx context.Context, o *orchestrator, key string) (time.Duration, error) {
	placed, err := o.place(ctx, placeCommand{
		request: request{caller: "bench", key: key}, customerID: "c-1", paymentMethod: "pm_ok", shipTo: address{Country: "GB"},
		lines: []line{{SKU: "MUG", Quantity: 1, UnitPrice: money.Amount{Currency: "GBP", Minor: 255}}},
	})
	if err != nil {
		return 0, err
	}
	accepted := time.Now()
	changed, unsubscribe := o.watchers.subscribe(placed.id.UUID())
	defer unsubscribe()
	o.engine.mu.Lock()
	running := o.engine.live[placed.sagaID] != nil
	o.engine.mu.Unlock()
	if running {
		select {
		case <-changed:
		case <-time.After(time.Minute):
			return 0, fmt.Errorf("order %s does not end", placed.id)
		}
	}
	return time.Since(accepted), nil
}

// costs is what the database has done.
type costs struct{ Commits, WAL int64 }

func costsOf(b *testing.B, o *orchestrator) costs {
	b.Helper()
	return pgtest.Rows[costs](b, o.pool, `
SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()), pg_current_wal_lsn() - '0/0'::pg_lsn`)[0]
}
