package groupcommit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// ErrUnknown says that the write was taken into a batch and its outcome is not known to the caller: it may be
// committed now, later or never. The same write under the same key tells.
var ErrUnknown = errors.New("the outcome of the write is not known")

// ErrStopped says that the group takes no more writes; nothing was done. A client is told SHUTTING_DOWN.
var ErrStopped error = rpcerr.New(rpcerr.ShuttingDown, "the service is stopping; nothing was done")

// ErrAgain is for Apply to say that somebody else wrote first what it was about to write, under the same key: the
// batch is rolled back and applied again, and finds it.
var ErrAgain = errors.New("somebody else was first")

const (
	defaultMaxBatch = 256
	defaultWriters  = 2
)

// Result is what came of one write.
type Result[R any] struct {
	Value R
	// Err is the refusal of this write, or what kept it from being written.
	Err error
}

// Config is what a group is made of.
type Config[W, R any] struct {
	// Name names the group in logs and metrics.
	Name string
	Pool *pgxpool.Pool
	// Apply writes a batch in tx and gives a result for each write, in their order. It may run again for the same
	// writes, and must then find by key what it did. An error of its own fails the whole batch. Its statements find rows by
	// key, as [pg.InTxByKey] says.
	Apply func(ctx context.Context, tx *pg.Tx, batch []W) ([]Result[R], error)
	// MaxBatch is at how many writes a batch is full; 0 is 256. What was handed in together is not parted for it, so
	// that a batch may have up to twice as many.
	MaxBatch int
	// Writers is how many transactions may run at once; 0 is 2. Those beside the first begin when a full batch waits: what
	// waits while one runs costs less in one batch than in several. More than one gives up the order of writes.
	Writers int
	// Gap is the least time from the start of a writer's transaction to that of its next, unless a batch is full: for writes that
	// somebody hands in who does not mind, so that fewer transactions do. 0 for no more than a busy writer rests anyway.
	Gap time.Duration
	// Log is where batches that fail are reported; nil discards.
	Log *slog.Logger
	// Meter makes the metrics tieout.groupcommit.batch.size, .wait and .waiting; nil discards.
	Meter metric.Meter
	// Tracer makes a span of the commit for each write that is Traced, in the trace of the write; nil makes none.
	Tracer trace.Tracer
}

// Group gathers writes and commits them together.
type Group[W, R any] struct {
	config  Config[W, R]
	metrics metrics
	waiting chan *bundle[W, R] // without a buffer: what is sent is taken into a batch
	pending atomic.Int64       // writes that wait for a batch
	full    chan struct{}      // says that a batch's worth of them does
	stopped chan struct{}
}

// bundle is what one caller hands in together.
type bundle[W, R any] struct {
	writes []W
	since  time.Time
	span   trace.SpanContext // the caller's
	done   chan struct{}     // closed when all results are there

	// Of the writer alone until done is closed.
	results []Result[R]
	missing int
}

// New makes a group; it writes while Run runs.
func New[W, R any](cfg Config[W, R]) (*Group[W, R], error) {
	cfg.MaxBatch, cfg.Writers = cmp.Or(cfg.MaxBatch, defaultMaxBatch), cmp.Or(cfg.Writers, defaultWriters)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Meter == nil {
		cfg.Meter = noop.Meter{}
	}
	m, err := newMetrics(cfg.Meter, cfg.Name)
	if err != nil {
		return nil, err
	}
	return &Group[W, R]{config: cfg, metrics: m, waiting: make(chan *bundle[W, R]), full: make(chan struct{}, 1), stopped: make(chan struct{})}, nil
}

// Do hands in one write and waits for its result.
func (g *Group[W, R]) Do(ctx context.Context, write W) (R, error) {
	r := g.handIn(ctx, []W{write})[0]
	return r.Value, r.Err
}

// DoAll hands in several writes and waits for all their results, in their order. They share a batch, unless they are
// more than one batch takes.
func (g *Group[W, R]) DoAll(ctx context.Context, writes []W) []Result[R] {
	results := make([]Result[R], 0, len(writes))
	for together := range slices.Chunk(writes, g.config.MaxBatch) {
		results = append(results, g.handIn(ctx, together)...)
	}
	return results
}

