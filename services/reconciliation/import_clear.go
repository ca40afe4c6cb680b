package reconciliation

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const (
	// clearPiece is how many movements are removed at once.
	clearPiece = 10_000
	// importLease is how long an import may write nothing before it is removed, in seconds.
	importLease = 600
)

// sweepOnce removes what was written of files that nobody brings any more, and what is left of those that do not count.
func (r *reconciliation) sweepOnce(ctx context.Context) (again bool, err error) {
	q := newStore(r.pool).q
	if err := q.AbandonLeftFiles(ctx, importLease); err != nil {
		return false, fmt.Errorf("looking for imports that broke off: %w", err)
	}
	left, err := q.ListToClear(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for files to clear: %w", err)
	}
	var failed error
	for _, f := range left {
		failed = errors.Join(failed, r.clear(ctx, FileID(f)))
	}
	return false, failed
}

// clearAll does that for the files of an account and side.
func (r *reconciliation) clearAll(ctx context.Context, account string, side stage) error {
	left, err := newStore(r.pool).q.ListToClearOf(ctx, reconciliationdb.ListToClearOfParams{Account: account, Stage: int16(side)})
	if err != nil {
		return fmt.Errorf("looking for files to clear: %w", err)
	}
	for _, f := range left {
		if err := r.clear(ctx, FileID(f)); err != nil {
			return err
		}
	}
	return nil
}

// clear removes the movements of a file that does not count, or of those of its statements that were dropped. None of them ever
// was accepted.
func (r *reconciliation) clear(ctx context.Context, fid FileID) error {
	st := newStore(r.pool)
	f, err := st.q.ToClear(ctx, fid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // somebody else has
	}
	if err != nil {
		return fmt.Errorf("reading a file to clear: %w", err)
	}
	ranges := [][2]int64{wholeDelivery(f.DeliveryID)}
	if f.PayoutsID != nil {
		ranges = append(ranges, wholeDelivery(*f.PayoutsID))
	}
	if fileState(f.State) == fileHeld {
		if ranges, err = st.droppedRanges(ctx, fid, f.DeliveryID); err != nil {
			return err
		}
	}
	for _, of := range ranges {
		if err := st.remove(ctx, of[0], of[1]); err != nil {
			return err
		}
	}
	return pg.InTx(ctx, r.pool, func(tx *pg.Tx) error { return r.cleared(ctx, tx, fid) })
}

// wholeDelivery are the first and the last id that movements of a delivery may have.
func wholeDelivery(delivery int32) [2]int64 {
	return [2]int64{movementID(delivery, 0), movementID(delivery+1, 0) - 1}
}

// droppedRanges are the ids of the movements of a file's statements that were dropped.
func (s store) droppedRanges(ctx context.Context, fid FileID, delivery int32) ([][2]int64, error) {
	dropped, err := s.q.DroppedRanges(ctx, fid.UUID())
	if err != nil {
		return nil, fmt.Errorf("reading dropped statements: %w", err)
	}
	ranges := make([][2]int64, len(dropped))
	for i, d := range dropped {
		ranges[i] = [2]int64{movementID(delivery, int32(d.FirstPlace)), movementID(delivery, int32(d.LastPlace))}
	}
	return ranges, nil
}

// remove removes movements, some at a time.
func (s store) remove(ctx context.Context, first, last int64) error {
	last, err := s.q.LastMovement(ctx, reconciliationdb.LastMovementParams{First: first, Last: last})
	if err != nil {
		return fmt.Errorf("looking for movements to remove: %w", err)
	}
	for ; first <= last; first += clearPiece {
		err := s.q.RemoveMovements(ctx, reconciliationdb.RemoveMovementsParams{First: first, Last: min(last, first+clearPiece-1)})
		if err != nil {
			return fmt.Errorf("removing movements: %w", err)
		}
	}
	return nil
}

// cleared notes that a file is cleared. One that was only to be brought is gone altogether; one that is held may have nothing
// to wait for any more.
func (r *reconciliation) cleared(ctx context.Context, tx *pg.Tx, fid FileID) error {
	st := newStore(tx)
	if err := st.q.LockDecisions(ctx); err != nil {
		return fmt.Errorf("locking decisions: %w", err)
	}
	f, err := st.q.ToClear(ctx, fid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading a file to clear: %w", err)
	}
	if err := st.q.DropRepeated(ctx, f.DeliveryID); err != nil {
		return fmt.Errorf("removing repeated lines: %w", err)
	}
	if fileState(f.State) == fileComingIn {
		if err := st.q.RemoveFile(ctx, fid.UUID()); err != nil {
			return fmt.Errorf("removing a file: %w", err)
		}
		return nil
	}
	left, err := st.countMovements(ctx, f.DeliveryID)
	if err != nil {
		return err
	}
	if err := st.q.Cleared(ctx, reconciliationdb.ClearedParams{ID: fid.UUID(), Movements: left}); err != nil {
		return fmt.Errorf("writing file: %w", err)
	}
	if err := st.setDeliveries(ctx, fid); err != nil {
		return err
	}
	if fileState(f.State) == fileHeld {
		return r.settle(ctx, tx)
	}
	return nil
}

func (s store) countMovements(ctx context.Context, delivery int32) (int64, error) {
	all := wholeDelivery(delivery)
	n, err := s.q.CountMovements(ctx, reconciliationdb.CountMovementsParams{First: all[0], Last: all[1]})
	if err != nil {
		return 0, fmt.Errorf("counting movements: %w", err)
	}
	return n, nil
}
