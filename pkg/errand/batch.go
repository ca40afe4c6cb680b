package errand

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// mostPatience is for how many times its patience a batch waits for errands that get done one after the other.
const mostPatience = 4

// batch is errands that begin together, and end together as far as they are quick enough.
type batch[C, E, A any] struct {
	kind    *Errands[C, E, A]
	ctx     context.Context // the caller's, without its end
	errands []*errand[A]

	mu      sync.Mutex
	flushed bool        // what comes from now on is written by itself
	working int         // errands whose work is not done
	done    []worked[E] // and those whose work is, to be written
	stirred time.Time   // when the last one was done
}

// worked is an errand whose work is done, by its place in the batch.
type worked[E any] struct {
	at     int
	ending E
}

// run writes the intents, and has what is fresh worked on.
func (b *batch[C, E, A]) run(commands []C) {
	ctx, cancel := context.WithTimeout(b.ctx, b.kind.Limit)
	defer cancel()
	begun := b.kind.Begin(ctx, commands)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range begun {
		claim := r.Value.Claim
		if r.Err != nil || claim == nil {
			b.errands[i].busy = r.Value.Busy
			b.errands[i].end(Result[A]{Value: r.Value.Answer, Err: r.Err})
			continue
		}
		b.working++
		b.kind.Crew.running.Go(func() { b.work(i, commands[i], claim) })
	}
}

// work has one errand worked on, and hands in its end.
func (b *batch[C, E, A]) work(i int, command C, claim *idem.Claim) {
	ctx, cancel := context.WithTimeout(b.ctx, b.kind.Limit)
	defer cancel()
	var ending E
	var err error
	began := b.kind.Crew.work(ctx, func(ctx context.Context) { ending, err = b.kind.call(ctx, command, claim) })
	if !began {
		err = idem.InFlight(b.kind.Method) // until its lease ends
	}
	if err != nil {
		b.end(i, Result[A]{Err: err})
	}
	b.write(b.settle(i, ending, err == nil))
}

// settle takes in that the work of an errand is done, and gives what is to be written now: all that is done when it
// is the last one, and itself when the others did not wait.
func (b *batch[C, E, A]) settle(i int, ending E, ends bool) []worked[E] {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stirred = time.Now()
	if ends {
		b.done = append(b.done, worked[E]{i, ending})
	}
	if b.working--; b.working > 0 && !b.flushed {
		return nil
	}
	return b.take()
}

func (b *batch[C, E, A]) take() []worked[E] {
	taken := b.done
	b.done = nil
	return taken
}

// await returns when all errands are over, when none has been done for as long as its caller is patient, or when ctx ends.
func (b *batch[C, E, A]) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, mostPatience*b.kind.Patience)
	defer cancel()
	timer := time.NewTimer(b.kind.Patience)
	defer timer.Stop()
	for _, e := range b.errands {
		for over := false; !over; {
			select {
			case <-e.over:
				over = true
			case <-ctx.Done():
				return
			case <-timer.C:
				left := b.kind.Patience - b.still()
				if left <= 0 {
					return
				}
				timer.Reset(left)
			}
		}
	}
}

// still is for how long none of the errands has been done.
func (b *batch[C, E, A]) still() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.stirred)
}

// flush has what is done written without waiting for the rest; the channel closes when that has happened.
func (b *batch[C, E, A]) flush() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushed = true
	written := make(chan struct{})
	if taken := b.take(); len(taken) > 0 {
		// Something waits only while another errand is worked on, so that the crew still runs.
		b.kind.Crew.running.Go(func() { defer close(written); b.write(taken) })
	} else {
		close(written)
	}
	return written
}

// write writes ends, and answers.
func (b *batch[C, E, A]) write(all []worked[E]) {
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.kind.Limit)
	defer cancel()
	endings := make([]E, len(all))
	for n, w := range all {
		endings[n] = w.ending
	}
	for n, r := range b.kind.End(ctx, endings) {
		b.end(all[n].at, Result[A]{Value: idem.Answer[A]{Value: r.Value}, Err: r.Err})
	}
}

func (b *batch[C, E, A]) end(i int, r Result[A]) {
	if _, told := errors.AsType[*rpcerr.Error](r.Err); r.Err != nil && !told {
		b.kind.Log.ErrorContext(b.ctx, "an errand failed", slog.String("method", b.kind.Method), slog.Any("error", r.Err))
	}
	b.errands[i].end(r)
}

// call is Work; its panic is an error, and the next request resumes.
func (k *Errands[C, E, A]) call(ctx context.Context, command C, claim *idem.Claim) (ending E, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return k.Work(ctx, command, claim)
}
