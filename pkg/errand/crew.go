package errand

import (
	"context"
	"sync"
	"time"
)

// grace is how long errands go on once the process stops; what then ends them must still be written.
const grace = 3 * time.Second

// Crew is who runs the errands of a process: it bounds how many are worked on at once, and knows when all are over.
type Crew struct {
	calls   chan struct{}   // holds one element for each errand that is worked on
	working context.Context // ends when the work is cut
	cut     context.CancelFunc

	mu      sync.Mutex
	closed  bool // no errand is begun any more
	running sync.WaitGroup
}

// NewCrew makes a crew that works on up to so many errands at once.
func NewCrew(calls int) *Crew {
	c := &Crew{calls: make(chan struct{}, calls)}
	c.working, c.cut = context.WithCancel(context.Background())
	return c
}

// Run runs the groups that errands are written through, until ctx ends and then every errand is over. Work that
// lasts longer than 3 s from then is cut, and ends as a call without an answer does. It runs once.
func (c *Crew) Run(ctx context.Context, groups ...func(context.Context) error) error {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var written sync.WaitGroup
	for _, run := range groups {
		written.Go(func() { _ = run(writing) }) // a group ends when it is told to, and without an error
	}
	<-ctx.Done()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	defer time.AfterFunc(grace, c.cut).Stop()
	defer c.cut()
	c.running.Wait()
	stop()
	written.Wait()
	return nil
}

// begin runs f beside the caller, unless the process stops. What runs may go on with c.running.Go.
func (c *Crew) begin(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.running.Go(f)
	}
	return !c.closed
}

// work runs f once there is a free hand, and tells whether there was one before ctx ended. The context of f is cut
// with all work.
func (c *Crew) work(ctx context.Context, f func(ctx context.Context)) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.working, cancel)()
	select {
	case c.calls <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-c.calls }()
	if ctx.Err() != nil { // both at once
		return false
	}
	f(ctx)
	return true
}
