package billing

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/billing/billingdb"
)

// outcome is what came of an attempt to charge an item: succeeded, failed or unknown.
type outcome struct {
	batchID        BatchID
	line           int64
	attempt        int32
	state          itemState
	reason, detail string
	sagaID         uuid.UUID
	paymentID      string
	declined       bool // by the provider: reason is its code
}

// attemptKey names an attempt to charge an item.
type attemptKey struct {
	batchID BatchID
	line    int64
	attempt int32
}

func (o outcome) key() attemptKey { return attemptKey{o.batchID, o.line, o.attempt} }

// results consumes what the orchestrator tells of recurring payments.
func (b *billing) results() inbox.Consumer {
	return inbox.Consumer{
		Name: "billing-results", Subjects: []string{"evt.orchestrator.recurring.>"},
		Handle: func(ctx context.Context, tx *pg.Tx, events []bus.Event) error {
			outcomes := make([]outcome, 0, len(events))
			for _, e := range events {
				o, ours, err := outcomeFrom(e)
				if err != nil {
					return err
				}
				if ours {
					outcomes = append(outcomes, o)
				}
			}
			return b.settle(ctx, tx, outcomes)
		},
	}
}

// settle writes what came of items, with the counters and sums of their batches. What is known already, and what is
// told of an attempt that was followed by another, changes nothing.
func (b *billing) settle(ctx context.Context, tx *pg.Tx, outcomes []outcome) error {
	outcomes = latest(outcomes)
	if len(outcomes) == 0 {
		return nil
	}
	st, batches := newStore(tx), batchesOf(outcomes)
	if err := st.q.LockBatches(ctx, batches); err != nil {
		return fmt.Errorf("locking batches: %w", err)
	}
	settled, err := st.settleItems(ctx, outcomes)
	if err != nil {
		return err
	}
	if err := st.count(ctx, settled); err != nil {
		return err
	}
	events, err := b.dun(ctx, st, declinesOf(outcomes, settled))
	if err != nil {
		return err
	}
	events = append(events, recovered(settled)...)
	tx.AfterCommit(func() {
		b.metrics.counted(ctx, settled)
		for _, bid := range batches {
			b.watchers.Notify(bid)
		}
		b.feeder.wakeUp()
		b.wakeProver()
	})
	return b.outbox.Write(ctx, tx, events...)
}

// declinesOf gives the declines among what was settled.
func declinesOf(outcomes []outcome, settled []billingdb.SettleItemsRow) []decline {
	codes := map[attemptKey]string{}
	for _, o := range outcomes {
		if o.declined {
			codes[o.key()] = o.reason
		}
	}
	var declines []decline
	for _, r := range settled {
		if code, declined := codes[attemptKey{BatchID(r.BatchID), r.Line, r.Attempt}]; declined && itemState(r.State) == itemFailed {
			declines = append(declines, decline{r.BatchID, r.Line, r.Attempt, r.PaymentMethod, code})
		}
	}
	return declines
}

// recovered are the events of items that succeeded when they were tried again.
func recovered(settled []billingdb.SettleItemsRow) []bus.Event {
	var events []bus.Event
	for _, r := range settled {
		if itemState(r.State) == itemSucceeded && r.Attempt > 1 {
			events = append(events, eventDunningEnded(BatchID(r.BatchID), r.Reference, r.CustomerID, r.Attempt, ""))
		}
	}
	return events
}

// latest leaves one outcome of each attempt: what is known counts more than what is in doubt, and of the rest the last.
func latest(outcomes []outcome) []outcome {
	at, kept := map[attemptKey]int{}, outcomes[:0:0]
	for _, o := range outcomes {
		k := o.key()
		i, seen := at[k]
		switch {
		case !seen:
			at[k] = len(kept)
			kept = append(kept, o)
		case o.state != itemUnknown:
			kept[i] = o
		}
	}
	return kept
}

func batchesOf(outcomes []outcome) []uuid.UUID {
	var ids []uuid.UUID
	for _, o := range outcomes {
		ids = append(ids, o.batchID.UUID())
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// settleItems writes outcomes, and gives those that were news.
func (s store) settleItems(ctx context.Context, outcomes []outcome) ([]billingdb.SettleItemsRow, error) {
	var p billingdb.SettleItemsParams
	for _, o := range outcomes {
		p.BatchIds, p.Lines, p.Attempts = append(p.BatchIds, o.batchID.UUID()), append(p.Lines, o.line), append(p.Attempts, o.attempt)
		p.States, p.Reasons, p.Details = append(p.States, int16(o.state)), append(p.Reasons, o.reason), append(p.Details, o.detail)
		p.SagaIds, p.PaymentIds = append(p.SagaIds, o.sagaID), append(p.PaymentIds, o.paymentID)
	}
	rows, err := s.q.SettleItems(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("settling items: %w", err)
	}
	return rows, nil
}

// count adds what was settled to the counters and sums of the batches, whose rows are held.
func (s store) count(ctx context.Context, settled []billingdb.SettleItemsRow) error {
	type moved struct{ ran, doubted, unknown, succeeded, failed int64 }
	type account struct {
		batchID  uuid.UUID
		currency string
	}
	counters, taken := map[uuid.UUID]*moved{}, map[account]*sum{}
	for _, r := range settled {
		m := counters[r.BatchID]
		if m == nil {
			m = &moved{}
			counters[r.BatchID] = m
		}
		if itemState(r.Before) == itemUnknown {
			m.doubted++
		} else {
			m.ran++
		}
		switch itemState(r.State) {
		case itemUnknown:
			m.unknown++
		case itemFailed:
			m.failed++
		case itemSucceeded:
			m.succeeded++
			t := taken[account{r.BatchID, r.Currency}]
			if t == nil {
				t = &sum{Amount: money.Amount{Currency: money.Currency(r.Currency)}}
				taken[account{r.BatchID, r.Currency}] = t
			}
			t.Items, t.Minor = t.Items+1, t.Minor+r.AmountMinor // within the sum of the batch, which fits
		}
	}
	var c billingdb.CountSettledParams
	for bid, m := range counters {
		c.BatchIds, c.Ran, c.Doubted = append(c.BatchIds, bid), append(c.Ran, m.ran), append(c.Doubted, m.doubted)
		c.Unknown, c.Succeeded, c.Failed = append(c.Unknown, m.unknown), append(c.Succeeded, m.succeeded), append(c.Failed, m.failed)
	}
	if err := s.q.CountSettled(ctx, c); err != nil {
		return fmt.Errorf("counting items: %w", err)
	}
	var p billingdb.CountCollectedParams
	for a, t := range taken {
		p.BatchIds, p.Currencies = append(p.BatchIds, a.batchID), append(p.Currencies, a.currency)
		p.Items, p.Minors = append(p.Items, t.Items), append(p.Minors, t.Minor)
	}
	if err := s.q.CountCollected(ctx, p); err != nil {
		return fmt.Errorf("adding up what was taken: %w", err)
	}
	return nil
}
