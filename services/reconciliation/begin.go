package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// The methods that make answers to clients' keys.
const (
	methodRun       = "RunReconciliation"
	methodCancelRun = "CancelRun"
)

// begin begins a run as of a day, empty for today. Its inputs are fixed with it; whoever runs runs goes on with it.
func (r *reconciliation) begin(ctx context.Context, from request, asOf string) (RunID, error) {
	day := dayOf(time.Now())
	if asOf != "" {
		var err error
		if day, err = parseDay("as_of", asOf); err != nil {
			return RunID{}, err
		}
	}
	asked := from.idem(methodRun, r.keyTTL, idem.Field{Name: "as_of", Value: asOf})
	return idem.Once(ctx, r.pool, asked, func(ctx context.Context, tx *pg.Tx) (RunID, string, error) {
		rid, err := r.beginIn(ctx, tx, from.caller, day)
		return rid, rid.String(), err
	})
}

func (r *reconciliation) beginIn(ctx context.Context, tx *pg.Tx, by string, asOf match.Day) (RunID, error) {
	st := newStore(tx)
	last, err := st.betweenRuns(ctx)
	if err != nil {
		return RunID{}, err
	}
	if last.AsOf.Valid && asOf < dayIn(last.AsOf) {
		return RunID{}, rpcerr.New(rpcerr.RunBehind, "%s is before %s, by which the last run has judged what is due; a simulation may be of any day",
			dayText(asOf), dayText(dayIn(last.AsOf)))
	}
	active, err := st.q.ActiveRules(ctx)
	if err != nil {
		return RunID{}, fmt.Errorf("reading which rules are active: %w", err)
	}
	if err := st.q.AcceptOpenDelivery(ctx, 0); err != nil {
		return RunID{}, fmt.Errorf("accepting what events have told: %w", err)
	}
	rid := id.New[runKind]()
	err = st.q.InsertRun(ctx, reconciliationdb.InsertRunParams{
		Number: last.Number + 1, ID: rid.UUID(), AsOf: dateOf(asOf), Rules: active, BegunBy: by,
	})
	if err != nil {
		return RunID{}, fmt.Errorf("beginning run: %w", err)
	}
	ended, err := st.q.EndedMatches(ctx, new(last.Number+1))
	if err != nil {
		return RunID{}, fmt.Errorf("looking for matches that were provisional: %w", err)
	}
	if err := st.reopen(ctx, last.Number+1, ended); err != nil {
		return RunID{}, err
	}
	tx.AfterCommit(r.runner.wake.Ring)
	return rid, nil
}

// betweenRuns keeps runs from beginning to the end of the transaction, and tells which was the last one. While one is under
// way it refuses.
func (s store) betweenRuns(ctx context.Context) (last reconciliationdb.LastRunsRow, err error) {
	if err := s.q.LockRuns(ctx); err != nil {
		return last, fmt.Errorf("waiting for those who begin runs: %w", err)
	}
	if last, err = s.q.LastRuns(ctx); err != nil {
		return last, fmt.Errorf("looking for the last run: %w", err)
	}
	if last.UnderWay == 0 {
		return last, nil
	}
	other, err := s.q.RunUnderWay(ctx)
	if errors.Is(err, pgx.ErrNoRows) { // it has just ended
		return last, rpcerr.New(rpcerr.RunUnderWay, "a run is under way; ask again")
	}
	if err != nil {
		return last, fmt.Errorf("looking for the run that is under way: %w", err)
	}
	e := rpcerr.New(rpcerr.RunUnderWay, "run %s is under way", RunID(other.ID))
	e.Resource = RunID(other.ID).String()
	return last, e
}

// reopen undoes provisional matches of which it is known how they ended, and has a run look at the others of them again.
func (s store) reopen(ctx context.Context, number int32, matches []int64) error {
	if len(matches) == 0 {
		return nil
	}
	if err := s.q.ReopenLegs(ctx, reconciliationdb.ReopenLegsParams{Number: number, Matches: matches}); err != nil {
		return fmt.Errorf("reopening movements: %w", err)
	}
	if err := s.q.EndProvisional(ctx, reconciliationdb.EndProvisionalParams{Number: number, Matches: matches}); err != nil {
		return fmt.Errorf("ending provisional matches: %w", err)
	}
	return s.undo(ctx, number, number, matches)
}

// undo undoes matches: for the run of the number and those behind it they do not hold, nor does what was found about them. What was
// on its way is taken off by another run, or after it.
func (s store) undo(ctx context.Context, number, by int32, matches []int64) error {
	if err := s.q.TransitOfUndone(ctx, reconciliationdb.TransitOfUndoneParams{Number: by, Matches: matches}); err != nil {
		return fmt.Errorf("undoing matches: %w", err)
	}
	if err := s.q.UndoFindings(ctx, reconciliationdb.UndoFindingsParams{Number: number, Matches: matches}); err != nil {
		return fmt.Errorf("undoing matches: %w", err)
	}
	if err := s.q.UndoMatches(ctx, reconciliationdb.UndoMatchesParams{Number: number, Matches: matches}); err != nil {
		return fmt.Errorf("undoing matches: %w", err)
	}
	return nil
}
