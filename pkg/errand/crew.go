package errand

import (
	"context"
	"sync"
)

// Crew is who runs the errands of a process: it bounds how many are worked on at once, and knows when all are over.
type Crew struct {
	calls chan struct{} // holds one element for each errand that is worked on

	mu      sync.Mutex
	closed  bool // no errand is begun any more
	running sync.WaitGroup
}

// NewCrew makes a crew that works on up to so many errands at once.
func NewCrew(calls int) *Crew { return &Crew{calls: make(chan struct{}, calls)} }

// Run runs the groups that errands are written through, until ctx ends and then every errand is over. It runs once.
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

// work runs f once there is a free hand, and tells whether there was one before ctx ended.
func (c *Crew) work(ctx context.Context, f func()) bool {
	select {
	case c.calls <- struct{}{}:
		defer func() { <-c.calls }()
		f()
		return true
	case <-ctx.Done():
		return false
	}
}
