package groupcommit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// entries is what the groups under test write: a row a key, and one for each time that a write took effect.
var entries = pg.Migrations{Name: "entries", FS: fstest.MapFS{
	"0001_entry.sql": {Data: []byte(`-- +goose Up
CREATE TABLE entry (key text PRIMARY KEY CHECK (key <> 'poison'));
CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL);
`)},
}}

var errRefused = errors.New("refused")

// apply writes keys, each once; one that begins with "no" is refused. The value is the key.
func apply(ctx context.Context, tx *pg.Tx, batch []string) ([]groupcommit.Result[string], error) {
	results := make([]groupcommit.Result[string], len(batch))
	var keys []string
	for i, key := range batch {
		if key[:2] == "no" {
			results[i].Err = errRefused
			continue
		}
		results[i].Value = key
		keys = append(keys, key)
	}
	_, err := tx.Exec(ctx, `
WITH written AS (INSERT INTO entry (key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING key)
INSERT INTO effect (key) SELECT key FROM written`, keys)
	return results, err
}

type fixture struct {
	*testing.T
	pool    *pgxpool.Pool
	metrics *metric.ManualReader

	mu      sync.Mutex
	batches []int // sizes of the batches that were applied, tries included
}

func setup(t *testing.T, further ...pg.Migrations) *fixture {
	t.Helper()
	return &fixture{T: t, pool: pgtest.Pool(t, append([]pg.Migrations{entries}, further...)...), metrics: metric.NewManualReader()}
}

type group = groupcommit.Group[string, string]

// group makes a group that does not run yet. Its batches are recorded, and applied by the configuration's Apply.
func (f *fixture) group(cfg groupcommit.Config[string, string]) *group {
	f.Helper()
	if cfg.Pool == nil {
		cfg.Pool = f.pool
	}
	inner := cfg.Apply
	if inner == nil {
		inner = apply
	}
	cfg.Apply = func(ctx context.Context, tx *pg.Tx, batch []string) ([]groupcommit.Result[string], error) {
		f.mu.Lock()
		f.batches = append(f.batches, len(batch))
		f.mu.Unlock()
		return inner(ctx, tx, batch)
	}
	cfg.Name = "test"
	cfg.Meter = metric.NewMeterProvider(metric.WithReader(f.metrics)).Meter("test")
	g, err := groupcommit.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	return g
}

// run runs a group until stop is called, or the test ends.
func (f *fixture) run(g *group) (stop func()) {
	ctx, cancel := context.WithCancel(f.Context())
	wait := f.runUntil(ctx, g)
	stop = func() { cancel(); wait() }
	f.Cleanup(stop)
	return stop
}

// runUntil runs a group until ctx ends.
func (f *fixture) runUntil(ctx context.Context, g *group) (wait func()) {
	var running sync.WaitGroup
	running.Go(func() {
		if err := g.Run(ctx); err != nil {
			f.Errorf("Run: %v", err)
		}
	})
	return running.Wait
}

// callers gives a function that hands in one more write, whose result must be its key, and one that waits for all of them.
func (f *fixture) callers(g *group) (do func(key string), done func()) {
	var calls sync.WaitGroup
	return func(key string) {
		calls.Go(func() {
			if got, err := g.Do(f.Context(), key); got != key || err != nil {
				f.Errorf("%s: got %q, %v", key, got, err)
			}
		})
	}, calls.Wait
}

// measured gives a metric's value; of a histogram the sum.
func (f *fixture) measured(name string) (sum float64, count uint64) {
	f.Helper()
	var all metricdata.ResourceMetrics
	if err := f.metrics.Collect(f.Context(), &all); err != nil {
		f.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch d := m.Data.(type) {
			case metricdata.Histogram[int64]:
				return float64(d.DataPoints[0].Sum), d.DataPoints[0].Count
			case metricdata.Histogram[float64]:
				return d.DataPoints[0].Sum, d.DataPoints[0].Count
			case metricdata.Sum[int64]:
				return float64(d.DataPoints[0].Value), 1
			}
		}
	}
	return 0, 0
}

func (f *fixture) awaitWaiting(callers int) {
	f.Helper()
	waittest.Until(f, "callers wait", func() bool { n, _ := f.measured("tieout.groupcommit.waiting"); return int(n) == callers })
}

func (f *fixture) applied() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int(nil), f.batches...)
}

// effects gives how often each key took effect.
func (f *fixture) effects() map[string]int {
	f.Helper()
	rows, err := f.pool.Query(f.Context(), `SELECT key, count(*) FROM effect GROUP BY key`)
	if err != nil {
		f.Fatal(err)
	}
	got := map[string]int{}
	var key string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&key, &n}, func() error { got[key] = n; return nil }); err != nil {
		f.Fatal(err)
	}
	return got
}

func (f *fixture) wantEffects(keys ...string) {
	f.Helper()
	want := map[string]int{}
	for _, key := range keys {
		want[key] = 1
	}
	if diff := cmp.Diff(want, f.effects()); diff != "" {
		f.Errorf("effects by key (-want +got):\n%s", diff)
	}
}

// gate is an Apply that waits until it is opened, and says when it has begun.
type gate struct{ begun, open chan struct{} }

func newGate() gate { return gate{make(chan struct{}, 64), make(chan struct{})} }

func (g gate) apply(ctx context.Context, tx *pg.Tx, batch []string) ([]groupcommit.Result[string], error) {
	g.begun <- struct{}{}
	<-g.open
	return apply(ctx, tx, batch)
}
