package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/telemetry"
)

// doubt is the money in doubt in one currency.
type doubt struct {
	amount     money.Amount
	operations int64
	oldest     time.Time
	byAge      telemetry.ByAge // minor units
}

// allInDoubt are the operations whose answer was lost, by currency and class of age: the index is of those that are open. One is in
// doubt since the first answer that was lost, however often it was sent again since; where that is not among the calls that are
// kept any more, since it was begun.
const allInDoubt = `
SELECT p.currency, width_bucket(extract(epoch FROM now() - d.since)::float8, $1::float8[]), sum(o.amount_minor)::bigint, count(*), min(d.since)
  FROM operation o JOIN payment p ON p.id = o.payment_id, LATERAL (
       SELECT CASE WHEN jsonb_array_length(o.calls) >= $2 THEN o.created_at ELSE coalesce(
           (jsonb_path_query_first(o.calls, '$[*] ? (@.outcome == "unknown").at') #>> '{}')::timestamptz, o.last_sent_at) END AS since) d
 WHERE o.state IN (2, 3) AND o.state = 3
 GROUP BY 1, 2 ORDER BY 1, 2`

// inDoubt adds up what is in doubt, by currency.
func (s *payments) inDoubt(ctx context.Context) ([]doubt, error) {
	rows, err := s.pool.Query(ctx, allInDoubt, telemetry.AgeBounds(), maxCalls)
	if err != nil {
		return nil, fmt.Errorf("adding up the money in doubt: %w", err)
	}
	var all []doubt
	var part doubt
	var class telemetry.AgeClass
	_, err = pgx.ForEachRow(rows, []any{&part.amount.Currency, &class, &part.amount.Minor, &part.operations, &part.oldest}, func() error {
		if len(all) == 0 || all[len(all)-1].amount.Currency != part.amount.Currency {
			all = append(all, doubt{amount: money.Amount{Currency: part.amount.Currency}, oldest: part.oldest})
		}
		d := &all[len(all)-1]
		d.amount.Minor += part.amount.Minor
		d.operations += part.operations
		d.byAge[class] = part.amount.Minor
		if part.oldest.Before(d.oldest) {
			d.oldest = part.oldest
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("adding up the money in doubt: %w", err)
	}
	return all, nil
}

// observe makes the instruments. What is in doubt is read from the database when somebody collects it.
func (s *payments) observe(m metric.Meter) error {
	var err0 error
	s.booked, err0 = m.Int64Counter("tieout.ledger.booked",
		metric.WithDescription("Money that was booked, in minor units of its currency, by kind of journal; fees that came with it are not counted."))
	count, err1 := m.Int64ObservableGauge("tieout.payment.in_doubt",
		metric.WithDescription("Operations at the payment provider whose outcome is not known."))
	age, err2 := m.Float64ObservableGauge("tieout.payment.in_doubt.age", metric.WithUnit("s"),
		metric.WithDescription("For how long the oldest of the operations in doubt has been; 0 when there is none."))
	limbo, err3 := m.Int64ObservableGauge(telemetry.MoneyInLimbo, metric.WithDescription(telemetry.MoneyInLimboMeans))
	if err := errors.Join(err0, err1, err2, err3); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		all, err := s.inDoubt(ctx)
		if err != nil {
			return err
		}
		var operations int64
		var oldest time.Duration
		for _, d := range all {
			operations += d.operations
			oldest = max(oldest, time.Since(d.oldest))
			d.byAge.Observe(o, limbo, attribute.String("why", "in_doubt"), attribute.String("currency", string(d.amount.Currency)))
		}
		o.ObserveInt64(count, operations)
		o.ObserveFloat64(age, oldest.Seconds())
		return nil
	}, count, age, limbo)
	return err
}

// countBooked counts bookings when their transaction has committed.
func (s *payments) countBooked(ctx context.Context, tx *pg.Tx, bookings []booking) {
	if len(bookings) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	tx.AfterCommit(func() {
		for _, b := range bookings {
			amount := b.journal.Postings()[0].Amount
			s.booked.Add(ctx, max(amount.Minor, -amount.Minor), metric.WithAttributes(
				attribute.String("kind", b.journal.Kind().String()), attribute.String("currency", string(amount.Currency))))
		}
	})
}
