package shed

import (
	"container/list"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/tieout/tieout/pkg/rpcerr"
)

const (
	// longestGap is the longest time between two calls that leave that says how fast they do.
	longestGap = 100 * time.Millisecond
	// askAgain is when a client that was refused should come back, at the earliest; at random up to four times that.
	askAgain = 250 * time.Millisecond
)

// Config is what a gate is made of.
type Config struct {
	// Limit bounds how many calls are let in at once.
	Limit LimitConfig
	// Now is the clock. Default: the time.
	Now func() time.Time
	// Meter shows the limit, what is in flight and queued, and counts what is refused. Default: nobody is told.
	Meter metric.Meter
}

// Gate lets calls in, as many at once as can be done in good time.
type Gate struct {
	now      func() time.Time
	rejected metric.Int64Counter

	mu       sync.Mutex
	limit    *Limit
	inFlight [classes]int
	total    int // in flight
	waiting  [classes]list.List
	backlogs []*Backlog
	// gap is how much time passes from one that leaves to the next, as of late; left is when the last one did.
	gap  time.Duration
	left time.Time
}

// waiter is a call that waits for room; the channel is closed when it is let in.
type waiter chan struct{}

// NewGate makes a gate.
func NewGate(cfg Config) (*Gate, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Meter == nil {
		cfg.Meter = noop.Meter{}
	}
	g := &Gate{now: cfg.Now, limit: NewLimit(cfg.Limit)}
	return g, g.observe(cfg.Meter)
}

// Before has the gate refuse new work while a backlog is full, and what is worth less.
func (g *Gate) Before(b *Backlog) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.backlogs = append(g.backlogs, b)
}

// Call is one that wants to be let in.
type Call struct {
	Class Class
	// Should is how long it should take, once it is in; 0 when its time says nothing.
	Should time.Duration
}

// Knock is where a call comes first, and it never waits: OVERLOADED when one of its class finds a backlog full, or would
// wait in vain to enter; then nothing was done. What it brings has its place in the backlogs from then on.
func (g *Gate) Knock(ctx context.Context, c Class) error {
	for _, b := range g.backlogsOf(c) {
		if !b.takes(c) {
			return g.refuse(ctx, c, "backlog")
		}
	}
	g.mu.Lock()
	hopeless := !g.hasRoom(c) && g.ahead(c) > c.patience()
	g.mu.Unlock()
	if hopeless {
		return g.refuse(ctx, c, "limit")
	}
	return nil
}

// Enter lets a call in that has knocked, at once or after a moment. It has to leave when it has ended. OVERLOADED when there is
// no room for one of its class; then nothing was done.
func (g *Gate) Enter(ctx context.Context, c Call) (leave func(), err error) {
	g.mu.Lock()
	if g.waiting[c.Class].Len() == 0 && g.hasRoom(c.Class) {
		g.admit(c.Class)
		g.mu.Unlock()
		return g.leaver(c), nil
	}
	if g.ahead(c.Class) > c.Class.patience() {
		g.mu.Unlock()
		return nil, g.refuse(ctx, c.Class, "limit")
	}
	w := make(waiter)
	place := g.waiting[c.Class].PushBack(w)
	g.mu.Unlock()
	if !await(ctx, w, c.Class.patience()) && !g.letIn(c.Class, place) {
		return nil, g.refuse(ctx, c.Class, "limit")
	}
	return g.leaver(c), nil
}

// backlogsOf gives the backlogs that have a say in whether a class comes in.
func (g *Gate) backlogsOf(c Class) []*Backlog {
	if !c.Yields() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.backlogs
}

// await waits for room; false when its patience, or its caller's, is at an end.
func await(ctx context.Context, w waiter, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// letIn tells whether one that gave up waiting was let in at the last moment; else it is forgotten.
func (g *Gate) letIn(c Class, place *list.Element) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-place.Value.(waiter):
		return true
	default:
	}
	g.waiting[c].Remove(place)
	return false
}

// hasRoom tells whether one more of a class may come in. Like all that follow down to leaver, it needs mu.
func (g *Gate) hasRoom(c Class) bool {
	return g.total < c.ceiling(g.limit.Value()) || g.inFlight[Finish]+g.inFlight[Step] < c.reserved()
}

func (g *Gate) admit(c Class) {
	g.inFlight[c]++
	g.total++
}

// ahead is how long one more of a class would wait, by those who wait before it and how fast calls leave.
func (g *Gate) ahead(c Class) time.Duration {
	n := 0
	for of := Finish; of <= c; of++ {
		n += g.waiting[of].Len()
	}
	return time.Duration(n) * g.gap
}

// leaver makes what a call calls once when it has ended; it takes no lock.
func (g *Gate) leaver(c Call) func() {
	began := g.now()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		now := g.now()
		if c.Should > 0 && c.Class.waitedFor() {
			g.limit.Observe(now, Work{Took: now.Sub(began), Should: c.Should, UnderWay: g.total})
		}
		g.inFlight[c.Class]--
		g.total--
		if !g.left.IsZero() {
			g.gap += (min(now.Sub(g.left), longestGap) - g.gap) / 16
		}
		g.left = now
		g.callIn()
	}
}

// callIn lets in who waits, the most important first, as far as there is room.
func (g *Gate) callIn() {
	for c := Finish; c <= Batch; c++ {
		for g.waiting[c].Len() > 0 {
			if !g.hasRoom(c) {
				return
			}
			g.admit(c)
			close(g.waiting[c].Remove(g.waiting[c].Front()).(waiter))
		}
	}
}

// refuse counts a refusal and gives one.
func (g *Gate) refuse(ctx context.Context, c Class, by string) error {
	g.rejected.Add(ctx, 1, refusedBy(c, by))
	return overloaded[rand.IntN(len(overloaded))]
}

// overloaded are the refusals, made once, for they have to be cheap: each names another time to come back.
var overloaded = func() (all [64]error) {
	for i := range all {
		e := rpcerr.New(rpcerr.Overloaded, "there is more work than can be done; nothing was done")
		e.RetryAfter = (askAgain + 3*askAgain*time.Duration(i)/time.Duration(len(all)-1)).Round(time.Millisecond)
		all[i] = rpcerr.Sealed(e)
	}
	return all
}()
