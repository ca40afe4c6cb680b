package watch

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// lookAgain is how often is looked without being told of a change: it may be another process' one.
const lookAgain = 5 * time.Second

// Watchers are those who follow something in this process, by its id.
type Watchers struct {
	stopping <-chan struct{}

	mu   sync.Mutex
	byID map[uuid.UUID]map[periodic.Bell]struct{}
}

// New makes watchers; once stopping is closed, nobody follows anything any more.
func New(stopping <-chan struct{}) *Watchers {
	return &Watchers{stopping: stopping, byID: map[uuid.UUID]map[periodic.Bell]struct{}{}}
}

// Notify tells those who follow what has the id that it changed.
func (w *Watchers) Notify(id uuid.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.byID[id] {
		c.Ring()
	}
}

// Follow looks at once and whenever what has the id changed, until look says that it is done. Changes that come while
// it looks are one. It ends with SHUTTING_DOWN when the process stops; the client watches again.
func (w *Watchers) Follow(ctx context.Context, id uuid.UUID, look func() (done bool, err error)) error {
	changed, unsubscribe := w.subscribe(id)
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
		case <-w.stopping:
			return rpcerr.New(rpcerr.ShuttingDown, "the server is stopping; watch again")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// progressPause is how long a watch of what changes all the time waits at least between two looks.
const progressPause = 100 * time.Millisecond

// Progress is something that changes all the time, and how far it has come.
type Progress[T any, P comparable] struct {
	Read func() (T, error)
	// Of is what has to change for it to be sent again.
	Of    func(T) P
	Ended func(T) bool
	Send  func(T) error
	// Again is after how long it is sent once more although it has not gone on, so that silence means something; 0 for never.
	Again time.Duration
}

// FollowProgress sends what has the id as it stands, and again as it goes on, until it has ended.
func FollowProgress[T any, P comparable](ctx context.Context, w *Watchers, id uuid.UUID, p Progress[T, P]) error {
	var last P
	var sent time.Time
	return w.Follow(ctx, id, func() (bool, error) {
		now, err := p.Read()
		if err != nil {
			return false, err
		}
		if at := p.Of(now); sent.IsZero() || at != last || p.Again > 0 && time.Since(sent) >= p.Again {
			if err := p.Send(now); err != nil {
				return false, err
			}
			sent, last = time.Now(), at
		}
		if p.Ended(now) {
			return true, nil
		}
		select {
		case <-time.After(progressPause):
		case <-ctx.Done():
		}
		return false, ctx.Err()
	})
}

// subscribe gives a channel that holds an element when what has the id changed since it was last emptied.
func (w *Watchers) subscribe(id uuid.UUID) (changed <-chan struct{}, unsubscribe func()) {
	c := periodic.NewBell()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID[id] == nil {
		w.byID[id] = map[periodic.Bell]struct{}{}
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
