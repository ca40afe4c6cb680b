package cache

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"
)

// aheadAtMost is how far another replica's clock may be ahead of this one's before its entries are not believed.
const aheadAtMost = time.Second

// fetch gives the entries of keys that are not fresh in memory, each loaded by one of those who want it.
func (c *Cache[V]) fetch(ctx context.Context, keys []string) (map[string]*entry[V], error) {
	got := make(map[string]*entry[V], len(keys))
	for len(keys) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		own, mine, others := c.board.join(keys)
		if own != nil {
			c.carryOut(ctx, own, mine)
			if own.err != nil {
				return nil, own.err
			}
			maps.Copy(got, own.got)
		}
		keys = nil
		for key, l := range others {
			e, again, err := l.wait(ctx, key)
			switch {
			case again:
				keys = append(keys, key)
			case err != nil:
				return nil, err
			default:
				got[key] = e
			}
		}
	}
	return got, nil
}

// carryOut loads keys for all who wait for them: from memory, where somebody was faster, from Redis, or from the
// database. What has changed while it was loaded is loaded again, from the database; what has changed even then began to
// change after the load did.
func (c *Cache[V]) carryOut(ctx context.Context, l *load[V], keys []string) {
	defer c.board.end(ctx, l, keys)
	now := c.config.Now()
	var rest []string
	for _, key := range keys {
		if e, ok := c.memory.GetIfPresent(key); ok && e.isFresh(now) {
			l.got[key] = e
			continue
		}
		rest = append(rest, key)
	}
	if c.config.Redis != nil && len(rest) > 0 {
		c.fromRedis(ctx, rest, l.got)
		rest = c.board.behind(l, rest)
	}
	for range 2 {
		if len(rest) == 0 {
			break
		}
		c.board.restart(l, rest)
		loaded, err := c.read(ctx, rest)
		if err != nil {
			l.err = err
			return
		}
		for key, e := range loaded {
			l.got[key] = c.newest(key, e)
		}
		rest = c.board.behind(l, rest)
	}
	l.err = nil
}

// newest keeps what the database said, and gives it, or what is fresh in memory and newer.
func (c *Cache[V]) newest(key string, e *entry[V]) *entry[V] {
	there := c.store(key, e)
	if there == e {
		c.share(key, e)
		return e
	}
	if there.version >= e.version && there.isFresh(c.config.Now()) {
		return there
	}
	return e
}

// read gives what the database says of keys, as of now.
func (c *Cache[V]) read(ctx context.Context, keys []string) (map[string]*entry[V], error) {
	asOf := c.config.Now()
	loaded, err := c.config.Load(ctx, keys)
	c.metrics.loaded(ctx)
	if err != nil {
		return nil, err
	}
	entries := make(map[string]*entry[V], len(keys))
	for _, key := range keys {
		e := &entry[V]{kind: missing, asOf: asOf}
		if found, ok := loaded[key]; ok {
			e.kind, e.version, e.value = exists, found.Version, found.Value
		}
		entries[key] = e
	}
	return entries, nil
}

// fromRedis adds what Redis has of keys, and what may still be given away. What is known in memory to be old may not; what
// makes no sense is removed.
func (c *Cache[V]) fromRedis(ctx context.Context, keys []string, got map[string]*entry[V]) {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = c.redisKey(key)
	}
	raw, ok := c.config.Redis.read(ctx, names)
	if !ok {
		return // it is counted as a fallback, and says nothing about the keys
	}
	now := c.config.Now()
	for i, key := range keys {
		e, err := decodeFound[V](raw[i])
		if errors.Is(err, errGarbage) {
			c.config.Redis.garbage(ctx, names[i])
		}
		if e != nil && c.isAlive(e, now) {
			if there := c.store(key, e); there.isFresh(now) {
				c.metrics.hit(ctx, onRedis, there.kind == exists, now.Sub(there.asOf))
				got[key] = there
				continue
			}
		}
		c.metrics.read(ctx, onRedis, resultMiss)
	}
}

// decodeFound decodes what Redis had; nil for nothing.
func decodeFound[V any](raw []byte) (*entry[V], error) {
	if raw == nil {
		return nil, nil
	}
	return decode[V](raw)
}

// isAlive tells whether an entry of another replica may be given away, by this one's clock.
func (c *Cache[V]) isAlive(e *entry[V], now time.Time) bool {
	age := now.Sub(e.asOf)
	return age >= -aheadAtMost && age < c.life(e.kind)
}

// share has an entry written to Redis.
func (c *Cache[V]) share(key string, e *entry[V]) {
	if c.config.Redis == nil {
		return
	}
	raw, err := e.encode()
	if err != nil {
		c.config.Log.Error("a value is not shared", slog.String("cache", c.config.Name), slog.Any("error", err))
		return
	}
	over := e.version
	if e.kind == changed {
		over-- // the value of this version says more
	}
	life := c.life(e.kind)
	c.config.Redis.write(write{key: c.redisKey(key), entry: raw, over: over, until: e.asOf.Add(life), life: life})
}

func (c *Cache[V]) redisKey(key string) string { return "tieout:" + c.config.Name + ":" + key }
