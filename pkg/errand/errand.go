package errand

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// Config is what errands of one kind are made of: C is what is asked for, A what is answered.
type Config[C, A any] struct {
	// Method is the requests' method, "Charge".
	Method string
	Crew   *Crew
	// Begin writes the intents. The crew runs it.
	Begin *groupcommit.Group[C, idem.Begun[A]]
	// Work makes the calls of one errand and ends its claim. Its context does not end with the caller's.
	Work func(ctx context.Context, command C, claim *idem.Claim) (A, error)
	// Limit is how long one errand may take from its intent: at most its lease.
	Limit time.Duration
	// Patience is how long a batch waits for its errands.
	Patience time.Duration
	// Log is told what goes wrong when nobody may be waiting any more.
	Log *slog.Logger
}

// Errands are requests of one kind.
type Errands[C, A any] struct{ Config[C, A] }

// New makes errands; they run while the crew does.
func New[C, A any](cfg Config[C, A]) *Errands[C, A] { return &Errands[C, A]{cfg} }

// Result is what an errand is answered.
type Result[A any] = groupcommit.Result[idem.Answer[A]]

// errand is one request on its way.
type errand[A any] struct {
	over   chan struct{} // closed when the rest is there
	result Result[A]
	busy   bool // another request under the key is being worked on
}

func (e *errand[A]) end(r Result[A]) {
	e.result = r
	close(e.over)
}

// wait gives what came of an errand, or when ctx ends before, that it is in flight.
func (e *errand[A]) wait(ctx context.Context, method string) Result[A] {
	select {
	case <-e.over:
		return e.result
	case <-ctx.Done():
	}
	select {
	case <-e.over: // both at once
		return e.result
	default:
		return Result[A]{Err: idem.InFlight(method)}
	}
}

// DoAll runs the errands of a batch, and gives their results in their order.
func (k *Errands[C, A]) DoAll(ctx context.Context, commands []C) []Result[A] {
	patient, cancel := context.WithTimeout(ctx, k.Patience)
	defer cancel()
	results := make([]Result[A], len(commands))
	for i, e := range k.begin(ctx, commands) {
		results[i] = e.wait(patient, k.Method)
	}
	return results
}

// The pauses between two looks at a request that another one is working on.
const (
	firstLook = 10 * time.Millisecond
	lastLook  = 200 * time.Millisecond
)

// Do runs one errand to its end, and waits for another one under the same key, up to ctx's end.
func (k *Errands[C, A]) Do(ctx context.Context, command C) Result[A] {
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		e := k.begin(ctx, []C{command})[0]
		result := e.wait(ctx, k.Method)
		if ctx.Err() != nil || !e.busy {
			return result
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return result
		}
	}
}

// begin starts errands. They share a commit, and the time that ctx carries only as long as none is begun.
func (k *Errands[C, A]) begin(ctx context.Context, commands []C) []*errand[A] {
	errands := make([]*errand[A], len(commands))
	for i := range errands {
		errands[i] = &errand[A]{over: make(chan struct{})}
	}
	ctx = context.WithoutCancel(ctx)
	begun := k.Crew.begin(func() {
		beginning, cancel := context.WithTimeout(ctx, k.Limit)
		defer cancel()
		for i, b := range k.Begin.DoAll(beginning, commands) {
			if b.Err != nil || b.Value.Claim == nil {
				errands[i].busy = b.Value.Busy
				errands[i].end(Result[A]{Value: b.Value.Answer, Err: b.Err})
				continue
			}
			k.Crew.running.Go(func() { k.run(ctx, errands[i], commands[i], b.Value.Claim) })
		}
	})
	if !begun {
		for _, e := range errands {
			e.end(Result[A]{Err: groupcommit.ErrStopped})
		}
	}
	return errands
}

// run works on an errand until it is over.
func (k *Errands[C, A]) run(ctx context.Context, e *errand[A], command C, claim *idem.Claim) {
	ctx, cancel := context.WithTimeout(ctx, k.Limit)
	defer cancel()
	var answer A
	var err error
	if waited := k.Crew.work(ctx, func() { answer, err = k.call(ctx, command, claim) }); waited != nil {
		err = idem.InFlight(k.Method) // until its lease ends, which is about to
	}
	if _, told := errors.AsType[*rpcerr.Error](err); err != nil && !told {
		k.Log.ErrorContext(ctx, "an errand failed", slog.String("method", k.Method),
			slog.String("resource", claim.Resource), slog.Any("error", err))
	}
	e.end(Result[A]{Value: idem.Answer[A]{Value: answer}, Err: err})
}

// call is Work; its panic is an error, and the next request resumes.
func (k *Errands[C, A]) call(ctx context.Context, command C, claim *idem.Claim) (answer A, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return k.Work(ctx, command, claim)
}
