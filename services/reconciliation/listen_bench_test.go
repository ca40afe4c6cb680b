package reconciliation

import (
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/tieout/tieout/pkg/benchtest"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

// BenchmarkTakeIn tells what it costs to take in the events of orders that go well, 256 in a transaction, with orders in flight
// side by side as they come in practice; and to judge them afterwards. Postgres syncs every commit. The inbox' own row for each
// event is not in it.
func BenchmarkTakeIn(b *testing.B) {
	const orders, inFlight = 20_000, 500
	server := pgtest.Durable(b)
	pool, err := pg.Open(b.Context(), pg.Config{DSN: pgtest.DurableDSN(b, server, "reconciliation", Migrations()...), MaxConns: 4, ApplicationName: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	r := &reconciliation{pool: pool, tieOut: defaultTieOut()}
	for range b.N {
		b.StopTimer()
		events := interleaved(newBusiness(b), orders, inFlight)
		costs := benchtest.Costs(b, server, "order")
		b.StartTimer()
		begun := time.Now()
		for batch := range slices.Chunk(events, 256) {
			if err := pg.InTx(b.Context(), pool, func(tx *pg.Tx) error { return r.facts().Handle(b.Context(), tx, batch) }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(events))/time.Since(begun).Seconds(), "events/s")
		b.ReportMetric(float64(orders)/time.Since(begun).Seconds(), "orders/s")
		costs(orders)
		tieAll(b, r, orders)
	}
}

// interleaved are the events of so many sold orders, of which some are in flight at any time.
func interleaved(of *business, orders, inFlight int) []bus.Event {
	var all []bus.Event
	for begun := 0; begun < orders; begun += inFlight {
		var stories []*story
		for range inFlight {
			stories = append(stories, of.sell(500))
		}
		for step := range stories[0].events {
			for _, s := range stories {
				all = append(all, s.events[step])
			}
		}
	}
	return all
}

// tieAll judges all orders.
func tieAll(b *testing.B, r *reconciliation, orders int) {
	b.Helper()
	if _, err := r.pool.Exec(b.Context(), `UPDATE order_fact SET told_at = told_at - interval '1 hour', look_at = look_at - interval '1 hour'`); err != nil {
		b.Fatal(err)
	}
	metrics, err := newTieMetrics(noop.Meter{})
	if err != nil {
		b.Fatal(err)
	}
	t := &ties{reconciliation: r, metrics: metrics}
	begun := time.Now()
	for again := true; again; {
		if again, err = t.lookOnce(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(orders)/time.Since(begun).Seconds(), "judged/s")
	if left := pgtest.Column[int64](b, r.pool, `SELECT count(*) FROM order_fact WHERE look_at IS NOT NULL`)[0]; left > 0 {
		b.Fatalf("%d orders do not tie", left)
	}
}
