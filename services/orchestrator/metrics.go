package orchestrator

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/services/orchestrator/saga"
)

// engineMetrics are the engine's instruments.
type engineMetrics struct {
	calls  metric.Float64Histogram
	events metric.Int64Counter
}

func newEngineMetrics(m metric.Meter) (engineMetrics, error) {
	calls, err1 := m.Float64Histogram("tieout.saga.call.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
		metric.WithDescription("Time of one call to a participant, by call and outcome."))
	events, err2 := m.Int64Counter("tieout.saga.events",
		metric.WithDescription("Events recorded, by type: started sagas, steps done, compensations, parked sagas."))
	return engineMetrics{calls: calls, events: events}, errors.Join(err1, err2)
}

func (m engineMetrics) called(ctx context.Context, call string, kind saga.OutcomeKind, sent bool, took time.Duration) {
	outcome := kind.String()
	if !sent {
		outcome = "not sent"
	}
	m.calls.Record(ctx, took.Seconds(), metric.WithAttributes(attribute.String("call", call), attribute.String("outcome", outcome)))
}

func (m engineMetrics) recorded(ctx context.Context, e saga.Event) {
	m.events.Add(ctx, 1, metric.WithAttributes(attribute.String("type", string(e.Type)), attribute.String("step", e.Step)))
}
