package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// metrics are the instruments of runs.
type metrics struct {
	duration metric.Float64Histogram
	matches  metric.Int64Counter
}

func newMetrics(m metric.Meter) (metrics, error) {
	duration, err1 := m.Float64Histogram("tieout.reconciliation.run.duration", metric.WithUnit("s"),
		metric.WithDescription("How long runs took that have finished."), metric.WithExplicitBucketBoundaries(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800))
	matches, err2 := m.Int64Counter("tieout.reconciliation.matches",
		metric.WithDescription("Matches that runs have made, by the pass that has proven them."))
	all := metrics{duration: duration, matches: matches}
	if err := errors.Join(err1, err2); err != nil {
		return all, err
	}
	for p := match.PassStrongID; p <= match.PassOwn; p++ {
		all.matched(context.Background(), p, 0)
	}
	return all, nil
}

func (m metrics) matched(ctx context.Context, by match.Pass, n int64) {
	m.matches.Add(ctx, n, metric.WithAttributes(attribute.String("pass", by.String())))
}

// finished counts a run that has finished.
func (m metrics) finished(ctx context.Context, took time.Duration, o outcome) {
	m.duration.Record(ctx, took.Seconds())
	for i, n := range o.byPass {
		m.matched(ctx, match.Pass(i+1), n)
	}
}

// backlog is what is not explained, as the database has it; it is read when somebody collects the metrics.
type backlog struct {
	pool *pgxpool.Pool
	// scheduled says that runs begin by themselves.
	scheduled bool

	breaks, breakMoney, open metric.Int64ObservableGauge
	breakAge, runAge         metric.Float64ObservableGauge

	// What the last finished run left open is counted once: there may be much of it. Collections come one after the other.
	counted int32
	left    map[stage]int64
}

func observeBacklog(m metric.Meter, pool *pgxpool.Pool, scheduled bool) error {
	b := &backlog{pool: pool, scheduled: scheduled, left: map[stage]int64{stageProvider: 0, stageBank: 0}}
	var err1, err2, err3, err4, err5 error
	b.breaks, err1 = m.Int64ObservableGauge("tieout.reconciliation.breaks",
		metric.WithDescription("Breaks that are open, by severity – that of their code and amount – and age."))
	b.breakMoney, err2 = m.Int64ObservableGauge("tieout.reconciliation.breaks.money",
		metric.WithDescription("What open breaks amount to, in minor units of its currency, whatever the direction, by age."))
	b.breakAge, err3 = m.Float64ObservableGauge("tieout.reconciliation.break.age", metric.WithUnit("s"),
		metric.WithDescription("For how long the oldest of the open breaks has been; 0 when there is none."))
	b.open, err4 = m.Int64ObservableGauge("tieout.reconciliation.open",
		metric.WithDescription("Movements that the last finished run has left open, by stage."))
	b.runAge, err5 = m.Float64ObservableGauge("tieout.reconciliation.run.age", metric.WithUnit("s"),
		metric.WithDescription("How long ago the newest finished run ended; when there is none, how long ago the service was set up, if runs begin by themselves."))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		return errors.Join(b.observeRuns(ctx, o), b.observeBreaks(ctx, o))
	}, b.breaks, b.breakMoney, b.breakAge, b.open, b.runAge)
	return err
}

const lastFinished = `
SELECT coalesce(r.number, 0), coalesce(extract(epoch FROM now() - coalesce(r.ended_at, (SELECT min(at) FROM rule_activation))), 0)::float8
  FROM (SELECT 1) one LEFT JOIN (SELECT number, ended_at FROM run WHERE state = 2 ORDER BY number DESC LIMIT 1) r ON true`

func (b *backlog) observeRuns(ctx context.Context, o metric.Observer) error {
	var number int32
	var age float64
	if err := b.pool.QueryRow(ctx, lastFinished).Scan(&number, &age); err != nil {
		return fmt.Errorf("reading the last run: %w", err)
	}
	if number > 0 || b.scheduled {
		o.ObserveFloat64(b.runAge, age)
	}
	if number != b.counted {
		rows, err := newStore(b.pool).q.CountOpen(ctx)
		if err != nil {
			return fmt.Errorf("counting what is open: %w", err)
		}
		b.counted, b.left = number, map[stage]int64{stageProvider: 0, stageBank: 0}
		for _, row := range rows {
			b.left[stage(row.Stage)] = row.Count
		}
	}
	for at, n := range b.left {
		o.ObserveInt64(b.open, n, metric.WithAttributes(attribute.String("stage", at.String())))
	}
	return nil
}

const openBreaks = `
SELECT base_severity, currency, width_bucket(extract(epoch FROM now() - opened_at)::float8, $1::float8[]),
       count(*), sum(abs(amount_minor))::bigint, extract(epoch FROM now() - min(opened_at))::float8
  FROM break WHERE state <> 5 GROUP BY 1, 2, 3`

func (b *backlog) observeBreaks(ctx context.Context, o metric.Observer) error {
	var counts [breaks.Critical + 1]telemetry.ByAge
	sums := map[money.Currency]*telemetry.ByAge{}
	rows, err := b.pool.Query(ctx, openBreaks, telemetry.AgeBounds())
	if err != nil {
		return fmt.Errorf("counting breaks: %w", err)
	}
	var severity breaks.Severity
	var currency money.Currency
	var class telemetry.AgeClass
	var n, minor int64
	var age, oldest float64
	_, err = pgx.ForEachRow(rows, []any{&severity, &currency, &class, &n, &minor, &age}, func() error {
		counts[severity][class] += n
		oldest = max(oldest, age)
		if currency == "" {
			return nil
		}
		if sums[currency] == nil {
			sums[currency] = &telemetry.ByAge{}
		}
		sums[currency][class] += minor
		return nil
	})
	if err != nil {
		return fmt.Errorf("counting breaks: %w", err)
	}
	o.ObserveFloat64(b.breakAge, oldest)
	for severity := breaks.Low; severity <= breaks.Critical; severity++ {
		counts[severity].Observe(o, b.breaks, attribute.String("severity", severity.String()))
	}
	for currency, sum := range sums {
		sum.Observe(o, b.breakMoney, attribute.String("currency", string(currency)))
	}
	return nil
}
