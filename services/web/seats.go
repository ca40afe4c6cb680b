package web

import (
	"context"
	"sync"
	"time"

	"github.com/tieout/tieout/pkg/rpcerr"
)

const (
	// leaveLimit is how long live connections may take to end when the process stops.
	leaveLimit = 3 * time.Second
	// noSeatRetry is when somebody who found no seat is asked to try again.
	noSeatRetry = 5 * time.Second
)

// seats count the live connections.
type seats struct {
	limit, perCaller int
	taken            sync.WaitGroup

	mu       sync.Mutex
	all      int
	byCaller map[string]int
}

func newSeats(w Watch) *seats {
	return &seats{limit: w.Limit, perCaller: w.PerCaller, byCaller: map[string]int{}}
}

// take takes a seat for a caller; TOO_MANY_WATCHES when there is none.
func (s *seats) take(caller string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var refused *rpcerr.Error
	switch {
	case s.byCaller[caller] >= s.perCaller:
		refused = rpcerr.New(rpcerr.TooManyWatches, "%d live connections of this caller are open, and no more may be", s.perCaller)
	case s.all >= s.limit:
		refused = rpcerr.New(rpcerr.TooManyWatches, "%d live connections are open, and no more may be", s.limit)
	default:
		s.all++
		s.byCaller[caller]++
		s.taken.Add(1)
		return func() { s.leave(caller) }, nil
	}
	refused.RetryAfter = noSeatRetry
	return nil, refused
}

func (s *seats) leave(caller string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.byCaller[caller]--; s.byCaller[caller] == 0 {
		delete(s.byCaller, caller)
	}
	s.taken.Done()
}

func (s *seats) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// leaveAll waits, when the process stops, until the connections have ended; each does so by itself.
func (s *seats) leaveAll(ctx context.Context) error {
	<-ctx.Done()
	left := make(chan struct{})
	go func() { s.taken.Wait(); close(left) }()
	select {
	case <-left:
	case <-time.After(leaveLimit):
	}
	return nil
}
