package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/pg"
)

// metrics are per database: one process may run several services.
type metrics struct {
	meter       metric.Meter
	attributes  metric.MeasurementOption
	published   metric.Int64Counter
	lag         metric.Float64ObservableGauge
	unpublished metric.Int64ObservableGauge
}

func newMetrics(meter metric.Meter, service string, log *slog.Logger) metrics {
	published, err1 := meter.Int64Counter("tieout.outbox.published",
		metric.WithDescription("Events published and acknowledged by the stream, repetitions included."),
		metric.WithUnit("{event}"))
	lag, err2 := meter.Float64ObservableGauge("tieout.outbox.lag",
		metric.WithDescription("Age of the oldest event that is not published."), metric.WithUnit("s"))
	unpublished, err3 := meter.Int64ObservableGauge("tieout.outbox.unpublished",
		metric.WithDescription("Events that are not published."), metric.WithUnit("{event}"))
	if err := errors.Join(err1, err2, err3); err != nil {
		log.Error("outbox metrics are incomplete", slog.Any("error", err))
	}
	attributes := metric.WithAttributeSet(attribute.NewSet(attribute.String("tieout.service", service)))
	published.Add(context.Background(), 0, attributes)
	return metrics{
		meter:       meter,
		attributes:  attributes,
		published:   published,
		lag:         lag,
		unpublished: unpublished,
	}
}

// The oldest by seq stands for the oldest by time: they differ by a transaction's length.
const backlog = `
SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL AND seq > known.published_to),
       coalesce((SELECT greatest(extract(epoch FROM now() - written_at), 0)::float8
                   FROM outbox WHERE published_at IS NULL AND seq > known.published_to ORDER BY seq LIMIT 1), 0)
  FROM (SELECT coalesce((SELECT published_to FROM outbox_stream), 0) AS published_to) AS known`

// observe measures the backlog from now on, at each collection, whether or not a relay is active anywhere.
func (m metrics) observe(pool *pgxpool.Pool) (metric.Registration, error) {
	callback := func(ctx context.Context, to metric.Observer) error {
		var rows int64
		var age float64
		err := pg.InTxByKey(ctx, pool, func(tx *pg.Tx) error { return tx.QueryRow(ctx, backlog).Scan(&rows, &age) })
		if err != nil {
			return fmt.Errorf("measuring outbox: %w", err)
		}
		to.ObserveInt64(m.unpublished, rows, m.attributes)
		to.ObserveFloat64(m.lag, age, m.attributes)
		return nil
	}
	registration, err := m.meter.RegisterCallback(callback, m.lag, m.unpublished)
	if err != nil {
		return nil, fmt.Errorf("registering outbox metrics: %w", err)
	}
	return registration, nil
}
