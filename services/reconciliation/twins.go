package reconciliation

import (
	"context"
	"fmt"

	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// unproven gives the ids of rows that are in no match, or in one that goes by amounts alone: if they are there twice, because an
// earlier run has matched what carries the same, they must not be taken for something else.
func unproven(in *match.Input, result *match.Result) (all []int64) {
	ours, theirs := make([]bool, len(in.Ours)), make([]bool, len(in.Theirs))
	for m := range result.Matches() {
		if m.Pass > match.PassPayout && m.Pass != match.PassOwn || m.Pass == match.PassComposite && !sameReference(in, m) {
			continue
		}
		for _, i := range m.Ours {
			ours[i] = true
		}
		for _, j := range m.Theirs {
			theirs[j] = true
		}
	}
	for i, proven := range ours {
		if !proven {
			all = append(all, in.Ours[i].ID)
		}
	}
	for j, proven := range theirs {
		if !proven {
			all = append(all, in.Theirs[j].ID)
		}
	}
	return all
}

// sameReference says whether a match is of two rows with the same reference.
func sameReference(in *match.Input, m match.Match) bool {
	ours, theirs := in.Ours[m.Ours[0]].Carriers[match.CarrierReference], in.Theirs[m.Theirs[0]].Carriers[match.CarrierReference]
	return len(m.Ours) == 1 && len(m.Theirs) == 1 && ours == theirs && !ours.IsZero()
}

// twins adds the rows that earlier runs have matched and that carry what unproven rows carry. It tells whether there are any.
func (w *work) twins(ctx context.Context, p *part, result *match.Result) (bool, error) {
	if w.source.run <= 1 { // no run was before
		return false, nil
	}
	asked := unproven(&p.in, result)
	if len(asked) == 0 {
		return false, nil
	}
	found, err := newStore(w.pool).q.SettledTwins(ctx, reconciliationdb.SettledTwinsParams{
		Ids: asked, Last: matchID(w.source.run, 0), Run: w.source.run,
	})
	if err != nil {
		return false, fmt.Errorf("looking for what was matched before: %w", err)
	}
	if len(found) == 0 {
		return false, nil
	}
	for _, side := range []struct {
		ours bool
		rows *[]match.Row
	}{{true, &p.in.Ours}, {false, &p.in.Theirs}} {
		l := &loader{ours: side.ours, halves: map[partitionID]*half{p.id: newHalf(p.partition, int64(len(found)))}, tokens: w.tokens, seen: func(int) {}}
		if err := l.load(ctx, w.pool, rowsOf(found, side.ours, p.id)); err != nil {
			return false, err
		}
		for _, row := range l.halves[p.id].rows {
			row.Standing = match.Settled
			*side.rows = append(*side.rows, row)
			p.settledKeys = append(p.settledKeys, row.Key)
		}
	}
	return true, nil
}
