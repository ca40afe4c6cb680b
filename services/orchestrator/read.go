package orchestrator

import (
	"context"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

func parseOrderID(s string) (OrderID, error) {
	orderID, err := id.Parse[orderKind](s)
	if err != nil {
		return orderID, rpcerr.ForField(rpcerr.RequestInvalid, "order_id", "%v", err)
	}
	return orderID, nil
}

// getOrder gives an order with its timeline; NOT_FOUND when there is none.
func (o *orchestrator) getOrder(ctx context.Context, orderID string) (orderView, []timelineEntry, error) {
	oid, err := parseOrderID(orderID)
	if err != nil {
		return orderView{}, nil, err
	}
	v, err := o.find(ctx, oid)
	if err != nil || v.queued {
		return v, nil, err
	}
	timeline, err := newStore(o.pool).timeline(ctx, v.id)
	return v, timeline, err
}

// getSaga gives a saga, by its id or that of what it is for, with its state and history: as it stands (asOf 0), or as it stood
// after an event.
func (o *orchestrator) getSaga(ctx context.Context, named string, asOf int) (driven, error) {
	sagaID, err := findSaga(ctx, newStore(o.pool), named)
	if err != nil {
		return driven{}, err
	}
	d, err := o.loadOne(ctx, o.pool, sagaID)
	if err != nil || asOf == 0 {
		return d, err
	}
	if asOf > len(d.events) {
		return driven{}, rpcerr.ForField(rpcerr.RequestInvalid, "as_of_sequence", "the saga's last event is %d", len(d.events))
	}
	d.events = d.events[:asOf]
	if d.state, err = saga.Fold(d.def, d.events); err != nil {
		return driven{}, err
	}
	d.view.become(d.def, d.state, d.events[asOf-1].At)
	return d, nil
}

// loadOne reads one saga with its history and order.
func (o *orchestrator) loadOne(ctx context.Context, db orchestratordb.DBTX, sagaID SagaID) (driven, error) {
	all, err := o.engine.loadAll(ctx, db, []SagaID{sagaID})
	if err != nil {
		return driven{}, err
	}
	found, ok := all[sagaID]
	if !ok {
		return driven{}, rpcerr.ForField(rpcerr.NotFound, "saga_id", "there is no saga %s", sagaID)
	}
	return found.driven, found.err
}

// findSaga gives the id of a saga named by its own id or by that of what it is for.
func findSaga(ctx context.Context, st store, named string) (SagaID, error) {
	if sagaID, err := id.Parse[sagaKind](named); err == nil {
		return sagaID, nil
	}
	if orderID, err := id.Parse[orderKind](named); err == nil {
		return st.sagaOf(ctx, orderID.UUID(), named)
	}
	if recurringID, err := id.Parse[recurringKind](named); err == nil {
		return st.sagaOf(ctx, recurringID.UUID(), named)
	}
	return SagaID{}, rpcerr.ForField(rpcerr.RequestInvalid, "saga_id",
		"%q is the id of no saga (sag_…), order (ord_…) or recurring payment (rcp_…)", named)
}

// explain says what a saga waits for.
func (o *orchestrator) explain(ctx context.Context, named string) (saga.Explanation, error) {
	r, err := o.getSaga(ctx, named, 0)
	if err != nil {
		return saga.Explanation{}, err
	}
	return saga.Explain(r.def, r.state, clock()), nil
}

// listOrders gives up to n orders placed before one, newest first.
func (o *orchestrator) listOrders(ctx context.Context, before OrderID, n int32) ([]orderView, error) {
	return newStore(o.pool).orders(ctx, before, n)
}
