package orchestrator

import (
	"context"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/watch"
)

// tell tells those who watch of a transition: of the saga, and if its phase changed, of what it is for.
func tell(w *watch.Watchers, t transition) {
	w.Notify(t.view.id.UUID())
	if t.after.phase != t.view.phase {
		w.Notify(t.view.subject)
	}
}

// watch sends the order as it stands and again at every change of its state, until it is at rest.
func (o *orchestrator) watch(ctx context.Context, orderID string, send func(orderView) error) error {
	oid, err := parseOrderID(orderID)
	if err != nil {
		return err
	}
	var last orderView
	return o.watchers.Follow(ctx, oid.UUID(), func() (bool, error) {
		v, err := newStore(o.pool).order(ctx, oid)
		if err == nil && v.phase != last.phase {
			last, err = v, send(v)
		}
		return v.phase.Resting(), err
	})
}

// watchSaga sends a saga with those of its events that come behind one, as it stands and again at every event, until
// it is at rest.
func (o *orchestrator) watchSaga(ctx context.Context, named string, after int, send func(driven) error) error {
	sagaID, err := findSaga(ctx, newStore(o.pool), named)
	if err != nil {
		return err
	}
	sent := false
	return o.watchers.Follow(ctx, sagaID.UUID(), func() (bool, error) {
		d, err := o.loadOne(ctx, o.pool, sagaID)
		if err != nil {
			return false, err
		}
		if last := len(d.events); after > last {
			return false, rpcerr.ForField(rpcerr.RequestInvalid, "after_sequence", "the saga's last event is %d", last)
		}
		if d.events = d.events[after:]; !sent || len(d.events) > 0 {
			sent, after = true, d.state.Seq
			err = send(d)
		}
		return d.state.Phase.Resting(), err
	})
}

// watchOperation sends an operation as it stands and again as it goes on, until it has ended.
func (o *orchestrator) watchOperation(ctx context.Context, operationID string, send func(operation) error) error {
	oid, err := parseOperationID(operationID)
	if err != nil {
		return err
	}
	var last operation
	return o.watchers.Follow(ctx, oid.UUID(), func() (bool, error) {
		op, err := newStore(o.pool).operation(ctx, oid)
		if err == nil && (op.state != last.state || op.done+op.refused != last.done+last.refused) {
			last, err = op, send(op)
		}
		return op.state.ended(), err
	})
}
