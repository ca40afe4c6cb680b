package reconciliation

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// cancel has a run undone and ended. Whoever goes on with it does so.
func (r *reconciliation) cancel(ctx context.Context, from request, rid RunID, reason string) error {
	asked := from.idem(methodCancelRun, r.keyTTL, idem.Field{Name: "run_id", Value: rid.String()}, idem.Field{Name: "reason", Value: reason})
	_, err := idem.Once(ctx, r.pool, asked, func(ctx context.Context, tx *pg.Tx) (struct{}, string, error) {
		q := newStore(tx).q
		row, err := q.LockRun(ctx, rid.UUID())
		if errors.Is(err, pgx.ErrNoRows) {
			return struct{}{}, "", noRun(rid)
		}
		if err != nil {
			return struct{}{}, "", fmt.Errorf("locking run: %w", err)
		}
		if runState(row.State) != runRunning || row.Telling || row.Cancelling != "" {
			held := run{id: rid, state: runState(row.State), telling: row.Telling, cancelling: row.Cancelling}
			return struct{}{}, "", held.refuse("cancelled")
		}
		err = q.AskToCancel(ctx, reconciliationdb.AskToCancelParams{Number: row.Number, Cancelling: from.caller + ": " + reason})
		if err != nil {
			return struct{}{}, "", fmt.Errorf("cancelling run: %w", err)
		}
		tx.AfterCommit(func() {
			r.runner.wake.Ring()
			r.watchers.Notify(rid.UUID())
		})
		return struct{}{}, rid.String(), nil
	})
	return err
}
