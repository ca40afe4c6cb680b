package resend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// The pauses between attempts double from the first to the longest, each with full jitter.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// ErrGone says that the server has not answered anything to anybody for the whole of the patience.
var ErrGone = errors.New("the server does not answer any more")

// Resender is shared by the calls to one server. Its methods may be called from many goroutines.
type Resender struct {
	patience time.Duration
	began    time.Time
	heard    atomic.Int64 // since began, when the server answered last
}

// New makes a resender whose calls are repeated for that long.
func New(patience time.Duration) *Resender {
	return &Resender{patience: patience, began: time.Now()}
}

// Do repeats call until it succeeds, is refused, or has been repeated for the patience; the error is then the last
// one, and also [ErrGone] when no other call got an answer either.
func (r *Resender) Do(ctx context.Context, call func(context.Context) error) error {
	attempts := r.Begin()
	for {
		err := call(ctx)
		if err == nil {
			attempts.Heard()
			return nil
		}
		if err = attempts.Again(ctx, err); err != nil {
			return err
		}
	}
}

// Attempts are the attempts at one thing.
type Attempts struct {
	resender *Resender
	since    time.Time // of the first attempt, or of the last time there was an answer
	pause    time.Duration
}

// Begin begins the attempts at one thing.
func (r *Resender) Begin() *Attempts {
	return &Attempts{resender: r, since: time.Now(), pause: firstPause}
}

// Heard notes that the server has answered: the attempts begin anew.
func (a *Attempts) Heard() {
	a.since, a.pause = time.Now(), firstPause
	a.resender.note()
}

func (r *Resender) note() { r.heard.Store(int64(time.Since(r.began))) }

// Again waits for the next attempt after one that ended with err, or returns the error that ends the attempts.
func (a *Attempts) Again(ctx context.Context, err error) error {
	e, ours := rpcerr.FromError(err)
	if ours && e.Reason != rpcerr.DestinationDown {
		a.resender.note()
	}
	if !Transient(err) || ctx.Err() != nil {
		return err
	}
	if time.Since(a.since) > a.resender.patience {
		if time.Since(a.resender.began)-time.Duration(a.resender.heard.Load()) > a.resender.patience {
			return fmt.Errorf("%w: %w", ErrGone, err)
		}
		return err
	}
	pause := rand.N(a.pause)
	a.pause = min(2*a.pause, longestPause)
	if e != nil {
		pause = max(pause, e.RetryAfter)
	}
	select {
	case <-ctx.Done():
		return err
	case <-time.After(pause):
		return nil
	}
}

// Transient tells whether the same call may succeed later: its answer was lost, or the server asked for patience.
func Transient(err error) bool {
	e, ours := rpcerr.FromError(err)
	if e != nil && e.RetryAfter > 0 {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.Canceled:
		return true
	case codes.Internal, codes.Unknown: // what the transport makes of a connection that broke
		return !ours
	}
	return false
}
