package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/money"
)

const (
	// resolveEvery is how often is looked for operations whose time has come.
	resolveEvery = 2 * time.Second
	// resolveBatch is how many are taken at once, and asked about side by side.
	resolveBatch = 16
)

// waits are when the provider is asked again what became of an operation in doubt: so long after it was found to be, or
// after the last time.
var waits = [...]time.Duration{2 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour}

// waitToLook is how long to wait when it was asked so many times.
func waitToLook(looks int32) time.Duration { return waits[min(int(looks), len(waits)-1)] }

// takeDue gives open operations whose time has come to whoever asks first, for as long as it may take to ask. The
// sub-select goes through the index of open operations.
const takeDue = `
UPDATE operation SET look_at = now() + $2
 WHERE (payment_id, seq) IN (
       SELECT payment_id, seq FROM operation WHERE state IN (2, 3) AND look_at <= now() ORDER BY look_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING payment_id`

// postpone is for an operation that could not be asked about: that was no look.
const postpone = `UPDATE operation SET look_at = now() + $3 WHERE payment_id = $1 AND seq = $2 AND state IN (2, 3)`

// resolveOnce finds out about operations in doubt whose requests do not, or have gone away.
func (s *payments) resolveOnce(ctx context.Context) (again bool, err error) {
	rows, err := s.pool.Query(ctx, takeDue, resolveBatch, s.lease())
	if err != nil {
		return false, fmt.Errorf("looking for operations in doubt: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[PaymentID])
	if err != nil {
		return false, fmt.Errorf("looking for operations in doubt: %w", err)
	}
	if len(ids) == 0 {
		return false, nil
	}
	due, err := newStore(s.pool).get(ctx, ids...)
	if err != nil {
		return false, err
	}
	errs := make(chan error, len(due))
	var asking sync.WaitGroup
	for _, p := range due {
		asking.Go(func() {
			if err := s.resolve(ctx, p); err != nil {
				errs <- err
			}
		})
	}
	asking.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return len(ids) == resolveBatch && err == nil, err
}

// resolve finds out about one; what somebody else has found out in between is as good.
func (s *payments) resolve(ctx context.Context, p payment) error {
	if !p.Last.State.open() {
		return nil
	}
	now, why, err := s.settle(ctx, p, byResolver)
	switch {
	case errors.Is(err, errChanged):
		return nil
	case err != nil:
		return fmt.Errorf("resolving %s: %w", p.ID, err)
	case errors.Is(why, errNotAsked):
		if _, err := s.pool.Exec(ctx, postpone, p.ID, p.Last.Seq, waits[0]); err != nil {
			return fmt.Errorf("resolving %s: %w", p.ID, err)
		}
	case why != nil:
		s.log.WarnContext(ctx, "payment stays in doubt", slog.String("payment_id", p.ID.String()),
			slog.Int("looks", int(p.Last.Looks)), slog.Any("error", why))
	default:
		s.log.InfoContext(ctx, "payment is not in doubt any more", slog.String("payment_id", p.ID.String()), slog.String("state", now.State.String()))
	}
	return nil
}

// doubt is the money in doubt in one currency.
type doubt struct {
	amount     money.Amount
	operations int64
	oldest     time.Time
	byAge      []int64 // minor units younger than each of doubtAges, and the rest
}

// doubtAges part the money in doubt by its age.
var doubtAges = [...]time.Duration{time.Minute, time.Hour, 24 * time.Hour}

var doubtNames = [...]string{"below 1m", "below 1h", "below 1d", "1d and more"}

// inDoubt adds up what is in doubt, by currency: operations whose answer was lost.
func (s *payments) inDoubt(ctx context.Context) ([]doubt, error) {
	rows, err := s.pool.Query(ctx, `
SELECT p.currency, sum(o.amount_minor)::bigint, count(*), min(o.last_sent_at),
       coalesce(sum(o.amount_minor) FILTER (WHERE now() - o.last_sent_at < $1), 0)::bigint,
       coalesce(sum(o.amount_minor) FILTER (WHERE now() - o.last_sent_at >= $1 AND now() - o.last_sent_at < $2), 0)::bigint,
       coalesce(sum(o.amount_minor) FILTER (WHERE now() - o.last_sent_at >= $2 AND now() - o.last_sent_at < $3), 0)::bigint,
       coalesce(sum(o.amount_minor) FILTER (WHERE now() - o.last_sent_at >= $3), 0)::bigint
  FROM operation o JOIN payment p ON p.id = o.payment_id
 WHERE o.state IN (2, 3) AND o.state = 3
 GROUP BY p.currency ORDER BY p.currency`, doubtAges[0], doubtAges[1], doubtAges[2])
	if err != nil {
		return nil, fmt.Errorf("adding up the money in doubt: %w", err)
	}
	var all []doubt
	for rows.Next() {
		d := doubt{byAge: make([]int64, len(doubtNames))}
		if err := rows.Scan(&d.amount.Currency, &d.amount.Minor, &d.operations, &d.oldest, &d.byAge[0], &d.byAge[1], &d.byAge[2], &d.byAge[3]); err != nil {
			return nil, fmt.Errorf("adding up the money in doubt: %w", err)
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// measureDoubt makes the metric of the money in doubt. It is read from the database when somebody collects it.
func (s *payments) measureDoubt(meter metric.Meter) error {
	_, err := meter.Int64ObservableGauge("tieout.payment.in_doubt",
		metric.WithDescription("Money of operations whose outcome is not known, in minor units of its currency, by its age."),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			all, err := s.inDoubt(ctx)
			for _, d := range all {
				for i, minor := range d.byAge {
					o.Observe(minor, metric.WithAttributes(attribute.String("currency", string(d.amount.Currency)), attribute.String("age", doubtNames[i])))
				}
			}
			return err
		}))
	return err
}