func (g *Group[W, R]) handIn(ctx context.Context, writes []W) []Result[R] {
	n := len(writes)
	b := &bundle[W, R]{
		writes: writes, since: time.Now(), span: trace.SpanContextFromContext(ctx), done: make(chan struct{}), results: make([]Result[R], n), missing: n,
	}
	if err := g.send(ctx, b); err != nil {
		return failed[R](n, err)
	}
	select {
	case <-b.done:
		return b.results
	case <-ctx.Done():
	}
	select {
	case <-b.done: // both at once
		return b.results
	default:
		return failed[R](n, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err()))
	}
}

// send returns nil when a batch has taken the bundle; after an error none will.
func (g *Group[W, R]) send(ctx context.Context, b *bundle[W, R]) error {
	g.metrics.begins(ctx)
	defer g.metrics.ends(ctx)
	n := int64(len(b.writes))
	if g.pending.Add(n) >= int64(g.config.MaxBatch) {
		select {
		case g.full <- struct{}{}:
		default:
		}
	}
	err := ErrStopped
	select {
	case g.waiting <- b:
		return nil
	case <-g.stopped:
	case <-ctx.Done():
		err = fmt.Errorf("waiting to write: %w", ctx.Err())
	}
	g.pending.Add(-n)
	return err
}

func failed[R any](n int, err error) []Result[R] {
	return slices.Repeat([]Result[R]{{Err: err}}, n)
}

// Run writes until ctx ends and what was taken is written. Who then still waits gets ErrStopped. It runs once.
func (g *Group[W, R]) Run(ctx context.Context) error {
	var writers sync.WaitGroup
	writers.Go(func() { g.write(ctx) })
	for range g.config.Writers - 1 {
		writers.Go(func() { g.relieve(ctx) })
	}
	writers.Wait()
	close(g.stopped)
	return nil
}

func (g *Group[W, R]) write(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case first := <-g.waiting:
			began, batch := time.Now(), g.gather(first)
			g.commit(ctx, batch, false)
			g.rest(ctx, restAfter(len(batch), time.Since(began), g.config.Gap))
		case <-ctx.Done():
		}
	}
}

// restAfter is how long a writer rests after so many writes: as long as they took, so that a busy machine makes fewer transactions of
// more writes. Not after one that was alone: nobody is coming, and a caller who goes on with the next would wait for nothing.
func restAfter(writes int, took, gap time.Duration) time.Duration {
	if writes == 1 {
		return gap - took
	}
	return max(gap-took, periodic.Rest(took))
}

// rest waits for a time, or until a batch is full.
func (g *Group[W, R]) rest(ctx context.Context, rest time.Duration) {
	if rest > 0 { // else a writer that is called for by a full batch would not hear it
		periodic.Await(ctx, rest, g.full)
	}
}

// relieve writes beside others what fills a batch by itself.
func (g *Group[W, R]) relieve(ctx context.Context) {
	for {
		select {
		case <-g.full:
		case <-ctx.Done():
			return
		}
		for g.pending.Load() >= int64(g.config.MaxBatch) && ctx.Err() == nil {
			select {
			case first := <-g.waiting:
				g.commit(ctx, g.gather(first), false)
			case <-ctx.Done():
			}
		}
	}
}

// item is one write of a batch.
type item[W, R any] struct {
	of *bundle[W, R]
	at int
}

func (i item[W, R]) write() W { return i.of.writes[i.at] }

// gather takes what is waiting behind the first.
func (g *Group[W, R]) gather(first *bundle[W, R]) []item[W, R] {
	batch := make([]item[W, R], 0, len(first.writes))
	for next := first; ; {
		g.pending.Add(-int64(len(next.writes)))
		for at := range next.writes {
			batch = append(batch, item[W, R]{next, at})
		}
		if len(batch) >= g.config.MaxBatch {
			return batch
		}
		select {
		case next = <-g.waiting:
		default:
			return batch
		}
	}
}

// Traced is a write that belongs to a trace.
type Traced interface {
	// Trace is the W3C trace context that the write is part of; empty for none.
	Trace() string
}

// answer gives a write its result, and wakes the caller with the last one of its bundle.
func (g *Group[W, R]) answer(ctx context.Context, i item[W, R], r Result[R]) {
	b := i.of
	b.results[i.at] = r
	if b.missing--; b.missing == 0 {
		g.metrics.answered(trace.ContextWithSpanContext(ctx, b.span), time.Since(b.since))
		close(b.done)
	}
}
