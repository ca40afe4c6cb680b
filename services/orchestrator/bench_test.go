package orchestrator

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/benchtest"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// BenchmarkEngine tells order sagas per second of the engine alone: participants do nothing but answer, over gRPC in
// memory; Postgres syncs every commit. With it come the time from acceptance to end, the commits and the bytes of WAL
// a saga.
func BenchmarkEngine(b *testing.B) {
	for _, inFlight := range []int{1, 64, 512, 2048} {
		b.Run(fmt.Sprintf("in_flight=%d", inFlight), func(b *testing.B) { benchmarkEngine(b, inFlight, false) })
	}
}

// BenchmarkEngineBesideALongTransaction is the same while somebody else holds a snapshot from before the first saga, so
// that the server can forget nothing. Run it for as long as the transaction is to last: -benchtime 300s.
func BenchmarkEngineBesideALongTransaction(b *testing.B) {
	for _, held := range []bool{false, true} {
		b.Run(fmt.Sprintf("held=%t", held), func(b *testing.B) { benchmarkEngine(b, 512, held) })
	}
}

// holdSnapshot begins a transaction that sees the database as it is now, until the benchmark ends.
func holdSnapshot(b *testing.B, dsn string) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, statement := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM saga"} {
		if _, err := conn.Exec(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkEngine(b *testing.B, inFlight int, held bool) {
	server := pgtest.Durable(b)
	dsn := pgtest.DurableDSN(b, server, "orchestrator", Migrations()...)
	if held {
		holdSnapshot(b, dsn)
	}
	var o *orchestrator
	servicetest.Start(b, newParticipants(b).with(dsn, &o, orderV2)...)
	owns(b, o)
	benchtest.Load(b, server, "saga", inFlight, func(n int64) (time.Duration, error) {
		return placeAndAwait(b.Context(), o, fmt.Sprintf("order-%08d", n))
	})
}

// owns waits until the replica drives.
func owns(t testing.TB, o *orchestrator) {
	t.Helper()
	waittest.Until(t, "the replica owns all shards", func() bool { return len(o.engine.shards.ours()) == shardCount })
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
	told := false // of its end, the only change of its state
	err = o.watchers.Follow(ctx, placed.id.UUID(), func() (bool, error) {
		o.engine.mu.Lock()
		defer o.engine.mu.Unlock()
		ended := told || o.engine.live[placed.sagaID] == nil
		told = true
		return ended, nil
	})
	if err != nil {
		return 0, fmt.Errorf("order %s does not end: %w", placed.id, err)
	}
	return time.Since(accepted), nil
}

// BenchmarkTakeover tells how long it takes until all of 100,000 sagas in flight are driven again, counted from the end
// of their dead owner's lease, and how much memory each takes while it is in flight.
func BenchmarkTakeover(b *testing.B) {
	const inFlight = 100_000
	for range b.N {
		server := pgtest.Durable(b)
		dsn := pgtest.DurableDSN(b, server, "orchestrator", Migrations()...)
		db, err := pg.Open(b.Context(), pg.Config{DSN: dsn})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(db.Close)
		dead := newShards(db, slog.New(slog.DiscardHandler), time.Hour, func() {})
		dead.parent = b.Context()
		if _, err := dead.renew(b.Context()); err != nil {
			b.Fatal(err)
		}
		sagas := make([]planted, inFlight)
		for i := range sagas {
			sagas[i].happened = []saga.Event{doneReserve}
		}
		plant(b, db, sagas...)
		fakes := newParticipants(b)
		fakes.trouble = func(call, _ string, _ int, _ bool) error {
			e := rpcerr.New(rpcerr.IdempotencyKeyInFlight, "the bank is at it")
			e.RetryAfter = time.Hour
			return e
		}
		var o *orchestrator
		servicetest.Start(b, fakes.with(dsn, &o, orderV2)...)
		before := heapInUse()
		b.ResetTimer()
		if _, err := db.Exec(b.Context(), `UPDATE replica SET lease_until = now() WHERE id = $1`, dead.replica); err != nil {
			b.Fatal(err)
		}
		waittest.Until(b, "all are pending", func() bool {
			o.engine.mu.Lock()
			defer o.engine.mu.Unlock()
			return len(o.engine.pending) == inFlight
		})
		b.StopTimer()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(b.Elapsed().Seconds(), "s-to-redriven")
		fakes.forget()
		b.ReportMetric(float64(heapInUse()-before)/inFlight, "B/saga")
	}
}

// heapInUse is how much memory is in use.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
