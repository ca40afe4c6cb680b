package orchestrator

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// lookAgain is how often a watch reads what it watches without being told that it changed: a change may be made by
// another replica.
const lookAgain = 5 * time.Second

// watchers tells those who watch an order, a saga or an operation when it changed in this process.
type watchers struct {
	mu   sync.Mutex
	byID map[uuid.UUID]map[chan struct{}]struct{}
}

func newWatchers() *watchers {
	return &watchers{byID: map[uuid.UUID]map[chan struct{}]struct{}{}}
}

// subscribe gives a channel that holds an element when what has the id changed since it was last emptied.
func (w *watchers) subscribe(id uuid.UUID) (changed <-chan struct{}, unsubscribe func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID[id] == nil {
		w.byID[id] = map[chan struct{}]struct{}{}
	}
	w.byID[id][c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byID[id], c)
		if len(w.byID[id]) == 0 {
			delete(w.byID, id)
		}
	}
}

func (w *watchers) notify(id uuid.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.byID[id] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// recorded tells of a transition: those who watch the saga, and if its phase changed, those who watch what it is for.
func (w *watchers) recorded(t transition) {
	w.notify(t.view.id.UUID())
	if t.after.phase != t.view.phase {
		w.notify(t.view.subject)
	}
}

// follow looks at once and whenever what has the id changed, until it is done. It ends with SHUTTING_DOWN when the
// process stops; the client watches again.
func (o *orchestrator) follow(ctx context.Context, id uuid.UUID, look func() (done bool, err error)) error {
	changed, unsubscribe := o.watchers.subscribe(id)
	defer unsubscribe()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		if done, err := look(); done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-o.stopping:
			return rpcerr.New(rpcerr.ShuttingDown, "the server is stopping; watch again")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch sends the order as it stands and again at every change of its state, until it is at rest.
func (o *orchestrator) watch(ctx context.Context, orderID string, send func(orderView) error) error {
	oid, err := parseOrderID(orderID)
	if err != nil {
		return err
	}
	var last orderView
	return o.follow(ctx, oid.UUID(), func() (bool, error) {
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
	return o.follow(ctx, sagaID.UUID(), func() (bool, error) {
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
	return o.follow(ctx, oid.UUID(), func() (bool, error) {
		op, err := newStore(o.pool).operation(ctx, oid)
		if err == nil && (op.state != last.state || op.done+op.refused != last.done+last.refused) {
			last, err = op, send(op)
		}
		return op.state.ended(), err
	})
}
