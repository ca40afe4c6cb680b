package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/dunning"
)

const methodRetry = "RetryFailedItems"

// retried is what came of trying again.
type retried struct {
	Items int64 `json:"items"` // that are tried again
	Hard  int64 `json:"hard"`  // that were declined for good
}

// retryFailed tries the failed items of a finished batch again, but for those that were declined for good.
func (b *billing) retryFailed(ctx context.Context, c command) (*batch, retried, error) {
	r := c.idem(methodRetry, b.keyTTL, idem.Field{Name: "batch_id", Value: c.batchID.String()})
	done, err := idem.Once(ctx, b.pool, r, func(ctx context.Context, tx *pg.Tx) (retried, string, error) {
		st := newStore(tx)
		held, err := st.lock(ctx, c.batchID)
		if err != nil {
			return retried{}, "", err
		}
		if held.state != batchFinished {
			return retried{}, "", held.refuse("tried again")
		}
		if at := held.header.CutOffAt; at != nil && at.Before(time.Now()) {
			return retried{}, "", rpcerr.New(rpcerr.BatchStateRefused, "the cut-off time of batch %s has passed", held.id)
		}
		failed, err := st.q.ListFailed(ctx, billingdb.ListFailedParams{BatchID: c.batchID.UUID(), ButReasons: hardCodes()})
		if err != nil {
			return retried{}, "", fmt.Errorf("listing failed items: %w", err)
		}
		lines, waited := make([]int64, len(failed)), int64(0)
		for i, f := range failed {
			if lines[i] = f.Line; f.Waits {
				waited++
			}
		}
		done := retried{int64(len(lines)), held.failed - int64(len(lines))}
		if done.Items == 0 {
			return done, "", rpcerr.New(rpcerr.BatchStateRefused, "batch %s has nothing to be tried again: %d items were declined for good", held.id, done.Hard)
		}
		if err := st.reopen(ctx, c.batchID, lines, waited); err != nil {
			return done, "", err
		}
		tx.AfterCommit(func() { b.changed(c.batchID) })
		if err := st.insertAction(ctx, c.caller, "retry failed", c.batchID.String(), fmt.Sprintf("%d items", done.Items)); err != nil {
			return done, "", err
		}
		return done, c.batchID.String(), b.outbox.Write(ctx, tx, eventResumed(c.batchID))
	})
	if err != nil {
		return nil, done, err
	}
	after, err := b.readBatch(ctx, c.batchID)
	return after, done, err
}

// hardCodes are the reasons of items that are never tried again.
func hardCodes() []string {
	var hard []string
	for _, c := range dunning.Codes() {
		if c.Class == dunning.Hard {
			hard = append(hard, c.Name)
		}
	}
	return hard
}

// reopen has failed items of a held batch, by line, tried again, and keeps what came of them. So many of them waited
// for it.
func (s store) reopen(ctx context.Context, bid BatchID, lines []int64, waited int64) error {
	if err := s.q.KeepAttempts(ctx, billingdb.KeepAttemptsParams{BatchID: bid.UUID(), Lines: lines}); err != nil {
		return fmt.Errorf("keeping attempts: %w", err)
	}
	if err := s.q.ReopenItems(ctx, billingdb.ReopenItemsParams{BatchID: bid.UUID(), Lines: lines}); err != nil {
		return fmt.Errorf("reopening items: %w", err)
	}
	p := billingdb.ReopenParams{ID: bid.UUID(), N: int64(len(lines)), Waited: waited, FedThrough: lines[0] - 1}
	if err := s.q.Reopen(ctx, p); err != nil {
		return fmt.Errorf("reopening batch: %w", err)
	}
	return nil
}
