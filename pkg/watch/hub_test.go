package watch

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/rpcerr"
)

type version int64

func (v version) Version() int64 { return int64(v) }

// things are what a hub of a test reads.
type things struct {
	mu    sync.Mutex
	byID  map[uuid.UUID]version
	err   error
	reads [][]uuid.UUID
}

func (s *things) read(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, ids)
	found := map[uuid.UUID]version{}
	for _, id := range ids {
		if v, ok := s.byID[id]; ok {
			found[id] = v
		}
	}
	return found, s.err
}

func (s *things) set(id uuid.UUID, v version, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[id], s.err = v, err
}

// inHub runs a test in a bubble with a hub that runs.
func inHub(t *testing.T, test func(t *testing.T, h *Hub[version], s *things, stop func())) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, stopping := &things{byID: map[uuid.UUID]version{}}, make(chan struct{})
		h := NewHub(HubConfig[version]{
			Read: s.read, Heartbeat: 15 * time.Second, Patience: 30 * time.Second, Stopping: stopping, Log: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		test(t, h, s, func() { close(stopping) })
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := h.Followers(); n != 0 || len(h.byID) != 0 {
			t.Errorf("%d still follow something, and %d things are known", n, len(h.byID))
		}
	})
}

// follower keeps what it was told, 0 for a heartbeat.
type follower struct {
	told  []version
	ended chan error
}

// follow follows until a version.
func follow(ctx context.Context, h *Hub[version], id uuid.UUID, until version) *follower {
	f := &follower{ended: make(chan error, 1)}
	go func() {
		f.ended <- h.Follow(ctx, id, Told[version]{
			News:    func(v version) (bool, error) { f.told = append(f.told, v); return v >= until, nil },
			Nothing: func() error { f.told = append(f.told, 0); return nil },
		})
	}()
	return f
}

func (f *follower) want(t *testing.T, want ...version) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(f.told, want) {
		t.Errorf("told of %v, want %v", f.told, want)
	}
}

func TestHub_TellsAllWhoFollowWhatChanged(t *testing.T) {
	inHub(t, func(t *testing.T, h *Hub[version], s *things, _ func()) {
		one, other := uuid.New(), uuid.New()
		s.set(one, 1, nil)
		s.set(other, 1, nil)
		a, b, c := follow(t.Context(), h, one, 3), follow(t.Context(), h, one, 2), follow(t.Context(), h, other, 2)
		synctest.Wait()
		s.set(one, 2, nil)
		h.Notify(one)
		h.Notify(uuid.New()) // nobody's
		a.want(t, 1, 2)
		b.want(t, 1, 2)
		c.want(t, 1)
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
		h.Notify(one) // and nothing has changed
		a.want(t, 1, 2)
		s.set(one, 3, nil)
		s.set(other, 2, nil) // by who tells nobody
		h.Notify(one)
		a.want(t, 1, 2, 3)
		<-time.After(sweepEvery + 2*lookEvery)
		c.want(t, 1, 2)
	})
}

func TestHub_ReadsManyAtOnce(t *testing.T) {
	inHub(t, func(t *testing.T, h *Hub[version], s *things, _ func()) {
		var all []*follower
		for range 2*readAtOnce + 1 {
			id := uuid.New()
			s.set(id, 1, nil)
			all = append(all, follow(t.Context(), h, id, 3))
		}
		synctest.Wait()
		before := len(s.reads)
		for id := range s.byID {
			s.set(id, 2, nil)
		}
		<-time.After(sweepEvery + 2*lookEvery)
		synctest.Wait()
		for _, f := range all {
			f.want(t, 1, 2)
		}
		if got, want := len(s.reads)-before, (len(all)+sweptAtOnce-1)/sweptAtOnce; got != want {
			t.Errorf("%d things were looked after in %d reads, want %d", len(all), got, want)
		}
		before = len(s.reads)
		s.mu.Lock() // the first read waits until all have changed
		for id := range s.byID {
			s.byID[id] = 3
			h.Notify(id)
		}
		s.mu.Unlock()
		for _, f := range all {
			if err := <-f.ended; err != nil {
				t.Error(err)
			}
		}
		if got := len(s.reads) - before; got > 4 {
			t.Errorf("%d things that changed were read in %d reads", len(all), got)
		}
	})
}

// Of what comes while a follower is told something it is told the newest; somebody who takes for ever is let go.
func TestHub_QueuesNothingForWhoIsSlow(t *testing.T) {
	inHub(t, func(t *testing.T, h *Hub[version], s *things, _ func()) {
		id, read := uuid.New(), make(chan struct{})
		s.set(id, 1, nil)
		var told []version
		ended := make(chan error, 1)
		go func() {
			ended <- h.Follow(t.Context(), id, Told[version]{Nothing: func() error { return nil }, News: func(v version) (bool, error) {
				told = append(told, v)
				<-read
				return v == 10, nil
			}})
		}()
		for v := version(2); v <= 5; v++ {
			synctest.Wait()
			s.set(id, v, nil)
			h.Notify(id)
		}
		synctest.Wait()
		read <- struct{}{}
		synctest.Wait()
		if !slices.Equal(told, []version{1, 5}) {
			t.Errorf("told of %v, want 1 and then 5", told)
		}
		began := time.Now()
		err := <-ended
		if !rpcerr.Is(err, rpcerr.WatchNotRead) || time.Since(began) > h.Patience {
			t.Errorf("one that does not read ended after %s with %v", time.Since(began), err)
		}
		close(read)
	})
}

func TestHub_TellsThatThereIsNothing(t *testing.T) {
	inHub(t, func(t *testing.T, h *Hub[version], s *things, stop func()) {
		id := uuid.New()
		s.set(id, 1, nil)
		f := follow(t.Context(), h, id, 9)
		<-time.After(h.Heartbeat + time.Second)
		f.want(t, 1, 0)
		<-time.After(h.Heartbeat + time.Second)
		synctest.Wait()
		if n := len(f.told); n != 3 && n != 4 { // they come up to a quarter earlier
			t.Errorf("told of %v", f.told)
		}
		stop()
		if err := <-f.ended; !rpcerr.Is(err, rpcerr.ShuttingDown) {
			t.Errorf("at the process' stop: %v", err)
		}
	})
}

func TestHub_OutlastsAReadThatFails(t *testing.T) {
	inHub(t, func(t *testing.T, h *Hub[version], s *things, _ func()) {
		id, broken := uuid.New(), errors.New("broken")
		s.set(id, 1, nil)
		f := follow(t.Context(), h, id, 2)
		f.want(t, 1)
		s.set(id, 2, broken)
		h.Notify(id)
		synctest.Wait()
		late := follow(t.Context(), h, id, 2)
		if err := <-late.ended; !errors.Is(err, broken) {
			t.Errorf("one that has seen nothing: got %v", err)
		}
		s.set(id, 2, nil)
		if err := <-f.ended; err != nil {
			t.Error(err)
		}
		f.want(t, 1, 2)
	})
}

func TestHub_SaysThatThereIsNoSuchThing(t *testing.T) {
	inHub(t, func(t *testing.T, h *Hub[version], _ *things, _ func()) {
		if err := <-follow(t.Context(), h, uuid.New(), 1).ended; !errors.Is(err, ErrMissing) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := <-follow(ctx, h, uuid.New(), 1).ended; !errors.Is(err, context.Canceled) && !errors.Is(err, ErrMissing) {
			t.Errorf("got %v", err)
		}
	})
}
