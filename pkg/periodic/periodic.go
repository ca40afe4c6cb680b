package periodic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// Waits after errors, see Run. The bounds keep a duty from staying away for long once what it needs is back.
const (
	firstBackoff     = time.Second
	maxBackoff       = 30 * time.Second
	maxBackoffFactor = 8 // times Every
)

// maxRest is the longest Rest.
const maxRest = 100 * time.Millisecond

// Duty is background work that is done again and again. It holds no state: Run may be called many times, and by
// several goroutines if RunOnce allows that.
type Duty struct {
	// Name says in the logs which duty it is.
	Name string
	// Every is the time from the end of a round to the start of the next, give or take 10 %, so that replicas which
	// started together drift apart. It must be positive.
	Every time.Duration
	// RunOnce does one round. It reports again when it left work behind, such as after a full batch: the next round
	// then follows at once. It must return soon after its context ends.
	RunOnce func(ctx context.Context) (again bool, err error)
	// Log takes errors and recoveries; nil means slog.Default().
	Log *slog.Logger
	// Wake, if not nil, starts the next round at once: a [Bell], as one round serves all that was there before it. A
	// wake-up during a round is kept until its end. One after an error is kept until the wait is over, or a busy sender
	// would have a failing duty spin.
	Wake <-chan struct{}
	// Gap is the least time from the start of a round to that of the next: what comes in between is done together, and what
	// comes after a pause does not wait. 0 for none.
	Gap time.Duration
}

// Run does the duty until ctx ends: a round now, then as Every, Wake and RunOnce say. An error or a panic is logged,
// once per change of its message, and the next round comes after a second, or Every if that is less; after each
// further one in a row the wait doubles, up to 8 times Every or 30 s, whichever is less. Run returns nil once ctx has
// ended and the round under way has returned; its only error is a Duty that cannot run, returned at once.
func (d Duty) Run(ctx context.Context) error {
	if d.Every <= 0 || d.RunOnce == nil {
		return fmt.Errorf("duty %q: needs a positive Every and a RunOnce", d.Name)
	}
	faults := faultLog{log: cmp.Or(d.Log, slog.Default()).With(slog.String("duty", d.Name))}
	for ctx.Err() == nil {
		started := time.Now()
		again, err := d.runOnce(ctx)
		if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil // The end of ctx interrupted the round, which is no fault.
		}
		faults.note(ctx, err)

		switch {
		case err != nil:
			Await(ctx, jitter(backoff(d.Every, faults.inARow)), nil)
		case !again:
			if closed := Await(ctx, jitter(d.Every), d.Wake); closed {
				d.Wake = nil // Nobody wakes the duty any more; a closed channel would do so for ever.
			}
		}
		if rest := d.Gap - time.Since(started); rest > 0 {
			Await(ctx, rest, nil)
			select {
			case <-d.Wake: // The next round serves what that was for.
			default:
			}
		}
	}
	return nil
}

// Rest is how long who works in batches rests after one of several: for as long as it took, 100 ms at most. Half of the time is left to
// others, and the busier the machine is, the more comes together meanwhile.
func Rest(took time.Duration) time.Duration { return min(took, maxRest) }

// Await waits for a time, or until ctx ends or somebody wakes; closed tells that nobody will any more.
func Await(ctx context.Context, delay time.Duration, wake <-chan struct{}) (closed bool) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case _, open := <-wake:
		return !open
	}
	return false
}

// runOnce is RunOnce with a panic turned into an error, so that one bad round does not end the process.
func (d Duty) runOnce(ctx context.Context) (again bool, err error) {
	defer func() {
		if value := recover(); value != nil {
			again, err = false, &panicError{value: value, stack: debug.Stack()}
		}
	}()
	return d.RunOnce(ctx)
}

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// backoff is the wait after the given number of errors in a row.
func backoff(every time.Duration, errorsInARow int) time.Duration {
	limit := min(maxBackoffFactor*min(every, maxBackoff), maxBackoff)
	doublings := min(errorsInARow-1, 5) // enough to reach any limit
	return min(min(every, firstBackoff)<<doublings, limit)
}

// jitter is d give or take 10 %.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// faultLog logs a duty's errors once per change of their message: what fails on every tick must not flood the log.
type faultLog struct {
	log    *slog.Logger
	inARow int    // errors since the last good round
	said   string // the message that was logged last
}

func (f *faultLog) note(ctx context.Context, err error) {
	if err == nil {
		if f.inARow > 0 {
			f.log.LogAttrs(ctx, slog.LevelInfo, "duty recovered", slog.Int("failed_rounds", f.inARow))
		}
		f.inARow, f.said = 0, ""
		return
	}
	f.inARow++
	message := err.Error()
	if message == f.said {
		return
	}
	f.said = message
	attrs := []slog.Attr{slog.String("error", message)}
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	f.log.LogAttrs(ctx, slog.LevelError, "duty failed", attrs...)
}
