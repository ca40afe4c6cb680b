package reconciliation

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// doubts are the operations whose unknown outcome is a movement in doubt.
var doubts = map[string]happening{"charge": maybeCharged, "capture": maybeCharged, "refund": maybeRefunded}

// doubt is an operation whose outcome is not known, or is known after all.
type doubt struct {
	key                     uuid.UUID // of its movement
	paymentID, operationKey string
	resolved                bool
}

// doubtKey is the key of a movement in doubt. A payment is charged once, whatever it was asked for; it is refunded in parts,
// each under a key of its own.
func doubtKey(paymentID string, what happening, operationKey string) uuid.UUID {
	if what == maybeCharged {
		operationKey = ""
	}
	return movementKey(paymentID, what, operationKey)
}

// putDoubts writes what is in doubt, and what is not any more, in whatever order it is told.
func (s store) putDoubts(ctx context.Context, told []doubt) error {
	if len(told) == 0 {
		return nil
	}
	var p reconciliationdb.PutDoubtsParams
	for _, d := range joinDoubts(told) {
		p.Keys, p.PaymentIds, p.OperationKeys = append(p.Keys, d.key), append(p.PaymentIds, d.paymentID), append(p.OperationKeys, d.operationKey)
		p.Resolved = append(p.Resolved, d.resolved)
	}
	if err := s.q.PutDoubts(ctx, p); err != nil {
		return fmt.Errorf("writing what is in doubt: %w", err)
	}
	return nil
}

// joinDoubts leaves one of each.
func joinDoubts(told []doubt) []doubt {
	at, joined := map[uuid.UUID]int{}, []doubt{}
	for _, d := range told {
		i, there := at[d.key]
		if !there {
			at[d.key] = len(joined)
			joined = append(joined, d)
			continue
		}
		joined[i].resolved = joined[i].resolved || d.resolved
	}
	return joined
}
