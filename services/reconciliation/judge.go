package reconciliation

import (
	"slices"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// rulesOf are the rules of a stage.
func rulesOf(at stage, set rules.Set) match.Rules {
	if at == stageBank {
		return set.Bank
	}
	return set.Provider
}

// acrossCurrencies looks for movements of one account and stage that are the same but for their currency. What is found stands
// with the partition of ours, in the place of what was found about the two by themselves.
func acrossCurrencies(parts []*part, set rules.Set) error {
	if len(parts) < 2 {
		return nil
	}
	leftovers, places := make([]match.Leftover, len(parts)), make([]leftPlaces, len(parts))
	for i, p := range parts {
		leftovers[i], places[i] = p.leftover()
	}
	for _, m := range match.AcrossCurrencies(leftovers, rulesOf(parts[0].stage, set)) {
		ours, theirs := parts[m.OursIn], parts[m.TheirsIn]
		o, t := places[m.OursIn].ours[m.Ours], places[m.TheirsIn].theirs[m.Theirs]
		mine, their := &ours.in.Ours[o], &theirs.in.Theirs[t]
		made := found{
			code: breaks.CurrencyMismatch, ours: []int64{mine.ID}, theirs: []int64{their.ID}, amount: -mine.Amount, day: max(mine.Day, their.Day),
		}
		var err error
		if !m.Payout.IsZero() {
			if theirs.effects[m.Payout], err = plus(theirs.effects[m.Payout], m.TheirsEffect); err != nil {
				return err
			}
			made.payout = theirs.theirs.payouts[m.Payout]
		}
		ours.mismatched = append(ours.mismatched, mismatched{payout: m.Payout, effect: m.OursEffect, row: *mine})
		ours.crossed = append(ours.crossed, made)
		ours.crossing = m.AppendCanonical(ours.crossing, leftovers)
		ours.drop(func(f match.Finding) bool { return len(f.Ours) == 1 && f.Ours[0] == o && len(f.Theirs) == 0 })
		theirs.drop(func(f match.Finding) bool { return len(f.Theirs) == 1 && f.Theirs[0] == t && len(f.Ours) == 0 })
	}
	return nil
}

// mismatched is a row of ours that is in another currency for them. The payout of its own currency is more by the effect: the one of
// that id, if there is one, and else one that is not known.
type mismatched struct {
	payout match.Token
	effect int64
	row    match.Row
}

// leftPlaces are the places of the rows of a leftover in their partition.
type leftPlaces struct{ ours, theirs []int32 }

// leftover is what the partition by itself cannot explain, with what of theirs has another code as well.
func (p *part) leftover(also ...breaks.Code) (left match.Leftover, places leftPlaces) {
	for _, f := range p.raw {
		code := f.Code
		if slices.Contains(also, code) {
			code = breaks.MissingInternally
		}
		switch code {
		case breaks.MissingAtProvider, breaks.MissingAtBank, breaks.TimingOpen:
			for _, i := range f.Ours {
				left.Ours, places.ours = append(left.Ours, p.in.Ours[i]), append(places.ours, i)
			}
		case breaks.MissingInternally, breaks.ReturnUnmatched, breaks.ChargebackUnmatched:
			for _, j := range f.Theirs {
				left.Theirs, places.theirs = append(left.Theirs, p.in.Theirs[j]), append(places.theirs, j)
			}
		}
	}
	return left, places
}

// dropOf takes the findings away that are about one of some rows, and nothing else.
func (p *part) dropOf(rows map[match.Key]bool) {
	p.drop(func(f match.Finding) bool {
		switch {
		case len(f.Ours) == 1 && len(f.Theirs) == 0:
			return rows[p.in.Ours[f.Ours[0]].Key]
		case len(f.Theirs) == 1 && len(f.Ours) == 0:
			return rows[p.in.Theirs[f.Theirs[0]].Key]
		}
		return false
	})
}

// drop takes findings away.
func (p *part) drop(which func(match.Finding) bool) { p.raw = slices.DeleteFunc(p.raw, which) }
