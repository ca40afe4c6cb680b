package cache_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tieout/tieout/pkg/cache"
	"github.com/tieout/tieout/pkg/cache/redistest"
	"github.com/tieout/tieout/pkg/waittest"
)

// table is what is cached: the versions of keys, and each read of it.
type table struct {
	mu       sync.Mutex
	versions map[string]int64
	reads    [][]string
	err      error

	// A gate holds back what a read has read already: it says that it waits, and goes on when told.
	waiting chan struct{}
	goOn    chan struct{}
}

func newTable() *table { return &table{versions: map[string]int64{}} }

func valueOf(key string, version int64) string { return fmt.Sprintf("%s as of %d", key, version) }

func (tb *table) load(ctx context.Context, keys []string) (map[string]cache.Loaded[string], error) {
	tb.mu.Lock()
	tb.reads = append(tb.reads, slices.Sorted(slices.Values(keys)))
	found, err, waiting, goOn := map[string]cache.Loaded[string]{}, tb.err, tb.waiting, tb.goOn
	for _, key := range keys {
		if v := tb.versions[key]; v > 0 {
			found[key] = cache.Loaded[string]{Value: valueOf(key, v), Version: v}
		}
	}
	tb.mu.Unlock()
	if waiting != nil {
		waiting <- struct{}{}
		select {
		case <-goOn:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return found, err
}

// write changes a key, and gives what a cache is to be told of it.
func (tb *table) write(key string) cache.Change[string] {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.versions[key]++
	value := valueOf(key, tb.versions[key])
	return cache.Change[string]{Key: key, Version: tb.versions[key], Value: &value}
}

// holdBack has reads from now on wait behind what they have read. They say so on the channel; letGo ends it.
func (tb *table) holdBack() (waiting <-chan struct{}, letGo func()) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	held, goOn := make(chan struct{}, 64), make(chan struct{})
	tb.waiting, tb.goOn = held, goOn
	return held, func() {
		tb.mu.Lock()
		defer tb.mu.Unlock()
		tb.waiting, tb.goOn = nil, nil
		close(goOn)
	}
}

func (tb *table) readCount() int {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return len(tb.reads)
}

// clock is one that only moves when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// replica is a cache over the table, as one process has it.
type replica struct {
	*cache.Cache[string]
	t       *testing.T
	metrics *metric.ManualReader
}

// options say what a replica has besides its memory.
type options struct {
	settings         func(*cache.Settings)
	primary, replica *redistest.Server
	nats             *nats.Conn
	now              func() time.Time
}

// start runs a replica until the test ends.
func start(t *testing.T, tb *table, o options) *replica {
	t.Helper()
	settings := cache.DefaultSettings()
	settings.Redis.Timeout = 2 * time.Second // a machine with much to do is not a Redis that hangs
	if o.primary != nil {
		settings.Redis.PrimaryURL = o.primary.URL()
	}
	if o.replica != nil {
		settings.Redis.ReplicaURL = o.replica.URL()
	}
	if o.settings != nil {
		o.settings(&settings)
	}
	if err := settings.Validate(); err != nil {
		t.Fatal(err)
	}
	r := &replica{t: t, metrics: metric.NewManualReader()}
	meter := metric.NewMeterProvider(metric.WithReader(r.metrics)).Meter("test")
	redis, err := cache.OpenRedis(cache.RedisConfig{Settings: settings.Redis, Meter: meter})
	if err != nil {
		t.Fatal(err)
	}
	r.Cache, err = cache.New(cache.Config[string]{
		Name: "test", Settings: settings, Load: tb.load, Redis: redis, NATS: o.nats, Meter: meter, Now: o.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	duties := []func(context.Context) error{r.Run}
	if redis != nil {
		duties = append(duties, redis.Run)
	}
	for _, duty := range duties {
		running.Go(func() {
			if err := duty(ctx); err != nil {
				t.Errorf("a duty of the cache: %v", err)
			}
		})
	}
	if o.nats != nil {
		waittest.Until(t, "it listens", func() bool { return o.nats.NumSubscriptions() > 0 })
	}
	return r
}

// want reads a key and fails the test unless it has that version; 0 for a key that does not exist.
func (r *replica) want(key string, version int64) {
	r.t.Helper()
	got, ok, err := r.Get(r.t.Context(), key)
	want := ""
	if version > 0 {
		want = valueOf(key, version)
	}
	if got != want || ok != (version > 0) || err != nil {
		r.t.Errorf("read %q, %v, %v; want version %d", got, ok, err, version)
	}
}

// counted gives the sum of a counter, or the count of a histogram, where it has these attributes.
func (r *replica) counted(name string, where ...attribute.KeyValue) int64 {
	r.t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.metrics.Collect(context.Background(), &all); err != nil {
		r.t.Fatal(err)
	}
	has := func(set attribute.Set) bool {
		for _, kv := range where {
			if v, ok := set.Value(kv.Key); !ok || v != kv.Value {
				return false
			}
		}
		return true
	}
	var sum int64
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					if has(p.Attributes) {
						sum += p.Value
					}
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					if has(p.Attributes) {
						sum += int64(p.Count)
					}
				}
			}
		}
	}
	return sum
}

func is(key, value string) attribute.KeyValue { return attribute.String(key, value) }
