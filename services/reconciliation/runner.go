package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const (
	// runLock is the advisory lock of the replica that goes on with the run; such locks are per database.
	runLock = 7_403_003
	// runEvery is how soon a replica notices a run that nobody told it of, or that another one has left, and rules that another one
	// has activated.
	runEvery = 3 * time.Second
)

// runner goes on with the run that is under way. The replica that holds the lock does; the epoch, which every write carries, is
// what keeps one that has lost it without noticing from writing.
type runner struct {
	*reconciliation
	every time.Duration // how often runs begin by themselves; 0 for never
	lock  *pg.SessionLock
	wake  periodic.Bell
	// pieceSize is how many matches are written in one transaction.
	pieceSize int
}

// run goes on with runs until ctx ends.
func (r *runner) run(ctx context.Context) error {
	defer r.lock.Release()
	return periodic.Duty{Name: "runs", Every: runEvery, RunOnce: r.runOnce, Log: r.log, Wake: r.wake}.Run(ctx)
}

// runOnce goes on with the run that is under way to its end, if nobody else does.
func (r *runner) runOnce(ctx context.Context) (again bool, err error) {
	standing, err := newStore(r.pool).q.Standing(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for a run: %w", err)
	}
	if err := r.judgeBy(ctx, standing.Rules); err != nil {
		return false, err
	}
	if !standing.UnderWay {
		r.lock.Release()
		return r.beginByItself(ctx)
	}
	held, err := r.lock.Acquire(ctx)
	if err != nil || !held {
		return false, err
	}
	defer r.lock.Release()
	taken, err := newStore(r.pool).q.TakeRun(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("taking run up: %w", err)
	}
	if err = r.goOn(ctx, taken); errors.Is(err, errLost) {
		return true, nil
	}
	if err != nil && ctx.Err() == nil {
		r.inTrouble(ctx, taken, err)
	}
	return err == nil, err
}

// inTrouble writes why a run does not go on.
func (r *runner) inTrouble(ctx context.Context, taken reconciliationdb.TakeRunRow, trouble error) {
	err := newStore(r.pool).q.SetTrouble(ctx, reconciliationdb.SetTroubleParams{
		Trouble: trouble.Error(), Number: taken.Number, Epoch: taken.Epoch,
	})
	if err != nil {
		r.log.WarnContext(ctx, "the trouble of a run is not written", slog.String("run_id", RunID(taken.ID).String()), slog.Any("error", err))
	}
	r.watchers.Notify(taken.ID)
}

// goOn brings a run to its end from where it is.
func (r *runner) goOn(ctx context.Context, taken reconciliationdb.TakeRunRow) error {
	t := tenure{taken.Number, taken.Epoch}
	if taken.Cancelling != "" {
		return r.cancelled(ctx, t, RunID(taken.ID))
	}
	if !taken.Telling {
		if err := r.match(ctx, t, taken); err != nil {
			return err
		}
		n, err := newStore(r.pool).q.BeginTelling(ctx, reconciliationdb.BeginTellingParams{Number: t.number, Epoch: t.epoch})
		if err != nil {
			return fmt.Errorf("writing that all is matched: %w", err)
		}
		if n == 0 {
			return errLost
		}
	}
	if err := r.tell(ctx, t); err != nil {
		return err
	}
	return r.finish(ctx, t, taken)
}

// match matches what the run has taken, and stores what it comes to.
func (r *runner) match(ctx context.Context, t tenure, taken reconciliationdb.TakeRunRow) error {
	st := newStore(r.pool)
	by, err := st.ruleSet(ctx, taken.Rules)
	if err != nil {
		return err
	}
	set, err := by.parse()
	if err != nil {
		return err
	}
	from, err := st.sourceOf(ctx, t.number)
	if err != nil {
		return err
	}
	also, err := st.q.PlacesOfFindings(ctx, t.number)
	if err != nil {
		return fmt.Errorf("looking for what was found before: %w", err)
	}
	into, err := newWriter(ctx, r.pool, t)
	if err != nil {
		return err
	}
	into.pieceSize, into.wrote = r.pieceSize, func() { r.watchers.Notify(taken.ID) }
	w := work{pool: r.pool, source: from, rules: set, asOf: dayIn(taken.AsOf), into: into, also: also, seen: func(int) {}}
	return w.do(ctx)
}

// beginByItself begins a run when it is time for one: movements have come in, or a day has gone by and what was not due may be.
func (r *runner) beginByItself(ctx context.Context) (again bool, err error) {
	if r.every == 0 {
		return false, nil
	}
	waiting, err := newStore(r.pool).q.CountWaiting(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for movements that wait: %w", err)
	}
	isNewDay := waiting.IsOpen && (!waiting.AsOf.Valid || waiting.AsOf.Time.Before(waiting.Today.Time))
	isBehind := waiting.AsOf.Valid && waiting.AsOf.Time.After(waiting.Today.Time) // somebody looked ahead
	if isBehind || waiting.Deliveries == 0 && !isNewDay || waiting.Seconds < r.every.Seconds() {
		return false, nil
	}
	err = pg.InTx(ctx, r.pool, func(tx *pg.Tx) error {
		_, err := r.beginIn(ctx, tx, serviceName, dayIn(waiting.Today))
		return err
	})
	return err == nil, err
}
