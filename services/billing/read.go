package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/billing/billingdb"
)

// readBatch gives a batch with all that belongs to it. NOT_FOUND when there is none.
func (b *billing) readBatch(ctx context.Context, bid BatchID) (*batch, error) {
	st := newStore(b.pool)
	found, err := st.batch(ctx, bid)
	if err != nil {
		return nil, err
	}
	return found, st.complete(ctx, found)
}

// listBatches gives up to n batches before one, newest first.
func (b *billing) listBatches(ctx context.Context, before BatchID, n int32) ([]*batch, error) {
	st := newStore(b.pool)
	found, err := st.batches(ctx, before, n)
	if err != nil {
		return nil, err
	}
	return found, st.complete(ctx, found...)
}

// listItems gives up to n items of a batch behind a line, with their attempts; state 0 means all.
func (b *billing) listItems(ctx context.Context, bid BatchID, state itemState, after int64, n int32) ([]*item, error) {
	st := newStore(b.pool)
	if _, err := st.batch(ctx, bid); err != nil {
		return nil, err
	}
	rows, err := st.q.ListItems(ctx, billingdb.ListItemsParams{BatchID: bid.UUID(), State: int16(state), AfterLine: after, N: n})
	if err != nil {
		return nil, fmt.Errorf("listing items: %w", err)
	}
	items, byLine, again := make([]*item, len(rows)), map[int64]*item{}, []int64{}
	for i, r := range rows {
		items[i] = &item{
			line: r.Line, reference: r.Reference, customerID: r.CustomerID, paymentMethod: r.PaymentMethod,
			amount: money.Amount{Currency: money.Currency(r.Currency), Minor: r.AmountMinor}, description: r.Description,
			cardScheme: r.CardScheme, state: itemState(r.State), attempt: attempt{
				number: r.Attempt, begunAt: timeOf(r.AttemptedAt), knownAt: timeOf(r.KnownAt), reason: r.Reason, detail: r.Detail,
				sagaID: r.SagaID, paymentID: r.PaymentID,
			}, retryAt: timeOf(r.RetryAt),
		}
		if r.Attempt > 0 {
			byLine[r.Line], again = items[i], append(again, r.Line)
		}
	}
	attempts, err := st.q.ListAttempts(ctx, billingdb.ListAttemptsParams{BatchID: bid.UUID(), Lines: again})
	if err != nil {
		return nil, fmt.Errorf("listing attempts: %w", err)
	}
	for _, a := range attempts {
		i := byLine[a.Line]
		i.earlier = append(i.earlier, attempt{
			number: a.Number, begunAt: a.AttemptedAt, knownAt: a.KnownAt, reason: a.Reason, sagaID: a.SagaID, paymentID: a.PaymentID,
		})
	}
	return items, nil
}

// listRejections gives up to n rejections of a batch behind a line.
func (b *billing) listRejections(ctx context.Context, bid BatchID, after int64, n int32) ([]rejection, error) {
	st := newStore(b.pool)
	if _, err := st.batch(ctx, bid); err != nil {
		return nil, err
	}
	rows, err := st.q.ListRejections(ctx, billingdb.ListRejectionsParams{BatchID: bid.UUID(), AfterLine: after, N: n})
	if err != nil {
		return nil, fmt.Errorf("listing rejections: %w", err)
	}
	all := make([]rejection, len(rows))
	for i, r := range rows {
		all[i] = rejection{r.Line, r.Field, r.Reason, r.Message, r.Raw}
	}
	return all, nil
}

// listDuplicates gives up to n items of a batch behind a line whose reference an earlier batch has.
func (b *billing) listDuplicates(ctx context.Context, bid BatchID, after int64, n int32) ([]billingdb.ListDuplicatesRow, error) {
	st := newStore(b.pool)
	if _, err := st.batch(ctx, bid); err != nil {
		return nil, err
	}
	rows, err := st.q.ListDuplicates(ctx, billingdb.ListDuplicatesParams{BatchID: bid.UUID(), AfterLine: after, N: n})
	if err != nil {
		return nil, fmt.Errorf("listing duplicates: %w", err)
	}
	return rows, nil
}

// watchAgain is after how long a batch is sent to who watches it though it stands as before.
const watchAgain = 15 * time.Second

// watch sends a batch as it stands and again as it goes on, until it has ended.
func (b *billing) watch(ctx context.Context, bid BatchID, send func(*batch) error) error {
	return watch.FollowProgress(ctx, b.watchers, bid.UUID(), watch.Progress[*batch, [9]int64]{
		Read: func() (*batch, error) { return b.readBatch(ctx, bid) }, Of: (*batch).progress, Ended: func(now *batch) bool { return now.state.ended() }, Send: send,
		Again: watchAgain,
	})
}

// progress is what changes in a batch.
func (b *batch) progress() [9]int64 {
	return [...]int64{int64(b.state), b.retrying, b.planned, b.running, b.succeeded, b.failed, b.unknown, b.cancelled, b.cancelledAt.UnixNano()}
}
