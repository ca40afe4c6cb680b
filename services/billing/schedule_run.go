package billing

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/billing/billingdb"
)

const (
	// scheduleEvery is how soon after its instant an occurrence is noticed.
	scheduleEvery = 5 * time.Second
	// scheduleRound is how many schedules are decided on together.
	scheduleRound = 200
)

// scheduleOnce decides on schedules that have something due. Any number of replicas may do it at once: each takes those
// that nobody else is at.
func (b *billing) scheduleOnce(ctx context.Context) (again bool, err error) {
	ids, err := newStore(b.pool).dueSchedules(ctx, b.clock())
	if err != nil || len(ids) == 0 {
		return false, err
	}
	err = pg.InTx(ctx, b.pool, func(tx *pg.Tx) error {
		held, err := newStore(tx).claimSchedules(ctx, ids)
		if err != nil || len(held) == 0 {
			return err
		}
		r, err := b.newRound(ctx, tx, held...)
		if err != nil {
			return err
		}
		for _, s := range held {
			if err := r.decide(s); err != nil { // its own trouble: the others go on
				b.log.ErrorContext(ctx, "a schedule cannot be decided on", slog.String("schedule_id", s.id.String()), slog.Any("error", err))
			}
		}
		again = len(ids) >= scheduleRound && len(r.decided) > 0
		return r.write(ctx)
	})
	return again, err
}

// dueSchedules gives schedules that have something due, or something that waits no longer.
func (s store) dueSchedules(ctx context.Context, clock *time.Time) ([]uuid.UUID, error) {
	ids, err := s.q.ListDueSchedules(ctx, billingdb.ListDueSchedulesParams{Clock: clock, N: scheduleRound})
	if err != nil {
		return nil, fmt.Errorf("looking for what is due: %w", err)
	}
	return ids, nil
}
