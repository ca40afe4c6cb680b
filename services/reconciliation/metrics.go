package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/services/reconciliation/match"
)

// metrics are the service's instruments.
type metrics struct {
	duration metric.Float64Histogram
	matches  metric.Int64Counter
	open     metric.Int64Gauge
}

func newMetrics(m metric.Meter) (metrics, error) {
	duration, err1 := m.Float64Histogram("tieout.reconciliation.run.duration", metric.WithUnit("s"),
		metric.WithDescription("How long runs took that have finished."), metric.WithExplicitBucketBoundaries(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800))
	matches, err2 := m.Int64Counter("tieout.reconciliation.matches",
		metric.WithDescription("Matches that runs have made, by the pass that has proven them."))
	open, err3 := m.Int64Gauge("tieout.reconciliation.open",
		metric.WithDescription("Movements that the last run has left open, by stage."))
	return metrics{duration: duration, matches: matches, open: open}, errors.Join(err1, err2, err3)
}

// finished counts a run that has finished.
func (m metrics) finished(ctx context.Context, took time.Duration, o outcome) {
	m.duration.Record(ctx, took.Seconds())
	for i, n := range o.byPass {
		m.matches.Add(ctx, n, metric.WithAttributes(attribute.String("pass", match.Pass(i+1).String())))
	}
}

// countOpen measures what is open.
func (r *reconciliation) countOpen(ctx context.Context) error {
	rows, err := newStore(r.pool).q.CountOpen(ctx)
	if err != nil {
		return fmt.Errorf("counting what is open: %w", err)
	}
	counts := map[stage]int64{stageProvider: 0, stageBank: 0}
	for _, row := range rows {
		counts[stage(row.Stage)] = row.Count
	}
	for at, n := range counts {
		r.metrics.open.Record(ctx, n, metric.WithAttributes(attribute.String("stage", at.String())))
	}
	return nil
}
