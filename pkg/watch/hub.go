package watch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/rpcerr"
)

const (
	// readAtOnce is how many things that have changed one read is of at most, and sweptAtOnce how many more it may be of that
	// are only looked after: few, for who waits for a change waits for the read that is under way.
	readAtOnce, sweptAtOnce = 500, 100
	// sweepEvery is how often all that is followed is read without being told of a change: what tells may be lost.
	sweepEvery = 10 * time.Second
	// lookEvery is how often is looked whether that is due, and how soon what could not be read is read again.
	lookEvery = time.Second
)

// Versioned is what is followed, as it stood at one moment: of two, the one with the higher version is the newer.
type Versioned interface{ Version() int64 }

// HubConfig is what a hub is made of.
type HubConfig[V Versioned] struct {
	// Read reads things by their ids. What there is not is left out.
	Read func(context.Context, []uuid.UUID) (map[uuid.UUID]V, error)
	// Heartbeat is how long a follower is told nothing at most; Patience is how long it may take to be told something.
	Heartbeat, Patience time.Duration
	// Stopping closes when nobody is to follow anything any more.
	Stopping <-chan struct{}
	Log      *slog.Logger
}

// Hub lets many follow many things at little cost each: what changed is read once, together with whatever else has
// changed meanwhile, and given to all who follow it. Nobody reads for himself alone, and nothing queues for who is slow:
// of what came meanwhile he is given the newest.
type Hub[V Versioned] struct {
	HubConfig[V]
	wake periodic.Bell
	// The duty's: since when all that is followed is looked after, and what of it is left.
	swept time.Time
	left  []uuid.UUID

	mu      sync.Mutex
	byID    map[uuid.UUID][]*seat[V]
	changed map[uuid.UUID]struct{} // of what is followed
}

// seat is where one follower is given what is new. The hub's mu guards it, but for the bell.
type seat[V Versioned] struct {
	bell    periodic.Bell
	newest  *V    // not taken yet
	seen    bool  // there was one
	version int64 // of the last one
	err     error // instead of a first one
}

// Told is what a follower is told by; one call at a time.
type Told[V Versioned] struct {
	// News is told how the thing stands, and of each newer version; those that come while it is told are one. The
	// follower has come to the end when it is done.
	News func(V) (done bool, err error)
	// Nothing is told that there was nothing for a heartbeat's time.
	Nothing func() error
}

// ErrMissing says that there is nothing of the id that is to be followed.
var ErrMissing = errors.New("there is nothing of that id")

// NewHub makes a hub; it tells nothing until it runs.
func NewHub[V Versioned](cfg HubConfig[V]) *Hub[V] {
	return &Hub[V]{HubConfig: cfg, wake: periodic.NewBell(), byID: map[uuid.UUID][]*seat[V]{}, changed: map[uuid.UUID]struct{}{}}
}

// Notify tells that what has the id has changed. Where nobody follows that, it costs a look into a map.
func (h *Hub[V]) Notify(id uuid.UUID) {
	h.mu.Lock()
	_, followed := h.byID[id]
	if followed {
		h.changed[id] = struct{}{}
	}
	h.mu.Unlock()
	if followed {
		h.wake.Ring()
	}
}

// Followers is how many follow something.
func (h *Hub[V]) Followers() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, seats := range h.byID {
		n += len(seats)
	}
	return n
}

// Run reads what changes, and gives it to who follows it, until ctx ends.
func (h *Hub[V]) Run(ctx context.Context) error {
	h.swept = time.Now()
	return periodic.Duty{Name: "watches", Every: lookEvery, Log: h.Log, Wake: h.wake, RunOnce: h.runOnce}.Run(ctx)
}

// runOnce reads some of what has changed, and some of what is to be looked after.
func (h *Hub[V]) runOnce(ctx context.Context) (again bool, err error) {
	ids := h.take()
	if len(ids) == 0 {
		return false, nil
	}
	found, err := h.Read(ctx, ids)
	h.give(ids, found, err)
	return err == nil, err
}

