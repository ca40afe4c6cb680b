package orchestrator

import (
	"context"
	"sync"
	"time"
)

const (
	// maxRead is how many sagas are read together.
	maxRead = 500
	// maxReadings is how many readings are under way at once.
	maxReadings = 2
	// readLimit is how long one may take.
	readLimit = 10 * time.Second
)

// reader reads sagas, those that wait together.
type reader struct {
	engine *engine

	mu      sync.Mutex
	queue   []*live
	flights int
}

// push has a saga read and then advanced.
func (r *reader) push(l *live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, l)
	if r.flights < maxReadings {
		r.flights++
		r.engine.begin(r.fly)
	}
}

func (r *reader) fly() {
	for {
		r.mu.Lock()
		batch := r.queue[:min(len(r.queue), maxRead)]
		if r.queue = r.queue[len(batch):]; len(batch) == 0 || r.engine.isStopping() {
			r.flights--
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		r.read(batch)
	}
}

func (r *reader) read(batch []*live) {
	e, ids := r.engine, make([]SagaID, len(batch))
	for i, l := range batch {
		ids[i] = l.view.id
		e.isNudged(l) // whatever was written before now is read
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.shards.parent), readLimit)
	defer cancel()
	all, err := e.loadAll(ctx, e.pool, ids)
	for _, l := range batch {
		found, ok := all[l.view.id]
		switch {
		case err != nil:
			e.again(l, err)
		case !ok:
			e.drop(l) // nobody has ever written it
		case found.err != nil:
			l.view = found.view
			e.undriveable(l, found.err)
		default:
			e.trace(l.trace.read(found.driven, e.slow))
			l.driven, l.events = found.driven, nil
			e.advance(l)
		}
	}
}
