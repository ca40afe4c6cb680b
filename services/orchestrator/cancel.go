package orchestrator

import (
	"cmp"
	"context"
	"fmt"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

const methodCancel = "CancelOrder"

type cancelCommand struct {
	request
	orderID string
	reason  string
}

// cancel decides, durably, that an order does not go through. Refused with ORDER_NOT_CANCELLABLE once its saga has
// opened the pivot or turned back.
func (o *orchestrator) cancel(ctx context.Context, c cancelCommand) (orderView, error) {
	orderID, err := parseOrderID(c.orderID)
	if err != nil {
		return orderView{}, err
	}
	r := c.idem(methodCancel, o.keyTTL,
		idem.Field{Name: "order_id", Value: c.orderID}, idem.Field{Name: "reason", Value: c.reason})
	_, err = idem.Once(ctx, o.pool, r, func(ctx context.Context, tx *pg.Tx) (struct{}, string, error) {
		sagaID, err := newStore(tx).sagaOfOrder(ctx, orderID)
		if err != nil {
			return struct{}{}, "", err
		}
		run, err := o.engine.load(ctx, tx, sagaID)
		if err != nil {
			return struct{}{}, "", err
		}
		if !run.state.Cancellable(run.def) {
			return struct{}{}, "", rpcerr.New(rpcerr.OrderNotCancellable, "order %s is %s, at %s", c.orderID,
				run.state.Phase, cmp.Or(run.view.step, "its end"))
		}
		decided := saga.Event{Seq: run.state.Seq + 1, Type: saga.CompensationDecided, At: clock(),
			Detail: saga.Detail{Cause: fmt.Sprintf("cancelled by %s: %s", c.caller, cmp.Or(c.reason, "no reason given"))}}
		tx.AfterCommit(func() { o.engine.nudge(sagaID) })
		return struct{}{}, c.orderID, o.engine.record(ctx, tx, &run, []saga.Event{decided})
	})
	if err != nil {
		return orderView{}, err
	}
	return newStore(o.pool).order(ctx, orderID)
}
