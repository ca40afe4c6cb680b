package groupcommit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/pg"
)

// ErrUnknown says that the write was taken into a batch and its outcome is not known to the caller: it may be
// committed now, later or never. The same write under the same key tells.
var ErrUnknown = errors.New("the outcome of the write is not known")

// ErrStopped says that the group takes no more writes; nothing was done.
var ErrStopped = errors.New("the group has stopped")

const (
	defaultMaxBatch = 256
	defaultWriters  = 2
	// queueBatches is how many batches may wait before callers are held back.
	queueBatches = 16
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
	// writes, and must then find by key what it did. An error of its own fails the whole batch.
	Apply func(ctx context.Context, tx *pg.Tx, batch []W) ([]Result[R], error)
	// MaxBatch is how many writes one transaction takes; 0 is 256.
	MaxBatch int
	// Writers is how many transactions may run at once; 0 is 2. More than one gives up the order of writes.
	Writers int
	Log     *slog.Logger
	// Meter makes tieout.groupcommit.batch.size and tieout.groupcommit.wait (seconds from hand-in to result).
	Meter metric.Meter
}

// Group gathers writes and commits them together.
type Group[W, R any] struct {
	config  Config[W, R]
	metrics metrics
	queue   chan *waiting[W, R]
	stopped chan struct{}
}

// waiting is a write and who waits for it.
type waiting[W, R any] struct {
	write  W
	result chan Result[R]
	since  time.Time
	taken  atomic.Bool // by a batch, or by its caller who gave up
}

// New makes a group; it writes while Run runs.
func New[W, R any](cfg Config[W, R]) (*Group[W, R], error) {
	cfg.MaxBatch, cfg.Writers = cmp.Or(cfg.MaxBatch, defaultMaxBatch), cmp.Or(cfg.Writers, defaultWriters)
	m, err := newMetrics(cfg.Meter, cfg.Name)
	if err != nil {
		return nil, err
	}
	return &Group[W, R]{
		config: cfg, metrics: m, stopped: make(chan struct{}),
		queue: make(chan *waiting[W, R], queueBatches*cfg.MaxBatch),
	}, nil
}

// Do hands in one write and waits for its result.
func (g *Group[W, R]) Do(ctx context.Context, write W) (R, error) {
	w, err := g.handIn(ctx, write)
	if err != nil {
		var none R
		return none, err
	}
	r := g.await(ctx, w)
	return r.Value, r.Err
}

// DoAll hands in several writes and waits for all their results, in their order.
func (g *Group[W, R]) DoAll(ctx context.Context, writes []W) []Result[R] {
	results, handed := make([]Result[R], len(writes)), make([]*waiting[W, R], len(writes))
	for i, write := range writes {
		handed[i], results[i].Err = g.handIn(ctx, write)
	}
	for i, w := range handed {
		if w != nil {
			results[i] = g.await(ctx, w)
		}
	}
	return results
}

func (g *Group[W, R]) handIn(ctx context.Context, write W) (*waiting[W, R], error) {
	w := &waiting[W, R]{write: write, result: make(chan Result[R], 1), since: time.Now()}
	select {
	case g.queue <- w:
		return w, nil
	case <-g.stopped:
		return nil, ErrStopped
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to write: %w", ctx.Err())
	}
}

func (g *Group[W, R]) await(ctx context.Context, w *waiting[W, R]) Result[R] {
	select {
	case r := <-w.result:
		return r
	case <-g.stopped:
		if w.taken.CompareAndSwap(false, true) {
			return Result[R]{Err: ErrStopped}
		}
		return <-w.result // the writers have finished what they took
	case <-ctx.Done():
		if w.taken.CompareAndSwap(false, true) {
			return Result[R]{Err: fmt.Errorf("waiting to write: %w", ctx.Err())}
		}
		return Result[R]{Err: fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())}
	}
}

// Run writes until ctx ends and what was taken is written. Writes still waiting then get ErrStopped.
func (g *Group[W, R]) Run(ctx context.Context) error {
	var writers sync.WaitGroup
	for range g.config.Writers {
		writers.Go(func() { g.write(ctx) })
	}
	writers.Wait()
	close(g.stopped)
	return nil
}

func (g *Group[W, R]) write(ctx context.Context) {
	for {
		select {
		case first := <-g.queue:
			if batch := g.gather(first); len(batch) > 0 {
				g.commit(context.WithoutCancel(ctx), batch)
			}
		case <-ctx.Done():
			return
		}
	}
}

// gather takes what is waiting behind the first write, and leaves out those whose callers have gone.
func (g *Group[W, R]) gather(first *waiting[W, R]) []*waiting[W, R] {
	var batch []*waiting[W, R]
	for next := first; ; {
		if next.taken.CompareAndSwap(false, true) {
			batch = append(batch, next)
		}
		if len(batch) == g.config.MaxBatch {
			return batch
		}
		select {
		case next = <-g.queue:
		default:
			return batch
		}
	}
}
