package groupcommit

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

type metrics struct {
	size    metric.Int64Histogram
	wait    metric.Float64Histogram
	waiting metric.Int64UpDownCounter
	group   metric.MeasurementOption
}

func newMetrics(m metric.Meter, name string) (metrics, error) {
	size, err1 := m.Int64Histogram("tieout.groupcommit.batch.size",
		metric.WithDescription("Writes per transaction."),
		metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
	wait, err2 := m.Float64Histogram("tieout.groupcommit.wait", metric.WithUnit("s"),
		metric.WithDescription("Time from handing in to the result."),
		metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5))
	waiting, err3 := m.Int64UpDownCounter("tieout.groupcommit.waiting",
		metric.WithDescription("Callers whose writes no batch has taken yet."))
	return metrics{
		size: size, wait: wait, waiting: waiting,
		group: metric.WithAttributeSet(attribute.NewSet(attribute.String("group", name))),
	}, errors.Join(err1, err2, err3)
}

func (m metrics) committed(ctx context.Context, writes int) {
	m.size.Record(ctx, int64(writes), m.group)
}

func (m metrics) answered(ctx context.Context, took time.Duration) {
	m.wait.Record(ctx, took.Seconds(), m.group)
}

// begins and ends of a caller's waiting to be taken.
func (m metrics) begins(ctx context.Context) { m.waiting.Add(ctx, 1, m.group) }
func (m metrics) ends(ctx context.Context)   { m.waiting.Add(ctx, -1, m.group) }
