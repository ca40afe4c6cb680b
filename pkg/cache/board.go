package cache

import (
	"context"
	"errors"
	"sync"
)

// board lists which keys are being loaded, so that each is loaded once for all who want it at that time.
type board[V any] struct {
	mu    sync.Mutex
	loads map[string]*load[V] // by key
}

// load is one caller's loading of some keys.
type load[V any] struct {
	done chan struct{} // closed when the rest may be read
	got  map[string]*entry[V]
	err  error
	// left says that the caller's own context had ended: its error says nothing about the keys.
	left bool

	floors map[string]int64 // versions that became known meanwhile; guarded by the board until done
}

var errUnfinished = errors.New("loading did not come to its end")

// join gives the loads of keys that are on their way, and one of the rest, which the caller must carry out and end; nil
// when there is no rest.
func (b *board[V]) join(keys []string) (own *load[V], mine []string, others map[string]*load[V]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range keys {
		if there := b.loads[key]; there != nil {
			if others == nil {
				others = map[string]*load[V]{}
			}
			others[key] = there
			continue
		}
		if own == nil {
			own = &load[V]{done: make(chan struct{}), got: map[string]*entry[V]{}, err: errUnfinished, floors: map[string]int64{}}
		}
		b.loads[key] = own
		mine = append(mine, key)
	}
	return own, mine, others
}

// raise notes for whoever is loading a key that nothing older than a version counts any more.
func (b *board[V]) raise(key string, version int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.loads[key]; l != nil {
		l.floors[key] = max(l.floors[key], version)
	}
}

// restart says that what the load reads of keys from now on begins after all that is known of them.
func (b *board[V]) restart(l *load[V], keys []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range keys {
		delete(l.floors, key)
	}
}

// behind gives those of keys of which the load got nothing, or less than what has become known meanwhile.
func (b *board[V]) behind(l *load[V], keys []string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var again []string
	for _, key := range keys {
		if e := l.got[key]; e == nil || e.version < l.floors[key] {
			again = append(again, key)
		}
	}
	return again
}

// end takes a load from the board and wakes those who wait for it.
func (b *board[V]) end(ctx context.Context, l *load[V], keys []string) {
	l.left = ctx.Err() != nil
	b.mu.Lock()
	for _, key := range keys {
		delete(b.loads, key)
	}
	b.mu.Unlock()
	close(l.done)
}

// wait gives what a load got of a key. Again says that it has to be loaded once more: who loaded it went away, or it
// changed meanwhile, and the one who waits may have begun after that.
func (l *load[V]) wait(ctx context.Context, key string) (e *entry[V], again bool, err error) {
	select {
	case <-l.done:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	switch {
	case l.err != nil:
		return nil, l.left, l.err
	case l.got[key].version < l.floors[key]:
		return nil, true, nil
	}
	return l.got[key], false, nil
}
