package reconciliation

import (
	"context"
	"fmt"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// What people decide on movements, they decide between two runs: see betweenRuns, which gives the number of the last one. The next
// run sees what they did.

// closeByHand has the movements of a match that a person made not be looked at any more. MOVEMENT_NOT_OPEN when no run has looked
// at one of them yet.
func (s store) closeByHand(ctx context.Context, last int32, match int64) error {
	others, err := s.q.CloseByHand(ctx, reconciliationdb.CloseByHandParams{Last: last, MatchID: match})
	if err != nil {
		return fmt.Errorf("closing movements: %w", err)
	}
	if others > 0 {
		return rpcerr.New(rpcerr.MovementNotOpen, "no run has looked at %d of the movements yet", others)
	}
	if err := s.q.HoldProvisional(ctx, match); err != nil {
		return fmt.Errorf("writing provisional matches: %w", err)
	}
	return nil
}

// openByHand undoes a match: its movements are open again, and the next run looks at them.
func (s store) openByHand(ctx context.Context, last int32, match int64) error {
	if err := s.q.OpenByHand(ctx, reconciliationdb.OpenByHandParams{MatchID: match, Last: last}); err != nil {
		return fmt.Errorf("opening movements: %w", err)
	}
	return s.undo(ctx, last+1, last, []int64{match})
}
