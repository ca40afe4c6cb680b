package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// tell makes breaks of what the run has found: each partition in one transaction, a few at once, those that were told left out.
func (r *runner) tell(ctx context.Context, t tenure) error {
	results, err := newStore(r.pool).q.ListRunPartitions(ctx, t.number)
	if err != nil {
		return fmt.Errorf("reading what the run came to: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for _, result := range results {
		if !result.Told {
			p := partition{id: result.PartitionID, stage: stage(result.Stage), account: result.Account, currency: result.Currency}
			g.Go(func() error { return r.tellPartition(ctx, t, p) })
		}
	}
	return g.Wait()
}

func (r *runner) tellPartition(ctx context.Context, t tenure, p partition) error {
	sightings, err := newStore(r.pool).sightings(ctx, t.number, p)
	if err != nil {
		return err
	}
	return pg.InTx(ctx, r.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		if err := st.hold(ctx, t); err != nil {
			return err
		}
		by := watcher{name: "run", scope: fmt.Sprintf("partition/%d", p.id)}
		if _, err := r.sight(ctx, tx, by, t.number, sightings, true); err != nil {
			return fmt.Errorf("telling what was found in %s: %w", p, err)
		}
		err := st.q.SetTold(ctx, reconciliationdb.SetToldParams{RunNumber: t.number, PartitionID: p.id})
		if err != nil {
			return fmt.Errorf("writing that %s is told: %w", p, err)
		}
		return nil
	})
}

// sightings are what a run has found in a partition, as breaks are told.
func (s store) sightings(ctx context.Context, number int32, p partition) ([]sighting, error) {
	rows, err := s.q.ListFindings(ctx, reconciliationdb.ListFindingsParams{RunNumber: number, PartitionID: p.id})
	if err != nil {
		return nil, fmt.Errorf("reading what was found in %s: %w", p, err)
	}
	var about []int64
	for _, r := range rows {
		about = append(append(about, r.Ours...), r.Theirs...)
	}
	slices.Sort(about) // so that they are looked up in the order in which they lie
	movements, err := s.q.ListSighted(ctx, slices.Compact(about))
	if err != nil {
		return nil, fmt.Errorf("reading what was found in %s: %w", p, err)
	}
	byID := make(map[int64]reconciliationdb.ListSightedRow, len(movements))
	for _, m := range movements {
		byID[m.ID] = m
	}
	all := make([]sighting, len(rows))
	for i, r := range rows {
		all[i] = sighting{
			code: breaks.Code(r.Code), account: p.account, matched: r.Matched, detail: r.Nearest,
			amount: money.Amount{Currency: money.Currency(p.currency), Minor: r.AmountMinor},
		}
		for _, id := range r.Ours {
			m := byID[id]
			all[i].ours = append(all[i].ours, sighted{id, m.Key})
			if all[i].paymentID == "" && m.PaymentID != "" {
				all[i].paymentID, all[i].orderID = m.PaymentID, m.Reference
			}
		}
		for _, id := range r.Theirs {
			all[i].theirs = append(all[i].theirs, sighted{id, byID[id].Key})
		}
	}
	return all, nil
}

// outcome is what a run that has finished came to.
type outcome struct {
	matched, movements int64
	byPass             []int64
	breaks             []codeCount
}

// digest is that of a run, from what it came to in its partitions, and what it came to.
func runDigest(number int32, asOf match.Day, rules []byte, results []reconciliationdb.ListRunPartitionsRow) ([]byte, outcome, error) {
	c := newCanon()
	c.text = append(c.text, "tieout reconciliation run 1\n"...)
	c.word("run").number(int64(number)).end()
	c.word("as-of").word(dayText(asOf)).end()
	c.word("rules").bytes(rules).end()
	o := outcome{byPass: make([]int64, match.NumPasses-1)}
	counts := map[breaks.Code]int64{}
	for _, r := range results {
		c.word("partition").word(stage(r.Stage).String()).quoted(r.Account).word(r.Currency).bytes(r.Digest).end()
		o.matched += int64(r.Matches)
		o.movements += int64(r.Ours) + int64(r.Theirs)
		for pass, n := range r.ByPass {
			o.byPass[pass] += int64(n)
		}
		codes, err := codesOf(r.Breaks)
		if err != nil {
			return nil, o, err
		}
		for _, found := range codes {
			counts[found.code] += found.count
		}
	}
	o.breaks = byCode(counts)
	return c.sum(), o, nil
}

