package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tieout/tieout/pkg/pg"
)

const (
	// applyLimit is how long the statements of one batch may take.
	applyLimit = 30 * time.Second
	// resolveLimit is how long a batch whose COMMIT got no answer is tried again.
	resolveLimit = 10 * time.Second
	resolveEvery = 100 * time.Millisecond
)

// commit writes a batch and wakes its callers.
func (g *Group[W, R]) commit(ctx context.Context, batch []*waiting[W, R]) {
	g.metrics.gathered(ctx, len(batch))
	results, err := g.resolve(ctx, batch)
	switch {
	case err == nil:
		for i, w := range batch {
			g.answer(ctx, w, results[i])
		}
	case len(batch) > 1 && blamesAWrite(err):
		g.config.Log.WarnContext(ctx, "batch failed, writing one by one",
			slog.String("group", g.config.Name), slog.Int("writes", len(batch)), slog.Any("error", err))
		for i := range batch {
			g.commit(ctx, batch[i:i+1])
		}
	default:
		for _, w := range batch {
			g.answer(ctx, w, Result[R]{Err: err})
		}
	}
}

func (g *Group[W, R]) answer(ctx context.Context, w *waiting[W, R], r Result[R]) {
	g.metrics.answered(ctx, time.Since(w.since))
	w.result <- r
}

// resolve writes a batch; while it is not known whether it is committed, it does so again.
func (g *Group[W, R]) resolve(ctx context.Context, batch []*waiting[W, R]) ([]Result[R], error) {
	deadline := time.Now().Add(resolveLimit)
	for unknown := false; ; {
		results, err := g.try(ctx, batch)
		switch {
		case err == nil:
			return results, nil
		case errors.Is(err, pg.ErrNotReplicated):
			return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
		case errors.Is(err, pg.ErrCommitUnknown):
			unknown = true
			g.config.Log.WarnContext(ctx, "outcome of the commit is unknown, looking it up", slog.String("group", g.config.Name), slog.Any("error", err))
		case !unknown:
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		time.Sleep(resolveEvery)
	}
}

func (g *Group[W, R]) try(ctx context.Context, batch []*waiting[W, R]) (results []Result[R], err error) {
	ctx, cancel := context.WithTimeout(ctx, applyLimit)
	defer cancel()
	writes := make([]W, len(batch))
	for i, w := range batch {
		writes[i] = w.write
	}
	err = pg.InTx(ctx, g.config.Pool, func(tx *pg.Tx) (err error) {
		results, err = g.apply(ctx, tx, writes)
		return err
	})
	return results, err
}

// apply runs Apply; its panic is an error of the batch, and so is a wrong number of results.
func (g *Group[W, R]) apply(ctx context.Context, tx *pg.Tx, writes []W) (results []Result[R], err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p}
		}
	}()
	results, err = g.config.Apply(ctx, tx, writes)
	if err == nil && len(results) != len(writes) {
		err = &panicked{fmt.Sprintf("%d results for %d writes", len(results), len(writes))}
	}
	return results, err
}

// panicked is a mistake in Apply.
type panicked struct{ what any }

// Error says what it was.
func (p *panicked) Error() string { return fmt.Sprintf("applying batch: %v", p.what) }

// blamesAWrite tells whether an error may be the fault of one write: the database refused something, or Apply did.
// A connection that broke is nobody's fault, and trying 256 times more would not mend it.
func blamesAWrite(err error) bool {
	if errors.Is(err, ErrUnknown) || pgconn.Timeout(err) {
		return false
	}
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		class := refusal.Code[:2]
		return class != "57" && class != "53" && class != "08" // shut down, out of resources, connection
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return !connecting && !pgconn.SafeToRetry(err)
}
