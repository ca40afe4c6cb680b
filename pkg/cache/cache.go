package cache

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// Loaded is a value as the database has it.
type Loaded[V any] struct {
	Value V
	// Version is 1 or more, and more after every change.
	Version int64
}

// Config is what a cache works with.
type Config[V any] struct {
	// Name names the cache in metrics, on NATS and on Redis: "inventory.level". Replicas of a release that encodes other
	// values as JSON need another name.
	Name string
	// Settings are the operator's; they must be valid.
	Settings Settings
	// Load reads keys, each once, from the database. What it leaves out does not exist.
	Load func(ctx context.Context, keys []string) (map[string]Loaded[V], error)
	// Redis is the shared tier; nil for none.
	Redis *Redis
	// NATS carries word of changes to the other replicas; nil for none.
	NATS *nats.Conn
	// Log is where the cache reports; nil discards.
	Log *slog.Logger
	// Meter makes the metrics; nil discards.
	Meter metric.Meter
	// Now is the clock; nil for time.Now.
	Now func() time.Time
}

// Cache keeps values of one kind. Values are shared by all who read them and must not be changed.
type Cache[V any] struct {
	config  Config[V]
	memory  *otter.Cache[string, *entry[V]] // nil when caching is off
	board   board[V]
	self    string // names this replica in messages
	metrics metrics
}

// New makes a cache. Run keeps it in step with the other replicas.
func New[V any](cfg Config[V]) (*Cache[V], error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Meter == nil {
		cfg.Meter = noop.Meter{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Cache[V]{config: cfg, board: board[V]{loads: map[string]*load[V]{}}, self: nats.NewInbox()}
	var err error
	if c.metrics, err = newMetrics(cfg.Meter, cfg.Name); err != nil {
		return nil, fmt.Errorf("making metrics of cache %s: %w", cfg.Name, err)
	}
	if cfg.Settings.Size == 0 {
		return c, nil
	}
	c.memory, err = otter.New(&otter.Options[string, *entry[V]]{
		MaximumSize:      cfg.Settings.Size,
		ExpiryCalculator: otter.ExpiryWriting[string, *entry[V]](c.life(changed)),
	})
	if err != nil {
		return nil, fmt.Errorf("making cache %s: %w", cfg.Name, err)
	}
	return c, nil
}

// Get gives the value of a key, and false when there is no such thing. Errors are Load's, and ctx's.
func (c *Cache[V]) Get(ctx context.Context, key string) (V, bool, error) {
	if c.memory != nil {
		if e := c.inMemory(ctx, key, c.config.Now()); e != nil {
			return e.value, e.kind == exists, nil
		}
	}
	found, err := c.get(ctx, []string{key})
	value, ok := found[key]
	return value, ok, err
}

// GetAll gives the values of keys; those that do not exist are missing. What has to be loaded is loaded at once. Errors
// are Load's, and ctx's.
func (c *Cache[V]) GetAll(ctx context.Context, keys []string) (map[string]V, error) {
	found := make(map[string]V, len(keys))
	asked := make(map[string]bool, len(keys))
	var absent []string
	now := c.config.Now()
	for _, key := range keys {
		if asked[key] {
			continue
		}
		asked[key] = true
		var e *entry[V]
		if c.memory != nil {
			e = c.inMemory(ctx, key, now)
		}
		switch {
		case e == nil:
			absent = append(absent, key)
		case e.kind == exists:
			found[key] = e.value
		}
	}
	if len(absent) == 0 {
		return found, nil
	}
	fetched, err := c.get(ctx, absent)
	maps.Copy(found, fetched)
	return found, err
}

// inMemory gives the fresh entry of a key, nil for none, and counts.
func (c *Cache[V]) inMemory(ctx context.Context, key string, now time.Time) *entry[V] {
	e, ok := c.memory.GetIfPresent(key)
	if !ok || !e.isFresh(now) {
		c.metrics.read(ctx, inMemory, resultMiss)
		return nil
	}
	c.metrics.hit(ctx, inMemory, e.kind == exists, now.Sub(e.asOf))
	return e
}

// get gives the values of keys that are not in memory.
func (c *Cache[V]) get(ctx context.Context, keys []string) (map[string]V, error) {
	var entries map[string]*entry[V]
	var err error
	if c.memory == nil {
		entries, err = c.read(ctx, keys)
	} else {
		entries, err = c.fetch(ctx, keys)
	}
	if err != nil {
		return nil, err
	}
	values := make(map[string]V, len(entries))
	for key, e := range entries {
		if e.kind == exists {
			values[key] = e.value
		}
	}
	return values, nil
}

// Change is what a transaction wrote.
type Change[V any] struct {
	Key string
	// Version is that of the value.
	Version int64
	// Value is nil when it is not at hand: then nothing older than Version counts any more, and the next read loads.
	Value *V
}

// Put takes what a committed transaction wrote into all tiers, and tells the other replicas. Written is a moment before
// the COMMIT at which the changes were made, under the locks that raise the versions. Nothing is waited for.
func (c *Cache[V]) Put(written time.Time, changes ...Change[V]) {
	for _, change := range changes {
		if c.memory == nil {
			break // others may keep what this replica does not
		}
		e := &entry[V]{version: change.Version, kind: changed, asOf: written}
		if change.Value != nil {
			e.kind, e.value = exists, *change.Value
		}
		c.board.raise(change.Key, change.Version)
		c.store(change.Key, e)
		c.share(change.Key, e)
	}
	c.tell(changes)
}

// store keeps an entry in memory unless what is there counts more, and gives what is there then.
func (c *Cache[V]) store(key string, e *entry[V]) *entry[V] {
	now := c.config.Now()
	c.date(e, now)
	there, _ := c.memory.Compute(key, func(old *entry[V], found bool) (*entry[V], otter.ComputeOp) {
		if found && !e.replaces(old, now) {
			return old, otter.CancelOp
		}
		return e, otter.WriteOp
	})
	return there
}

// date sets until when an entry counts in memory. Its value ages from when it was current, and may have been on its way
// since. Its version is remembered from now on for as long as anything older may be on its way: whatever is older was
// read before now.
func (c *Cache[V]) date(e *entry[V], now time.Time) {
	e.known = now.Add(c.life(changed))
	if e.kind != changed {
		age := max(0, now.Sub(e.asOf))
		e.fresh = now.Add(min(c.config.Settings.ttl(e.kind), c.life(e.kind)-age))
	}
}

func (s Settings) ttl(k kind) time.Duration {
	if k == missing {
		return min(s.NegativeTTL, s.TTL)
	}
	return s.TTL
}

// life is how old an entry may get, in whatever tier.
func (c *Cache[V]) life(k kind) time.Duration {
	if c.config.Redis == nil || k == missing {
		return c.config.Settings.ttl(k)
	}
	return c.config.Settings.Redis.TTL
}