// take gives some of what is to be read.
func (h *Hub[V]) take() []uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.left) == 0 && time.Since(h.swept) >= sweepEvery {
		h.swept, h.left = time.Now(), slices.Collect(maps.Keys(h.byID))
	}
	also := min(sweptAtOnce, len(h.left))
	ids := make([]uuid.UUID, 0, min(readAtOnce, len(h.changed))+also)
	for id := range h.changed {
		if len(ids) == readAtOnce {
			break
		}
		delete(h.changed, id)
		ids = append(ids, id)
	}
	ids, h.left = append(ids, h.left[:also]...), h.left[also:]
	return ids
}

// give gives what was read to who follows it. Where it could not be read, who has seen something waits on, and it is
// read again; who has not is told.
func (h *Hub[V]) give(ids []uuid.UUID, found map[uuid.UUID]V, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		v, there := found[id]
		for _, s := range h.byID[id] {
			switch {
			case s.seen && err != nil:
				h.changed[id] = struct{}{}
				continue
			case s.seen && (!there || v.Version() <= s.version):
				continue
			case err != nil:
				s.err = err
			case !there:
				s.err = ErrMissing
			default:
				s.newest, s.version, s.seen = &v, v.Version(), true
			}
			s.bell.Ring()
		}
	}
}

// Follow tells how what has the id stands, and of each newer version, until the follower is done; ErrMissing when there
// is nothing of that id. It ends with WATCH_NOT_READ when the follower takes too long to be told, and with SHUTTING_DOWN
// when the process stops.
func (h *Hub[V]) Follow(ctx context.Context, id uuid.UUID, told Told[V]) error {
	s := h.sit(id)
	defer h.leave(id, s)
	heartbeat := time.NewTimer(h.pause())
	defer heartbeat.Stop()
	for {
		select {
		case <-s.bell:
			if done, err := h.tell(ctx, s, told.News); done || err != nil {
				return err
			}
		case <-heartbeat.C:
			if _, err := h.within(ctx, func() (bool, error) { return false, told.Nothing() }); err != nil {
				return err
			}
		case <-h.Stopping:
			return rpcerr.New(rpcerr.ShuttingDown, "the server is stopping; watch again")
		case <-ctx.Done():
			return ctx.Err()
		}
		heartbeat.Reset(h.pause())
	}
}

// pause is how long a follower is told nothing: up to a quarter less than a heartbeat's time, so that those who came
// together are not told together for ever.
func (h *Hub[V]) pause() time.Duration { return h.Heartbeat - rand.N(h.Heartbeat/4+1) }

// tell tells a follower what its seat was given.
func (h *Hub[V]) tell(ctx context.Context, s *seat[V], news func(V) (bool, error)) (done bool, err error) {
	h.mu.Lock()
	newest, err := s.newest, s.err
	s.newest = nil
	h.mu.Unlock()
	if newest == nil || err != nil {
		return false, err
	}
	return h.within(ctx, func() (bool, error) { return news(*newest) })
}

// within has a follower told something, for as long as its patience lasts. What tells blocks while nobody reads, and
// ends with the call.
func (h *Hub[V]) within(ctx context.Context, tell func() (bool, error)) (done bool, err error) {
	type outcome struct {
		done bool
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		done, err := tell()
		ended <- outcome{done, err}
	}()
	patience := time.NewTimer(h.Patience)
	defer patience.Stop()
	select {
	case o := <-ended:
		return o.done, o.err
	case <-patience.C:
		return false, rpcerr.New(rpcerr.WatchNotRead, "nothing was read for %s; watch again behind the cursor", h.Patience)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// sit gives a follower a seat, and has what it follows read.
func (h *Hub[V]) sit(id uuid.UUID) *seat[V] {
	s := &seat[V]{bell: periodic.NewBell()}
	h.mu.Lock()
	h.byID[id] = append(h.byID[id], s)
	h.changed[id] = struct{}{}
	h.mu.Unlock()
	h.wake.Ring()
	return s
}

func (h *Hub[V]) leave(id uuid.UUID, s *seat[V]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rest := slices.DeleteFunc(h.byID[id], func(other *seat[V]) bool { return other == s })
	if len(rest) > 0 {
		h.byID[id] = rest
		return
	}
	delete(h.byID, id)
	delete(h.changed, id)
}
