package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
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
	case err != nil:
		return fmt.Errorf("resolving %s: %w", p.ID, err)
	case errors.Is(why, errChanged):
		return nil
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
