package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// Watch is how watches of orders are served.
type Watch struct {
	// Heartbeat is how long a watch sends nothing at most: 10 ms or more. A client takes its connection for dead after
	// twice that time.
	Heartbeat time.Duration `koanf:"heartbeat"`
	// Patience is how long a watch goes on that is not read: 10 ms or more.
	Patience time.Duration `koanf:"patience"`
}

// newOrders makes the hub by which orders are watched.
func newOrders(env *service.Env, cfg Watch) (*watch.Hub[orderAt], error) {
	if least := 10 * time.Millisecond; cfg.Heartbeat < least || cfg.Patience < least {
		return nil, fmt.Errorf("orchestrator.watch: heartbeat %s and patience %s must be %s or more", cfg.Heartbeat, cfg.Patience, least)
	}
	return watch.NewHub(watch.HubConfig[orderAt]{
		Read: newStore(env.Pool).readOrders, Heartbeat: cfg.Heartbeat, Patience: cfg.Patience, Stopping: env.Stopping, Log: env.Log,
	}), nil
}

// tell tells those who watch of a transition: of the saga, and if its phase changed, of the order.
func (e *engine) tell(t transition) {
	e.watchers.Notify(t.view.id.UUID())
	if t.after.phase != t.view.phase {
		e.orders.Notify(t.view.subject)
	}
}

// cursor is how an order stood when a watch told of it last; the zero one is before all.
type cursor struct {
	seq   int64 // of its saga's last event
	phase saga.Phase
}

// behind tells whether the order has changed since, as far as a watch tells of it: steps within a phase are its saga's. One
// that came to rest again did so anew.
func (c cursor) behind(v orderView) bool {
	return v.seq > c.seq && (v.phase != c.phase || v.phase.Resting())
}

// token is the cursor as clients hold it. It names the order, whose it is.
func (c cursor) token(orderID OrderID) string {
	if c == (cursor{}) {
		return ""
	}
	return rpc.PageToken(fmt.Sprintf("%s %d %d", orderID, c.seq, c.phase))
}

// parseCursor reads a token of a watch of the order.
func parseCursor(orderID OrderID, token string) (c cursor, err error) {
	if token == "" {
		return c, nil
	}
	text, err := rpc.ParsePageToken(token)
	if err == nil {
		var of string
		_, err = fmt.Sscanf(text, "%s %d %d", &of, &c.seq, &c.phase)
		if err == nil && c.token(orderID) == token {
			return c, nil
		}
	}
	return c, badCursor("is none of a watch of this order")
}

func badCursor(why string) error { return rpcerr.ForField(rpcerr.RequestInvalid, "cursor", "%s", why) }

// sighting is what a watch tells: an order as it stood, nil in a heartbeat, and where the watch is.
type sighting struct {
	order  *orderView
	cursor string
}

// watch sends an order as it stands and again at every change of its state behind a cursor, until it is at rest. An error
// that the client can go on behind says where.
func (o *orchestrator) watch(ctx context.Context, orderID, behind string, send func(sighting) error) error {
	oid, err := parseOrderID(orderID)
	if err != nil {
		return err
	}
	at, err := parseCursor(oid, behind)
	if err != nil {
		return err
	}
	nothing := func() error { return send(sighting{cursor: at.token(oid)}) }
	first := true
	told := watch.Told[orderAt]{Nothing: nothing, News: func(read orderAt) (bool, error) {
		v, err := orderOf(orchestratordb.GetOrderRow(read))
		if err != nil {
			return false, err
		}
		resting, fresh := v.phase.Resting(), first
		first = false
		switch {
		case at.seq > v.seq:
			return false, badCursor("is ahead of the order")
		case at.behind(v):
			at = cursor{seq: v.seq, phase: v.phase}
			return resting, send(sighting{order: &v, cursor: at.token(oid)})
		case fresh && !resting:
			return false, nothing()
		}
		return resting, nil
	}}
	err = watch.ErrMissing
	if !o.standby.isNeeded() {
		err = o.orders.Follow(ctx, oid.UUID(), told)
	}
	if errors.Is(err, watch.ErrMissing) {
		var found OrderID
		if found, err = o.awaitQueued(ctx, oid, nothing, send); err == nil {
			err = o.orders.Follow(ctx, found.UUID(), told)
		}
	}
	if e, ok := errors.AsType[*rpcerr.Error](err); ok && (e.Reason == rpcerr.WatchNotRead || e.Reason == rpcerr.ShuttingDown) {
		return e.With("cursor", at.token(oid))
	}
	return err
}

// queuedLook is how often a watch looks whether its order is still in the intake stream.
const queuedLook = time.Second

// awaitQueued waits until an order is in the database, while it is in the intake stream, and gives the id that it has there. One
// that is not in the stream is in the database, as far as is known while that is away.
func (o *orchestrator) awaitQueued(ctx context.Context, orderID OrderID, nothing func() error, send func(sighting) error) (OrderID, error) {
	for told := false; ; {
		v, err := o.find(ctx, orderID)
		switch {
		case isAway(err):
			return orderID, nil
		case err != nil || !v.queued:
			return v.id, err
		}
		if !told {
			told, err = true, send(sighting{order: &v})
		} else {
			err = nothing()
		}
		if err != nil {
			return v.id, err
		}
		select {
		case <-time.After(queuedLook):
		case <-o.engine.stopping:
			return v.id, rpcerr.New(rpcerr.ShuttingDown, "the server is stopping; watch again")
		case <-ctx.Done():
			return v.id, ctx.Err()
		}
	}
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
