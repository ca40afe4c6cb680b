package inventory

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

// BenchmarkRebuild tells how long it takes to find every level wrong, to write all anew from their events, and to make the
// daily movements anew, and the most memory that was in use meanwhile, which must not grow with the events.
func BenchmarkRebuild(b *testing.B) {
	for _, events := range []int{100_000, 1_000_000} {
		for _, skus := range []int{1, 1000} {
			b.Run(fmt.Sprintf("events=%d/skus=%d", events, skus), func(b *testing.B) { benchmarkRebuild(b, events, skus) })
		}
	}
}

func benchmarkRebuild(b *testing.B, events, skus int) {
	client, dsn := startOnDurableServer(b)
	db, err := pgxpool.New(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(db.Close)
	in := bundle{InventoryServiceClient: client, db: db}
	in.fill(b, events, skus)
	var verified, rebuilt, projected time.Duration
	var most uint64
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		in.execute(b, `UPDATE stock_level SET available = available + 1`)
		in.execute(b, `WITH emptied AS (DELETE FROM daily_movement) UPDATE projection SET xid = '0', event_id = 0`)
		high := watchHeap()
		b.StartTimer()
		began := time.Now()
		wrong := in.wrongLevels(b, int64(events))
		verified += time.Since(began)
		if len(wrong) != skus {
			b.Fatalf("%d of %d levels are found wrong", len(wrong), skus)
		}
		began = time.Now()
		for _, sku := range wrong {
			request := &inventoryv1.RebuildStockRequest{IdempotencyKey: fmt.Sprintf("rebuild/%d/%s", n, sku), Sku: sku, Reason: "benchmark"}
			if _, err := in.RebuildStock(b.Context(), request); err != nil {
				b.Fatal(err)
			}
		}
		rebuilt += time.Since(began)
		began = time.Now()
		for again := true; again; {
			if again, err = in.duties(db).projectOnce(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		projected += time.Since(began)
		most = max(most, high())
	}
	for _, v := range append(pgtest.Violations(b, db), in.wrongLevels(b, int64(events))...) {
		b.Error(v)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(verified.Seconds()/float64(b.N), "s-to-verify")
	b.ReportMetric(rebuilt.Seconds()/float64(b.N), "s-to-rebuild")
	b.ReportMetric(projected.Seconds()/float64(b.N), "s-to-project")
	b.ReportMetric(float64(most)/(1<<20), "MB-heap")
}

// fill gives SKUs a history: a receipt each, and then pieces that are promised and released in turn.
func (b bundle) fill(t testing.TB, events, skus int) {
	t.Helper()
	b.execute(t, `
INSERT INTO reservation (id, reference, state, skus, quantities)
SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'ord_1', CASE WHEN n + $2 < $1 THEN 2 ELSE 1 END,
       ARRAY['sku-' || lpad((n % $2)::text, 4, '0')], '{1}'
  FROM generate_series($2, $1 - 1) AS n WHERE n / $2 % 2 = 1`, events, skus)
	b.execute(t, `
INSERT INTO stock_event (sku, type, quantity, reservation_id, at)
SELECT 'sku-' || lpad((n % $2)::text, 4, '0'), kind, CASE kind WHEN 1 THEN 1000000 ELSE 1 END,
       CASE kind WHEN 2 THEN ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid
                 WHEN 3 THEN ('00000000-0000-7000-8000-' || lpad((n - $2)::text, 12, '0'))::uuid END,
       now() - interval '30 days' + n * interval '2 seconds'
  FROM generate_series(0, $1 - 1) AS n, LATERAL (SELECT CASE WHEN n < $2 THEN 1 WHEN n / $2 % 2 = 1 THEN 2 ELSE 3 END AS kind) AS k
 ORDER BY n`, events, skus)
	b.execute(t, `INSERT INTO stock_level (sku, available, reserved, shipped) SELECT DISTINCT sku, 0, 0, 0 FROM stock_event`)
	b.execute(t, `ANALYZE`)
}

// execute runs a statement.
func (b bundle) execute(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := b.db.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%v\n%s", err, statement)
	}
}

// wrongLevels gives the SKUs whose levels are found wrong, from that many events.
func (b bundle) wrongLevels(t testing.TB, events int64) (wrong []string) {
	t.Helper()
	request := &inventoryv1.ListStockDifferencesRequest{PageSize: 100}
	for more := true; more; more = request.GetPageToken() != "" {
		page, err := b.ListStockDifferences(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.GetDifferences() {
			wrong = append(wrong, d.GetSku())
		}
		events -= page.GetEventCount()
		request.PageToken = page.GetNextPageToken()
	}
	if events != 0 {
		t.Errorf("%d events were not added up", events)
	}
	return wrong
}

// watchHeap samples how many bytes there are on the heap, garbage included, and gives a function that ends it and tells
// the most that there were.
func watchHeap() func() uint64 {
	runtime.GC()
	ctx, stop := context.WithCancel(context.Background())
	most := make(chan uint64)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		for high := uint64(0); ; {
			metrics.Read(sample)
			high = max(high, sample[0].Value.Uint64())
			select {
			case <-tick.C:
			case <-ctx.Done():
				most <- high
				return
			}
		}
	}()
	return func() uint64 { stop(); return <-most }
}
