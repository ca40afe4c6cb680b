package cache

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// tier is where a read looked.
type tier int

const (
	inMemory tier = iota
	onRedis
)

// result is what a tier had of a key.
type result int

const (
	resultHit result = iota
	resultNegative
	resultMiss
)

type metrics struct {
	reads     metric.Int64Counter
	loads     metric.Int64Counter
	age       metric.Float64Histogram
	forgotten metric.Int64Counter

	of    [2][3]metric.MeasurementOption // by tier and result, made once: reads are many
	tiers [2]metric.MeasurementOption
	name  metric.MeasurementOption
}

func newMetrics(m metric.Meter, name string) (metrics, error) {
	reads, err1 := m.Int64Counter("tieout.cache.reads",
		metric.WithDescription("Keys that a tier was asked for, by what it had: hit, negative (it knew that there is no such thing) or miss."))
	loads, err2 := m.Int64Counter("tieout.cache.loads", metric.WithDescription("Reads of the database for what no tier had."))
	age, err3 := m.Float64Histogram("tieout.cache.age", metric.WithUnit("s"),
		metric.WithDescription("How old what a tier gave was, since it was read from the database or written to it."),
		metric.WithExplicitBucketBoundaries(0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60))
	forgotten, err4 := m.Int64Counter("tieout.cache.forgotten", metric.WithDescription("Keys of which another replica said that they changed."))
	cache := attribute.String("cache", name)
	all := metrics{
		reads: reads, loads: loads, age: age, forgotten: forgotten,
		name: metric.WithAttributeSet(attribute.NewSet(cache)),
	}
	for t, tierName := range []string{inMemory: "memory", onRedis: "redis"} {
		in := attribute.String("tier", tierName)
		all.tiers[t] = metric.WithAttributeSet(attribute.NewSet(cache, in))
		for r, resultName := range []string{resultHit: "hit", resultNegative: "negative", resultMiss: "miss"} {
			all.of[t][r] = metric.WithAttributeSet(attribute.NewSet(cache, in, attribute.String("result", resultName)))
		}
	}
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return all, err
	}
	loads.Add(context.Background(), 0, all.name)
	forgotten.Add(context.Background(), 0, all.name)
	return all, nil
}

func (m *metrics) read(ctx context.Context, t tier, r result) { m.reads.Add(ctx, 1, m.of[t][r]) }

func (m *metrics) hit(ctx context.Context, t tier, exists bool, age time.Duration) {
	r := resultHit
	if !exists {
		r = resultNegative
	}
	m.read(ctx, t, r)
	m.age.Record(ctx, max(0, age).Seconds(), m.tiers[t])
}

func (m *metrics) loaded(ctx context.Context) { m.loads.Add(ctx, 1, m.name) }

func (m *metrics) forgot(keys int) { m.forgotten.Add(context.Background(), int64(keys), m.name) }

// Why Redis did not help.
const (
	causeError   = "error"   // a call failed, or took too long
	causeOpen    = "open"    // the breaker let nothing through
	causeGarbage = "garbage" // what was there makes no sense
	causeFull    = "full"    // too much waited to be written
)

type redisMetrics struct{ fallbacks metric.Int64Counter }

func newRedisMetrics(m metric.Meter) (redisMetrics, error) {
	fallbacks, err := m.Int64Counter("tieout.cache.fallbacks",
		metric.WithDescription("Calls to Redis that came to nothing: reads went on to the next server or the database, writes were dropped."))
	return redisMetrics{fallbacks}, err
}

func (m redisMetrics) fellBack(ctx context.Context, server, cause string) {
	m.fallbacks.Add(ctx, 1, metric.WithAttributes(attribute.String("server", server), attribute.String("cause", cause)))
}
