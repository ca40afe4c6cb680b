package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tieout/tieout/pkg/failpoint"
	"github.com/tieout/tieout/pkg/pg"
)

const (
	// applyLimit is how long the statements of one batch may take.
	applyLimit = 10 * time.Second
	// settleLimit is how long a batch is tried again: its callers do not wait longer.
	settleLimit = 10 * time.Second
	// settleEvery is the pause before a COMMIT that got no answer is looked up: the server may have to come back.
	settleEvery = 100 * time.Millisecond
)

// commit writes a batch and answers its callers. A batch that fails through one of its writes is halved until that
// write is alone. Uncertain says that a COMMIT with these writes got no answer: then a failure is no proof that they
// are not written.
func (g *Group[W, R]) commit(ctx context.Context, batch []item[W, R], uncertain bool) {
	begun := time.Now()
	results, uncertain, err := g.settle(ctx, batch, uncertain)
	if err == nil {
		g.trace(batch, results, begun)
		for i, w := range batch {
			g.answer(ctx, w, results[i])
		}
		failpoint.Hit(failpoint.After, "groupcommit", g.config.Name)
		return
	}
	if len(batch) > 1 && blamesAWrite(err) {
		g.log(ctx, slog.LevelWarn, "a batch failed and is halved", batch, err)
		half := len(batch) / 2
		g.commit(ctx, batch[:half], uncertain)
		g.commit(ctx, batch[half:], uncertain)
		return
	}
	if uncertain && !errors.Is(err, ErrUnknown) {
		err = fmt.Errorf("%w: %v", ErrUnknown, err) // not wrapped: what the last try met is not what came of the write
	}
	g.log(ctx, slog.LevelError, "a batch failed", batch, err)
	for _, w := range batch {
		g.answer(ctx, w, Result[R]{Err: err})
	}
}

// settle writes a batch, and does so again while somebody else is in the way or a COMMIT has got no answer; it gives
// up when the group stops. What it gives as uncertain goes on from what it is given.
func (g *Group[W, R]) settle(ctx context.Context, batch []item[W, R], uncertain bool) ([]Result[R], bool, error) {
	giveUp := time.Now().Add(settleLimit)
	for {
		results, err := g.try(ctx, batch)
		pause := settleEvery
		switch {
		case err == nil:
			return results, false, nil
		case errors.Is(err, pg.ErrNotReplicated): // finding it would prove nothing
			return nil, uncertain, fmt.Errorf("%w: %w", ErrUnknown, err)
		case errors.Is(err, pg.ErrCommitUnknown):
			uncertain = true
			g.log(ctx, slog.LevelWarn, "a COMMIT got no answer and is looked up", batch, err)
		case othersWereFirst(err):
			pause = 0
			g.log(ctx, slog.LevelDebug, "a batch is applied again", batch, err)
		case !uncertain || blamesAWrite(err):
			return nil, uncertain, err
		}
		if time.Now().After(giveUp) {
			return nil, uncertain, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, uncertain, err
		}
	}
}

// try applies a batch in one transaction. What was begun is finished, also when the group stops.
func (g *Group[W, R]) try(ctx context.Context, batch []item[W, R]) (results []Result[R], err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyLimit)
	defer cancel()
	writes := make([]W, len(batch))
	for i, w := range batch {
		writes[i] = w.write()
	}
	failpoint.Hit(failpoint.Before, "groupcommit", g.config.Name)
	err = pg.InTxByKey(ctx, g.config.Pool, func(tx *pg.Tx) (err error) {
		results, err = g.apply(ctx, tx, writes)
		failpoint.Hit(failpoint.Inside, "groupcommit", g.config.Name)
		if failpoint.Planted(failpoint.AcknowledgeEarly) {
			g.acknowledgeEarly(ctx, batch, results)
		}
		return err
	})
	if err == nil {
		failpoint.Hit(failpoint.Unseen, "groupcommit", g.config.Name)
		g.metrics.committed(ctx, len(batch))
	}
	return results, err
}

// acknowledgeEarly is the planted defect: callers are told that a batch is written, and its COMMIT never comes.
func (g *Group[W, R]) acknowledgeEarly(ctx context.Context, batch []item[W, R], results []Result[R]) {
	for i, w := range batch {
		g.answer(ctx, w, results[i])
	}
	go g.write(context.WithoutCancel(ctx)) // in place of this writer
	select {}
}

// apply runs Apply; its panic is an error of the batch, and so is a wrong number of results.
func (g *Group[W, R]) apply(ctx context.Context, tx *pg.Tx, writes []W) (results []Result[R], err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("applying batch: panic: %v", p)
		}
	}()
	results, err = g.config.Apply(ctx, tx, writes)
	if err == nil && len(results) != len(writes) {
		err = fmt.Errorf("applying batch: %d results for %d writes", len(results), len(writes))
	}
	return results, err
}

func (g *Group[W, R]) log(ctx context.Context, level slog.Level, message string, batch []item[W, R], err error) {
	g.config.Log.LogAttrs(ctx, level, message,
		slog.String("group", g.config.Name), slog.Int("writes", len(batch)), slog.Any("error", err))
}

// othersWereFirst tells whether the same batch may well succeed at once: Apply or the database says that another
// transaction was in the way.
func othersWereFirst(err error) bool {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	return errors.Is(err, ErrAgain) || ok && (refusal.Code == "40001" || refusal.Code == "40P01") // serialization, deadlock
}

// blamesAWrite tells whether an error may be the fault of one write: the database refused something, or Apply did.
// That the database is away or slow is nobody's fault, and trying many times more would not mend it.
func blamesAWrite(err error) bool {
	if errors.Is(err, ErrUnknown) || errors.Is(err, pg.ErrCommitUnknown) || errors.Is(err, context.DeadlineExceeded) ||
		othersWereFirst(err) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) {
		return false
	}
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		class := refusal.Code[:2]
		return class != "57" && class != "53" && class != "08" // shut down, out of resources, connection
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return !connecting
}
