package reconciliation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// work is one matching of all that a source has: a run, a run again to verify it, or a simulation. What it comes to depends on
// the movements and the rules alone.
type work struct {
	pool   *pgxpool.Pool
	source source
	rules  rules.Set
	asOf   match.Day
	into   sink
	// also are partitions that are looked at though nothing is in them: something was found there before.
	also []partitionID
	// seen is told how many more rows were read.
	seen func(rows int)

	tokens tokens
	place  int64 // of the next match in the run
}

// sink takes what a work comes to.
type sink interface {
	// done says whether all that the partitions of an account come to is there already, and how many matches they have.
	done(account []*part) (matches int64, done bool)
	// matches takes the matches of a partition, in the order of their places in the run. What they come to is noted meanwhile.
	matches(ctx context.Context, p *part) error
	// concluded takes what a partition came to, after its matches.
	concluded(ctx context.Context, p *part) error
}

// do matches everything: account by account, because what is found about the lines of payouts is needed to match the payouts.
func (w *work) do(ctx context.Context) error {
	w.tokens, w.place = newTokens(), 1
	all, err := w.parts(ctx)
	if err != nil {
		return err
	}
	for account := range chunkBy(all, func(p *part) string { return p.account }) {
		if matches, done := w.into.done(account); done {
			w.place += matches
			continue
		}
		if err := w.account(ctx, account); err != nil {
			return err
		}
	}
	return nil
}

// chunkBy gives the runs of elements that have the same key.
func chunkBy[E any, K comparable](all []E, key func(E) K) iter.Seq[[]E] {
	return func(yield func([]E) bool) {
		for len(all) > 0 {
			n := 1
			for n < len(all) && key(all[n]) == key(all[0]) {
				n++
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// parts gives the partitions that there is something in, by account, stage and currency, with the number of their inputs.
func (w *work) parts(ctx context.Context) ([]*part, error) {
	partitions, err := newStore(w.pool).partitions(ctx)
	if err != nil {
		return nil, err
	}
	byID := map[partitionID]*part{}
	at := func(place partitionID) (*part, error) {
		p, known := partitions[place]
		if !known {
			return nil, fmt.Errorf("there are movements of partition %d, and no such partition", place)
		}
		if byID[place] == nil {
			byID[place] = &part{partition: p}
		}
		return byID[place], nil
	}
	for _, place := range w.also {
		if _, err := at(place); err != nil {
			return nil, err
		}
	}
	rows, err := w.pool.Query(ctx, w.source.counts())
	if err != nil {
		return nil, fmt.Errorf("counting movements: %w", err)
	}
	var place partitionID
	var ours bool
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&place, &ours, &n}, func() error {
		p, err := at(place)
		if err != nil {
			return err
		}
		if ours {
			p.oursCount = n
		} else {
			p.theirsCount = n
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("counting movements: %w", err)
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b *part) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.stage, b.stage), cmp.Compare(a.currency, b.currency))
	}), nil
}

