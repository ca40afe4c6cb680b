package orchestrator

import (
	"cmp"
	"context"
	"fmt"

	"github.com/tieout/tieout/pkg/idem"
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
	err = o.change(ctx, r, c.orderID, func(r run) (saga.Event, error) {
		if !r.state.Cancellable(r.def) {
			return saga.Event{}, rpcerr.New(rpcerr.OrderNotCancellable, "order %s is %s, at %s", c.orderID,
				r.state.Phase, cmp.Or(r.view.step, "its end"))
		}
		return saga.Event{Seq: r.state.Seq + 1, Type: saga.CompensationDecided, At: clock(), Detail: saga.Detail{
			Cause: fmt.Sprintf("cancelled by %s: %s", c.caller, cmp.Or(c.reason, "no reason given")), Actor: c.caller,
		}}, nil
	}, nil)
	if err != nil {
		return orderView{}, err
	}
	return newStore(o.pool).order(ctx, orderID)
}
