package reconciliation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// concluded implements sink: what a partition came to besides its matches is written in one transaction.
func (w *writer) concluded(ctx context.Context, p *part) error {
	if earlier, there := w.results[p.id]; there {
		if !bytes.Equal(earlier.Digest, p.digest) {
			return fmt.Errorf("%s came to %x, and before it came to %x: its inputs have changed", p, p.digest, earlier.Digest)
		}
		return nil
	}
	result, err := p.row(w.number)
	if err != nil {
		return err
	}
	err = pg.InTx(ctx, w.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		if err := st.hold(ctx, w.tenure); err != nil {
			return err
		}
		if err := st.q.InsertRunPartition(ctx, result); err != nil {
			return fmt.Errorf("writing the result of %s: %w", p, err)
		}
		if err := st.insertProvisional(ctx, p.provisionals(w.number)); err != nil {
			return err
		}
		err := st.q.CloseOpen(ctx, reconciliationdb.CloseOpenParams{RunNumber: w.number, Movements: p.closed})
		if err != nil {
			return fmt.Errorf("closing what was open: %w", err)
		}
		for _, c := range p.copies(w.number) {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{c.table}, c.columns, c.rows); err != nil {
				return fmt.Errorf("writing %s: %w", c.table, err)
			}
		}
		return nil
	})
	if err == nil {
		w.wrote()
	}
	return err
}

// row is the row of what a partition came to.
func (p *part) row(number int32) (reconciliationdb.InsertRunPartitionParams, error) {
	counts := map[breaks.Code]int64{}
	for _, f := range p.findings {
		counts[f.code]++
	}
	found, err := json.Marshal(counts)
	if err != nil {
		return reconciliationdb.InsertRunPartitionParams{}, fmt.Errorf("encoding what was found: %w", err)
	}
	byPass := make([]int32, 0, len(p.byPass)-1)
	for _, n := range p.byPass[match.PassStrongID:] {
		byPass = append(byPass, int32(n))
	}
	return reconciliationdb.InsertRunPartitionParams{
		RunNumber: number, PartitionID: p.id, FirstPlace: int32(p.first), Matches: int32(p.matches()), ByPass: byPass,
		Ours: int32(p.oursCount), Theirs: int32(p.theirsCount), OursMatched: int32(p.oursMatched), TheirsMatched: int32(p.theirsMatched),
		Settled: int32(p.ours.settled), Breaks: found, Digest: p.digest,
	}, nil
}

func (s store) insertProvisional(ctx context.Context, all []provisional) error {
	if len(all) == 0 {
		return nil
	}
	var matches, movements []int64
	for _, p := range all {
		matches, movements = append(matches, p.match), append(movements, p.movement)
	}
	if err := s.q.InsertProvisional(ctx, reconciliationdb.InsertProvisionalParams{Matches: matches, Movements: movements}); err != nil {
		return fmt.Errorf("writing provisional matches: %w", err)
	}
	return nil
}

// tableCopy is rows for a table.
type tableCopy struct {
	table   string
	columns []string
	rows    pgx.CopyFromSource
}

// copies are what a partition came to, table by table.
func (p *part) copies(number int32) []tableCopy {
	days, kept := p.dayRows(number), slices.Concat(p.findings, p.converted)
	for _, row := range slices.Sorted(maps.Keys(p.adjusted)) {
		kept = append(kept, p.adjusted[row])
	}
	spans := make([]span, 0, len(p.transit))
	for s := range p.transit {
		spans = append(spans, s)
	}
	return []tableCopy{
		{
			"run_finding",
			[]string{"run_number", "partition_id", "place", "code", "matched", "ours", "theirs", "amount_minor", "drift_minor", "day", "payout_id", "effect_minor", "nearest"},
			pgx.CopyFromSlice(len(kept), func(i int) ([]any, error) {
				f := kept[i]
				return []any{number, p.id, int32(i), string(f.code), f.matched, ids(f.ours), ids(f.theirs), f.amount, f.drift, dateOf(f.day), f.payout, f.effect, f.nearest}, nil
			}),
		},
		{
			"run_day", []string{"run_number", "partition_id", "ours", "kind", "day", "movements", "amount_minor", "fee_minor"},
			pgx.CopyFromRows(days),
		},
		{
			"run_transit", []string{"run_number", "partition_id", "since", "until", "legs", "amount_minor"},
			pgx.CopyFromSlice(len(spans), func(i int) ([]any, error) {
				s := spans[i]
				t := p.transit[s]
				return []any{number, p.id, dateOf(s.since), dateOf(s.until), t.legs, t.amount}, nil
			}),
		},
		{
			"open_movement", []string{"movement_id", "since_run", "partition_id"},
			pgx.CopyFromSlice(len(p.leftOpen), func(i int) ([]any, error) { return []any{p.leftOpen[i], number, p.id}, nil }),
		},
	}
}

func (p *part) dayRows(number int32) (rows [][]any) {
	for _, side := range []struct {
		half *half
		ours bool
	}{{p.ours, true}, {p.theirs, false}} {
		for key, t := range side.half.days {
			fees := t.fees
			if side.ours {
				fees = 0 // what is expected, and no fact
			}
			rows = append(rows, []any{number, p.id, side.ours, int16(key.kind), dateOf(key.day), t.movements, t.amount, fees})
		}
	}
	return rows
}

// ids is a list that is empty and not NULL for none.
func ids(all []int64) []int64 {
	if all == nil {
		return []int64{}
	}
	return all
}

// codesOf reads how often what was found, by code.
func codesOf(text []byte) ([]codeCount, error) {
	counts := map[breaks.Code]int64{}
	if err := json.Unmarshal(text, &counts); err != nil {
		return nil, fmt.Errorf("decoding what was found: %w", err)
	}
	return byCode(counts), nil
}

func byCode(counts map[breaks.Code]int64) []codeCount {
	all := make([]codeCount, 0, len(counts))
	for code, n := range counts {
		all = append(all, codeCount{code, n})
	}
	slices.SortFunc(all, func(a, b codeCount) int { return strings.Compare(string(a.code), string(b.code)) })
	return all
}