// account matches an account: at the provider, then across currencies, then at the bank. What partitions come to is stored while it
// is noted, and while those that follow are matched.
func (w *work) account(ctx context.Context, parts []*part) error {
	if err := w.load(ctx, parts); err != nil {
		return err
	}
	split := slices.IndexFunc(parts, func(p *part) bool { return p.stage == stageBank })
	if split < 0 {
		split = len(parts)
	}
	provider, bank := parts[:split], parts[split:]
	g, ctx := errgroup.WithContext(ctx)
	begun := make(chan *part, len(parts))
	g.Go(func() error {
		defer close(begun)
		for _, side := range [][]*part{provider, bank} {
			if len(side) == 0 {
				continue
			}
			if err := w.side(ctx, side, provider, begun); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error { return w.store(ctx, begun) })
	return g.Wait()
}

// side matches the partitions of one stage of an account.
func (w *work) side(ctx context.Context, side, provider []*part, begun chan<- *part) error {
	for _, p := range side {
		if p.stage == stageBank {
			if err := w.adjust(ctx, p, provider); err != nil {
				return err
			}
		}
		if err := w.match(ctx, p); err != nil {
			return fmt.Errorf("matching %s: %w", p, err)
		}
	}
	if err := converted(side, w.rules, w.asOf); err != nil {
		return err
	}
	if err := acrossCurrencies(side, w.rules); err != nil {
		return err
	}
	for _, p := range side {
		p.begin(w.place)
		w.place += p.matches()
		begun <- p
	}
	for _, p := range side {
		if err := p.note(); err != nil {
			return fmt.Errorf("noting what %s comes to: %w", p, err)
		}
		if err := p.conclude(w.asOf, w.rules.RefusedDays); err != nil {
			return fmt.Errorf("concluding %s: %w", p, err)
		}
		close(p.noted)
	}
	return nil
}

// store hands on what partitions come to, and lets their rows go.
func (w *work) store(ctx context.Context, begun <-chan *part) error {
	for p := range begun {
		if err := w.into.matches(ctx, p); err != nil {
			return err
		}
		select {
		case <-p.noted:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := w.into.concluded(ctx, p); err != nil {
			return err
		}
		p.release()
	}
	return nil
}

// load reads the rows of partitions, both sides at once: few of them are the bank's, and the database looks at all movements in any case.
func (w *work) load(ctx context.Context, parts []*part) error {
	ours := &loader{ours: true, halves: map[partitionID]*half{}, tokens: w.tokens, seen: w.seen}
	theirs := &loader{halves: map[partitionID]*half{}, tokens: w.tokens, seen: w.seen}
	places := make([]partitionID, len(parts))
	for i, p := range parts {
		places[i] = p.id
		p.ours, p.theirs = newHalf(p.partition, p.oursCount), newHalf(p.partition, p.theirsCount)
		p.ours.terms = w.rules.Terms(match.Stage(p.stage.String()), p.account, p.currency)
		ours.halves[p.id], theirs.halves[p.id] = p.ours, p.theirs
	}
	g, loading := errgroup.WithContext(ctx)
	for _, l := range []*loader{ours, theirs} {
		g.Go(func() error { return l.load(loading, w.pool, w.source.rows(l.ours, places)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, p := range parts {
		p.oursCount, p.theirsCount = int64(len(p.ours.rows)), int64(len(p.theirs.rows))
	}
	return nil
}

// match matches a partition by itself.
func (w *work) match(ctx context.Context, p *part) error {
	p.in.Ours, p.in.Theirs = p.ours.rows, p.theirs.rows
	texts := &texts{pool: w.pool, ctx: ctx}
	p.in.AsOf, p.in.Texts, p.in.Progress = w.asOf, texts.of, func(_, _ int64) bool { return ctx.Err() == nil }
	result, err := match.Run(p.in, rulesOf(p.stage, w.rules))
	if err != nil {
		return errors.Join(err, texts.err)
	}
	again, err := w.twins(ctx, p, &result)
	if err == nil && again {
		result, err = match.Run(p.in, rulesOf(p.stage, w.rules))
	}
	if err := errors.Join(err, texts.err); err != nil {
		return err
	}
	p.decided(result)
	return nil
}

// adjust says of payouts by how much they are off, as the provider stage has it, in this work and in earlier runs; and which
// movements the provider misses.
func (w *work) adjust(ctx context.Context, p *part, provider []*part) error {
	effects, refused := map[match.Token]int64{}, map[match.Token]int64{}
	for _, of := range provider {
		if of.currency == p.currency {
			maps.Copy(effects, of.effects)
			maps.Copy(refused, of.refused)
			p.in.Stray = of.strays
			for _, m := range of.mismatched {
				if _, known := p.ours.payouts[m.payout]; !known {
					p.in.Stray = append(p.in.Stray, m.row)
					continue
				}
				var err error
				if effects[m.payout], err = plus(effects[m.payout], m.effect); err != nil {
					return fmt.Errorf("payouts of %s: %w", p, err)
				}
			}
		}
	}
	earlier, err := newStore(w.pool).earlierEffects(ctx, w.source, p.partition, slices.Collect(maps.Values(p.ours.payouts)))
	if err != nil {
		return err
	}
	for payout, effect := range earlier {
		token := w.tokens.of([]byte(payout))
		if effects[token], err = plus(effects[token], effect); err != nil {
			return fmt.Errorf("payout %s of %s: %w", payout, p, err)
		}
	}
	if err := adjustRows(p.ours.rows, effects, refused); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	return nil
}

// adjustRows puts what payouts are off, and what of it is refused, with their rows. Of a payout that has several rows, the first one by
// key has all of it: they are added up, and the digest is the same in whatever order they were loaded.
func adjustRows(rows []match.Row, effects, refused map[match.Token]int64) error {
	var payouts []*match.Row
	for i := range rows {
		if rows[i].Kind == match.KindPayout {
			payouts = append(payouts, &rows[i])
		}
	}
	slices.SortFunc(payouts, func(a, b *match.Row) int { return compareKeys(a.Key, b.Key) })
	for _, row := range payouts {
		payout := row.Carriers[match.CarrierPayout]
		row.Adjust, row.Refused = effects[payout], refused[payout]
		delete(effects, payout)
		delete(refused, payout)
		adjusted, err := plus(row.Amount, row.Adjust)
		if err == nil {
			_, err = plus(adjusted, row.Refused)
		}
		if err != nil {
			return fmt.Errorf("payout %s: %w", movementIDOf(row.Key), err)
		}
	}
	return nil
}

// texts are what rows say in words.
type texts struct {
	pool *pgxpool.Pool
	ctx  context.Context // of the work: what asks has none
	err  error           // that ends the work
}

// of gives the texts of rows.
func (t *texts) of(rows []match.Row) []string {
	all, ids, byID := make([]string, len(rows)), make([]int64, len(rows)), make(map[int64]int, len(rows))
	for i, row := range rows {
		ids[i], byID[row.ID] = row.ID, i
	}
	found, err := newStore(t.pool).q.MovementTexts(t.ctx, ids)
	if err != nil {
		t.err = errors.Join(t.err, fmt.Errorf("reading the texts of movements: %w", err))
	}
	for _, m := range found {
		all[byID[m.ID]] = m.Text
	}
	return all
}
