package orchestrator

import (
	"context"
	"sync"
	"time"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// lookAgain is how often a watch reads the order without being told that it changed: a change may be made by
// another replica.
const lookAgain = 5 * time.Second

// watchers tells those who watch an order when it changed in this process.
type watchers struct {
	mu      sync.Mutex
	byOrder map[OrderID]map[chan struct{}]struct{}
}

func newWatchers() *watchers {
	return &watchers{byOrder: map[OrderID]map[chan struct{}]struct{}{}}
}

// subscribe gives a channel that holds an element when the order has changed since it was last emptied.
func (w *watchers) subscribe(orderID OrderID) (changed <-chan struct{}, unsubscribe func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byOrder[orderID] == nil {
		w.byOrder[orderID] = map[chan struct{}]struct{}{}
	}
	w.byOrder[orderID][c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byOrder[orderID], c)
		if len(w.byOrder[orderID]) == 0 {
			delete(w.byOrder, orderID)
		}
	}
}

func (w *watchers) notify(orderID OrderID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.byOrder[orderID] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// watch sends the order as it stands and again at every change of its state, until it is at rest. It ends with
// SHUTTING_DOWN when the process stops; the client watches again.
func (o *orchestrator) watch(ctx context.Context, orderID string, send func(orderView) error) error {
	oid, err := parseOrderID(orderID)
	if err != nil {
		return err
	}
	changed, unsubscribe := o.watchers.subscribe(oid)
	defer unsubscribe()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	var last orderView
	for {
		v, err := newStore(o.pool).order(ctx, oid)
		if err != nil {
			return err
		}
		if v.phase != last.phase {
			if err := send(v); err != nil {
				return err
			}
			last = v
		}
		if v.phase.Resting() {
			return nil
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