// finish ends a run of which all is written.
func (r *runner) finish(ctx context.Context, t tenure, taken reconciliationdb.TakeRunRow) error {
	by, err := newStore(r.pool).ruleSet(ctx, taken.Rules)
	if err != nil {
		return err
	}
	results, err := newStore(r.pool).q.ListRunPartitions(ctx, t.number)
	if err != nil {
		return fmt.Errorf("reading what the run came to: %w", err)
	}
	digest, o, err := runDigest(t.number, dayIn(taken.AsOf), by.hash, results)
	if err != nil {
		return err
	}
	key, err := r.signingKey(ctx)
	if err != nil {
		return err
	}
	public, signature := sign(key, digest)
	return pg.InTx(ctx, r.pool, func(tx *pg.Tx) error {
		q := newStore(tx).q
		n, err := q.FinishRun(ctx, reconciliationdb.FinishRunParams{
			Number: t.number, Epoch: t.epoch, Digest: digest, PublicKey: public, Signature: signature,
		})
		if err != nil {
			return fmt.Errorf("finishing run: %w", err)
		}
		if n == 0 {
			return errLost
		}
		if err := errors.Join(q.DropPieces(ctx, t.number), q.DropFindings(ctx, t.number)); err != nil {
			return fmt.Errorf("dropping what was needed on the way: %w", err)
		}
		tx.AfterCommit(func() { r.finished(ctx, RunID(taken.ID), o) })
		return r.outbox.Write(ctx, tx, eventRunFinished(RunID(taken.ID), t.number, dayIn(taken.AsOf), o, digest))
	})
}

// finished tells those who wait that a run has finished.
func (r *runner) finished(ctx context.Context, rid RunID, o outcome) {
	r.watchers.Notify(rid.UUID())
	st := newStore(r.pool)
	if _, err := st.db.Exec(ctx, `SELECT brin_summarize_new_values('match_pair_of_match')`); err != nil {
		r.log.InfoContext(ctx, "the legs of matches are found more slowly until the table is vacuumed", slog.Any("error", err))
	}
	made, err := st.run(ctx, rid)
	if err == nil {
		r.metrics.finished(ctx, made.endedAt.Sub(made.startedAt), o)
	}
	if err != nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "a run is not counted", slog.String("run_id", rid.String()), slog.Any("error", err))
	}
}

// cancelled undoes what a run has written, and ends it.
func (r *runner) cancelled(ctx context.Context, t tenure, rid RunID) error {
	return pg.InTx(ctx, r.pool, func(tx *pg.Tx) error {
		q := newStore(tx).q
		if err := q.LockRuns(ctx); err != nil {
			return fmt.Errorf("waiting for those who begin runs: %w", err)
		}
		for _, undo := range []func(context.Context, int32) error{
			q.UndoRunMatches, q.UndoRunResults, q.UndoRunOpen, q.UndoRunClosed, q.UndoRunUndone, q.UndoRunReopened,
			q.UndoRunTaken,
		} {
			if err := undo(ctx, t.number); err != nil {
				return fmt.Errorf("undoing run: %w", err)
			}
		}
		n, err := q.CancelledRun(ctx, reconciliationdb.CancelledRunParams{Number: t.number, Epoch: t.epoch})
		if err != nil {
			return fmt.Errorf("undoing run: %w", err)
		}
		if n == 0 {
			return errLost
		}
		tx.AfterCommit(func() { r.watchers.Notify(rid.UUID()) })
		return nil
	})
}
