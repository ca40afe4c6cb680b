package billing

import (
	"context"
	"fmt"
	"strconv"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/billingdb"
)

const (
	methodStart  = "StartBatch"
	methodPause  = "PauseBatch"
	methodResume = "ResumeBatch"
	methodCancel = "CancelBatch"
)

// command is what a person wants done to a batch.
type command struct {
	request
	batchID BatchID
	reason  string
	// acceptDuplicates: also items whose reference an earlier batch has are charged.
	acceptDuplicates bool
}

// change does something to a batch whose row it holds, with an audit row, and gives the batch after it.
func (b *billing) change(ctx context.Context, c command, method, verb string,
	do func(context.Context, store, *batch) ([]bus.Event, error),
) (*batch, error) {
	r := c.idem(method, b.keyTTL, idem.Field{Name: "batch_id", Value: c.batchID.String()}, idem.Field{Name: "reason", Value: c.reason},
		idem.Field{Name: "accept_duplicates", Value: strconv.FormatBool(c.acceptDuplicates)})
	_, err := idem.Once(ctx, b.pool, r, func(ctx context.Context, tx *pg.Tx) (BatchID, string, error) {
		st := newStore(tx)
		held, err := st.lock(ctx, c.batchID)
		if err != nil {
			return c.batchID, "", err
		}
		events, err := do(ctx, st, held)
		if err != nil {
			return c.batchID, "", err
		}
		if err := st.insertAction(ctx, c.caller, verb, c.batchID.String(), c.reason); err != nil {
			return c.batchID, "", err
		}
		tx.AfterCommit(func() { b.changed(c.batchID) })
		return c.batchID, c.batchID.String(), b.outbox.Write(ctx, tx, events...)
	})
	if err != nil {
		return nil, err
	}
	return b.readBatch(ctx, c.batchID)
}

// changed has what follows on a change of a batch done at once.
func (b *billing) changed(bid BatchID) {
	b.watchers.Notify(bid.UUID())
	b.feeder.wakeUp()
	b.wakeProver()
}

// start has the items of a planned batch charged.
func (b *billing) start(ctx context.Context, c command) (*batch, error) {
	return b.change(ctx, c, methodStart, "start", func(ctx context.Context, st store, held *batch) ([]bus.Event, error) {
		switch {
		case held.state != batchPlanned:
			return nil, held.refuse("started")
		case held.items == 0:
			return nil, rpcerr.New(rpcerr.BatchStateRefused, "batch %s has no items: all rows of its file were rejected", held.id)
		case held.duplicates > 0 && !c.acceptDuplicates:
			return nil, rpcerr.New(rpcerr.BatchHasDuplicates,
				"%d items of batch %s have references that earlier batches have: look at them, and accept them or cancel the batch", held.duplicates, held.id)
		}
		return []bus.Event{eventStarted(held.id)}, st.setState(ctx, held, batchRunning, c.caller, "")
	})
}

// pause starts no more items.
func (b *billing) pause(ctx context.Context, c command) (*batch, error) {
	return b.change(ctx, c, methodPause, "pause", func(ctx context.Context, st store, held *batch) ([]bus.Event, error) {
		if held.state != batchRunning || !held.cancelledAt.IsZero() {
			return nil, held.refuse("paused")
		}
		return []bus.Event{eventPaused(held.id, c.reason)}, st.setState(ctx, held, batchPaused, "", c.caller+": "+c.reason)
	})
}

// resume goes on.
func (b *billing) resume(ctx context.Context, c command) (*batch, error) {
	return b.change(ctx, c, methodResume, "resume", func(ctx context.Context, st store, held *batch) ([]bus.Event, error) {
		if held.state != batchPaused {
			return nil, held.refuse("resumed")
		}
		return []bus.Event{eventResumed(held.id)}, st.setState(ctx, held, batchRunning, "", "")
	})
}

// cancel starts no more items for ever. The batch has ended when those under way have. Of one that is finished, no item
// is tried again by itself any more.
func (b *billing) cancel(ctx context.Context, c command) (*batch, error) {
	return b.change(ctx, c, methodCancel, "cancel", func(ctx context.Context, st store, held *batch) ([]bus.Event, error) {
		if held.state == batchFinished && held.retrying > 0 {
			return st.stopRetries(ctx, held.id)
		}
		if held.state.ended() || !held.cancelledAt.IsZero() {
			return nil, held.refuse("cancelled")
		}
		return st.cancel(ctx, held, "BATCH_CANCELLED", c.caller+": "+c.reason)
	})
}

func (s store) setState(ctx context.Context, b *batch, to batchState, startedBy, note string) error {
	p := billingdb.SetStateParams{ID: b.id.UUID(), State: int16(to), StartedBy: startedBy, Note: note}
	if err := s.q.SetState(ctx, p); err != nil {
		return fmt.Errorf("writing batch: %w", err)
	}
	return nil
}

// cancel cancels what of a held batch was not started, and gives the events of that.
func (s store) cancel(ctx context.Context, b *batch, reason, note string) ([]bus.Event, error) {
	events, err := s.stopRetries(ctx, b.id)
	if err != nil {
		return nil, err
	}
	n, err := s.q.CancelItems(ctx, billingdb.CancelItemsParams{BatchID: b.id.UUID(), Reason: reason})
	if err != nil {
		return nil, fmt.Errorf("cancelling items: %w", err)
	}
	if err := s.q.CancelBatch(ctx, billingdb.CancelBatchParams{ID: b.id.UUID(), Cancelled: n, Note: note}); err != nil {
		return nil, fmt.Errorf("cancelling batch: %w", err)
	}
	return append(events, eventCancelling(b.id, note)), nil
}

// cutOff cancels what is left of a running batch, because its time is over.
func (b *billing) cutOff(ctx context.Context, bid BatchID) error {
	return pg.InTx(ctx, b.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		held, err := st.lock(ctx, bid)
		if err != nil || held.state != batchRunning || !held.cancelledAt.IsZero() {
			return err
		}
		const why = "its cut-off time has come"
		events, err := st.cancel(ctx, held, "CUT_OFF", why)
		if err != nil {
			return err
		}
		tx.AfterCommit(func() { b.changed(bid) })
		if err := st.insertAction(ctx, serviceName, "cut off", bid.String(), why); err != nil {
			return err
		}
		return b.outbox.Write(ctx, tx, events...)
	})
}
