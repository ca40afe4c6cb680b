package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/cache"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
)

// caches are what GetStock, BatchGetStock and GetItem read. Nothing that decides does, nor what tells the past.
type caches struct {
	levels *cache.Cache[levelAt]
	items  *cache.Cache[item]
}

// newCaches makes the caches and has them kept in step with the other replicas'.
func newCaches(env *service.Env, settings cache.Settings) (caches, error) {
	if err := settings.Validate(); err != nil {
		return caches{}, fmt.Errorf("%w: cache: %w", service.ErrConfig, err)
	}
	redis, err := cache.OpenRedis(cache.RedisConfig{Settings: settings.Redis, Log: env.Log, Meter: env.Meter})
	if err != nil {
		return caches{}, err
	}
	levels, levelsErr := cache.New(cache.Config[levelAt]{
		Name: "inventory.level", Settings: settings, Load: loadLevels(env.Pool), Redis: redis,
		NATS: env.JetStream.Conn(), Log: env.Log, Meter: env.Meter,
	})
	items, itemsErr := cache.New(cache.Config[item]{
		Name: "inventory.item", Settings: settings, Load: loadItems(env.Pool), Redis: redis,
		NATS: env.JetStream.Conn(), Log: env.Log, Meter: env.Meter,
	})
	if err := errors.Join(levelsErr, itemsErr); err != nil {
		return caches{}, err
	}
	env.Go("cache of levels", levels.Run)
	env.Go("cache of items", items.Run)
	if redis != nil {
		env.Go("cache on Redis", redis.Run)
	}
	return caches{levels, items}, nil
}

func loadLevels(pool *pgxpool.Pool) func(context.Context, []string) (map[string]cache.Loaded[levelAt], error) {
	return func(ctx context.Context, skus []string) (map[string]cache.Loaded[levelAt], error) {
		found, err := newStore(pool).levels(ctx, skus)
		loaded := make(map[string]cache.Loaded[levelAt], len(found))
		for _, l := range found {
			loaded[l.SKU] = cache.Loaded[levelAt]{Value: l, Version: l.version}
		}
		return loaded, err
	}
}

func loadItems(pool *pgxpool.Pool) func(context.Context, []string) (map[string]cache.Loaded[item], error) {
	return func(ctx context.Context, skus []string) (map[string]cache.Loaded[item], error) {
		return newStore(pool).items(ctx, skus)
	}
}

// levelsWritten has the caches take levels when tx has committed. A SKU of which created is true has become an item.
func (c caches) levelsWritten(tx *pg.Tx, levels []levelAt, created map[string]bool) {
	written := time.Now()
	changes := make([]cache.Change[levelAt], len(levels))
	var items []cache.Change[item]
	for i, l := range levels {
		changes[i] = cache.Change[levelAt]{Key: l.SKU, Version: l.version, Value: &levels[i]}
		if created[l.SKU] {
			items = append(items, cache.Change[item]{Key: l.SKU, Version: undescribed, Value: &item{SKU: l.SKU, Unit: defaultUnit}})
		}
	}
	putAfter(tx, c.levels, written, changes)
	putAfter(tx, c.items, written, items)
}

// itemWritten has the caches take an item when tx has committed. Its SKU may have become known by it.
func (c caches) itemWritten(tx *pg.Tx, i item, version int64) {
	written := time.Now()
	putAfter(tx, c.items, written, []cache.Change[item]{{Key: i.SKU, Version: version, Value: &i}})
	putAfter(tx, c.levels, written, []cache.Change[levelAt]{{Key: i.SKU, Version: 1}})
}

// putAfter has a cache take changes when tx has committed. When that is not known they count without their values: then
// reads ask the database, and whoever is told later that it was done sees it.
func putAfter[V any](tx *pg.Tx, c *cache.Cache[V], written time.Time, changes []cache.Change[V]) {
	tx.AfterCommit(func() { c.Put(written, changes...) })
	tx.AfterUnknown(func() {
		for i := range changes {
			changes[i].Value = nil
		}
		c.Put(written, changes...)
	})
}
