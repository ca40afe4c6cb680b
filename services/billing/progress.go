package billing

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// progress is how far the batches are that are under way – started, with items that are not through – as the database has it.
// It is read when somebody collects the metrics.
type progress struct {
	pool *pgxpool.Pool

	batches, late, items, money metric.Int64ObservableGauge
	age                         metric.Float64ObservableGauge
}

func observeProgress(m metric.Meter, pool *pgxpool.Pool) error {
	p := &progress{pool: pool}
	var err1, err2, err3, err4, err5 error
	p.batches, err1 = m.Int64ObservableGauge("tieout.billing.batches", metric.WithDescription("Batches that have not ended, by state."))
	p.late, err2 = m.Int64ObservableGauge("tieout.billing.batches.late",
		metric.WithDescription("Batches under way that are late: with items left less than an hour before their cut-off or after it, or a day after they were started."))
	p.items, err3 = m.Int64ObservableGauge("tieout.billing.batch.items", metric.WithDescription("Items of batches under way, by state."))
	p.money, err4 = m.Int64ObservableGauge("tieout.billing.batch.money",
		metric.WithDescription("Money of batches under way, in minor units of its currency: what was collected, and the rest of what was planned."))
	p.age, err5 = m.Float64ObservableGauge("tieout.billing.batch.age", metric.WithUnit("s"),
		metric.WithDescription("How long ago the oldest batch under way was started; 0 when there is none."))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		return errors.Join(p.observeBatches(ctx, o), p.observeMoney(ctx, o))
	}, p.batches, p.late, p.items, p.money, p.age)
	return err
}

// Batches are few: there is no index for those that have not ended.
const underWay = `
SELECT count(*) FILTER (WHERE b.state = 1), count(*) FILTER (WHERE b.state = 2), count(*) FILTER (WHERE b.state = 3),
       coalesce(sum(b.planned) FILTER (WHERE w.started), 0)::bigint, coalesce(sum(b.running) FILTER (WHERE w.started), 0)::bigint,
       coalesce(sum(b.succeeded) FILTER (WHERE w.started), 0)::bigint, coalesce(sum(b.failed) FILTER (WHERE w.started), 0)::bigint,
       coalesce(sum(b.unknown) FILTER (WHERE w.started), 0)::bigint,
       count(*) FILTER (WHERE w.started AND b.planned + b.running > 0 AND b.cut_off_at < now() + interval '1 hour'),
       count(*) FILTER (WHERE w.started AND b.planned + b.running > 0 AND b.started_at < now() - interval '1 day'),
       coalesce(extract(epoch FROM now() - min(b.started_at) FILTER (WHERE w.started)), 0)::float8
  FROM batch b, LATERAL (SELECT b.state IN (2, 3) AS started) w
 WHERE b.state BETWEEN 1 AND 3`

func (p *progress) observeBatches(ctx context.Context, o metric.Observer) error {
	var planned, running, paused, cutOff, day int64
	var items [5]int64
	var age float64
	err := p.pool.QueryRow(ctx, underWay).Scan(&planned, &running, &paused,
		&items[0], &items[1], &items[2], &items[3], &items[4], &cutOff, &day, &age)
	if err != nil {
		return fmt.Errorf("counting batches: %w", err)
	}
	o.ObserveFloat64(p.age, age)
	for state, n := range map[batchState]int64{batchPlanned: planned, batchRunning: running, batchPaused: paused} {
		o.ObserveInt64(p.batches, n, metric.WithAttributes(attribute.String("state", state.String())))
	}
	for i, state := range []itemState{itemPlanned, itemRunning, itemSucceeded, itemFailed, itemUnknown} {
		o.ObserveInt64(p.items, items[i], metric.WithAttributes(attribute.String("state", state.String())))
	}
	for why, n := range map[string]int64{"cut_off": cutOff, "day": day} {
		o.ObserveInt64(p.late, n, metric.WithAttributes(attribute.String("why", why)))
	}
	return nil
}

const moneyUnderWay = `
SELECT s.currency, sum(s.collected_minor)::bigint, sum(s.sum_minor - s.collected_minor)::bigint
  FROM batch b JOIN batch_sum s ON s.batch_id = b.id WHERE b.state IN (2, 3) GROUP BY s.currency`

func (p *progress) observeMoney(ctx context.Context, o metric.Observer) error {
	rows, err := p.pool.Query(ctx, moneyUnderWay)
	if err != nil {
		return fmt.Errorf("adding up batches: %w", err)
	}
	var currency string
	var collected, rest int64
	_, err = pgx.ForEachRow(rows, []any{&currency, &collected, &rest}, func() error {
		for state, minor := range map[string]int64{"collected": collected, "open": rest} {
			o.ObserveInt64(p.money, minor, metric.WithAttributes(attribute.String("currency", currency), attribute.String("state", state)))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("adding up batches: %w", err)
	}
	return nil
}
