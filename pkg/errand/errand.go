package errand

import (
	"context"
	"log/slog"
	"time"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
)

// Config is what errands of one kind are made of: C is what is asked for, E how its work ends, A what is answered.
type Config[C, E, A any] struct {
	// Method is the requests' method, "Charge".
	Method string
	// Crew runs them, and the groups that they are written through.
	Crew *Crew
	// Begin writes the intents of a batch.
	Begin func(ctx context.Context, commands []C) []groupcommit.Result[idem.Begun[A]]
	// Work makes the calls of one errand. Its context does not end with the caller's. An error is answered and ends
	// nothing: the claim goes on until its lease ends.
	Work func(ctx context.Context, command C, claim *idem.Claim) (E, error)
	// End writes what came of some of a batch.
	End func(ctx context.Context, endings []E) []groupcommit.Result[A]
	// Limit is how long the work of one errand may take, and how long its end: at most its lease.
	Limit time.Duration
	// Patience is how long a batch waits while none of its errands gets done. As long as they do it goes on waiting, up to
	// four times that: where there is more to do than can be done at once, whoever is told that his errand is in flight only
	// asks again.
	Patience time.Duration
	// Log is told what goes wrong, as nobody may be waiting any more; nil discards.
	Log *slog.Logger
}

// Errands are requests of one kind.
type Errands[C, E, A any] struct{ Config[C, E, A] }

// New makes errands; they are run while their crew does.
func New[C, E, A any](cfg Config[C, E, A]) *Errands[C, E, A] {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Errands[C, E, A]{cfg}
}

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

// now gives what came of an errand, or that it is in flight.
func (e *errand[A]) now(method string) Result[A] {
	select {
	case <-e.over:
		return e.result
	default:
		return Result[A]{Err: idem.InFlight(method)}
	}
}

// await returns when an errand is over, or ctx is.
func (e *errand[A]) await(ctx context.Context) {
	select {
	case <-e.over:
	case <-ctx.Done():
	}
}

// DoAll runs the errands of a batch, and gives their results in their order.
func (k *Errands[C, E, A]) DoAll(ctx context.Context, commands []C) []Result[A] {
	b := k.begin(ctx, commands)
	b.await(ctx)
	select {
	case <-b.flush():
	case <-ctx.Done():
	}
	results := make([]Result[A], len(commands))
	for i, e := range b.errands {
		results[i] = e.now(k.Method)
	}
	return results
}

// The pauses between two looks at a request that another one is working on.
const (
	firstLook = 10 * time.Millisecond
	lastLook  = 200 * time.Millisecond
)

// Do runs one errand to its end, and waits for another one under the same key, up to ctx's end.
func (k *Errands[C, E, A]) Do(ctx context.Context, command C) Result[A] {
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		e := k.begin(ctx, []C{command}).errands[0]
		e.await(ctx)
		result := e.now(k.Method)
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

// begin starts errands.
func (k *Errands[C, E, A]) begin(ctx context.Context, commands []C) *batch[C, E, A] {
	b := &batch[C, E, A]{kind: k, ctx: context.WithoutCancel(ctx), errands: make([]*errand[A], len(commands)), stirred: time.Now()}
	for i := range commands {
		b.errands[i] = &errand[A]{over: make(chan struct{})}
	}
	if !k.Crew.begin(func() { b.run(commands) }) {
		for _, e := range b.errands {
			e.end(Result[A]{Err: groupcommit.ErrStopped})
		}
	}
	return b
}
