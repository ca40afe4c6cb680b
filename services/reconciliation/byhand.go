package reconciliation

import (
	"context"
	"fmt"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// What people decide on movements, they decide between two runs: see betweenRuns, which gives the number of the last one. The next
// run sees what they did.

// closeByHand has movements that a person has matched not be looked at any more. MOVEMENT_NOT_OPEN when one of them is in a match
// already, or no run has looked at it yet.
func (s store) closeByHand(ctx context.Context, last int32, match int64, movements []int64) error {
	n, err := s.q.CloseByHand(ctx, reconciliationdb.CloseByHandParams{Last: last, Movements: movements})
	if err != nil {
		return fmt.Errorf("closing movements: %w", err)
	}
	if n != int64(len(movements)) {
		return rpcerr.New(rpcerr.MovementNotOpen, "%d of %d movements are in a match already, or no run has looked at them yet", int64(len(movements))-n, len(movements))
	}
	unsure, err := s.q.InDoubtOf(ctx, movements)
	if err != nil {
		return fmt.Errorf("looking for movements in doubt: %w", err)
	}
	held := make([]provisional, len(unsure))
	for i, movement := range unsure {
		held[i] = provisional{match, movement}
	}
	return s.insertProvisional(ctx, held)
}

// openByHand undoes a match: its movements are open again, and the next run looks at them.
func (s store) openByHand(ctx context.Context, last int32, match int64) error {
	if err := s.q.OpenByHand(ctx, reconciliationdb.OpenByHandParams{MatchID: match, Last: last}); err != nil {
		return fmt.Errorf("opening movements: %w", err)
	}
	return s.undo(ctx, last+1, last, []int64{match})
}
