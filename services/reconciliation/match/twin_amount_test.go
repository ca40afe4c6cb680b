package match_test

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
)

// share says whether two rows of a kind carry the same somewhere.
func (w *twin) share(o, t int) bool {
	r := w.relate(o, t)
	return w.oursOf(o).Kind == w.theirsOf(t).Kind && (r.id || r.shared)
}

func (w *twin) duplicates() {
	isOpen := func(s state, row match.Row) bool { return s == stateOpen && row.Standing == match.Booked }
	isTaken := func(s state, row match.Row) bool { return s == stateMatched || row.Standing == match.Settled }
	_, theirs := w.open(false)
	for _, t := range theirs {
		first, blocked := -1, false
		for o := range w.in.Ours {
			r := w.relate(o, t)
			switch {
			case !w.share(o, t) || w.oursOf(o).Amount != w.theirsOf(t).Amount:
			case isOpen(w.ours[o], w.oursOf(o)):
				blocked = true
			case first < 0 && isTaken(w.ours[o], w.oursOf(o)) && (r.id || within(w.rules.Wide, w.oursOf(o), w.theirsOf(t))):
				first = o
			}
		}
		if first >= 0 && !blocked {
			w.find(breaks.DuplicateExternal, []int{first}, []int{t}, w.theirsOf(t).Amount)
		}
	}
	ours, _ := w.open(false)
	for _, o := range ours {
		first, blocked := -1, false
		for t := range w.in.Theirs {
			switch r := w.relate(o, t); {
			case !w.share(o, t) || w.oursOf(o).Amount != w.theirsOf(t).Amount:
			case isOpen(w.theirs[t], w.theirsOf(t)):
				blocked = true
			case first < 0 && isTaken(w.theirs[t], w.theirsOf(t)) && r.id && r.tied():
				first = t
			}
		}
		if first >= 0 && !blocked {
			w.find(breaks.DuplicateInternal, []int{o}, []int{first}, -w.oursOf(o).Amount)
		}
	}
}

func (w *twin) composite() {
	for _, places := range [][2]match.Carrier{
		{match.CarrierReference, match.CarrierReference}, {match.CarrierReference, match.CarrierKey}, {match.CarrierReference, match.CarrierID},
		{match.CarrierKey, match.CarrierReference}, {match.CarrierKey, match.CarrierID},
	} {
		w.alone(func(o, t match.Row) bool {
			return !o.Carriers[places[0]].IsZero() && o.Carriers[places[0]] == t.Carriers[places[1]] && o.Kind == t.Kind && o.Amount == t.Amount
		}, func(o, t int) {
			if !w.relate(o, t).otherID && within(w.rules.Wide, w.oursOf(o), w.theirsOf(t)) {
				w.match(match.PassComposite, []int{o}, []int{t})
			}
		})
	}
	sameAmount := func(a, b match.Row) bool { return a.Kind == b.Kind && a.Amount == b.Amount }
	ours, theirs := w.open(false)
	var pairs [][2]int
	w.alone(func(o, t match.Row) bool { return sameAmount(o, t) && o.Day == t.Day }, func(o, t int) {
		rival := slices.ContainsFunc(theirs, func(other int) bool {
			return other != t && sameAmount(w.oursOf(o), w.theirsOf(other)) && within(w.rules.Window, w.oursOf(o), w.theirsOf(other))
		}) || slices.ContainsFunc(ours, func(other int) bool {
			return other != o && sameAmount(w.oursOf(other), w.theirsOf(t)) && within(w.rules.Window, w.oursOf(other), w.theirsOf(t))
		})
		if w.relate(o, t).possible() && (w.rules.Closest || !rival) {
			pairs = append(pairs, [2]int{o, t})
		}
	})
	for _, p := range pairs {
		w.match(match.PassComposite, []int{p[0]}, []int{p[1]})
	}
}

// alone visits the pairs of open rows that are alike, and like no other.
func (w *twin) alone(alike func(o, t match.Row) bool, visit func(o, t int)) {
	ours, theirs := w.open(false)
	for _, o := range ours {
		for _, t := range theirs {
			like := 0
			for _, other := range theirs {
				like += b2i(alike(w.oursOf(o), w.theirsOf(other)))
			}
			for _, other := range ours {
				like += b2i(alike(w.oursOf(other), w.theirsOf(t)))
			}
			if like == 2 && alike(w.oursOf(o), w.theirsOf(t)) {
				visit(o, t)
			}
		}
	}
}

func (w *twin) near(o, t int) bool {
	ours, theirs := w.oursOf(o), w.theirsOf(t)
	off, size := theirs.Amount-ours.Amount, max(ours.Amount, -ours.Amount)
	return ours.Kind == theirs.Kind && max(off, -off) <= w.rules.Tolerance.Minor+size*w.rules.Tolerance.BasisPoints/10_000 &&
		within(w.rules.Window, ours, theirs) && w.relate(o, t).possible()
}

func (w *twin) window() {
	if !slices.Contains(w.rules.Passes, match.PassWindow) {
		return
	}
	ours, theirs := w.open(false)
	split(ours, theirs, w.near, func(ours, theirs []int) {
		pairs := [][2]int{{ours[0], theirs[0]}}
		if len(ours)+len(theirs) > 2 {
			pairs = nil
			if w.rules.Closest {
				pairs = w.cheapest(ours, theirs)
			}
		}
		if pairs == nil {
			w.find(breaks.Ambiguous, ours, theirs, w.off(ours, theirs))
		}
		for _, p := range pairs {
			w.match(match.PassWindow, p[:1], p[1:])
			if off := w.off(p[:1], p[1:]); off != 0 {
				w.say(string(amountCode(off))+"*", p[:1], p[1:], off)
			}
		}
	})
}

// cheapest tries all ways to give as many rows as can be to each other, and returns the only one with the least cost.
func (w *twin) cheapest(ours, theirs []int) (best [][2]int) {
	var pairs [][2]int
	least, ways := int64(-1), 0
	var give func(i int)
	give = func(i int) {
		if i == len(ours) {
			cost := int64(len(ours)-len(pairs)) << 40
			for _, p := range pairs {
				o, t := w.oursOf(p[0]), w.theirsOf(p[1])
				cost += max(o.Amount-t.Amount, t.Amount-o.Amount)<<20 + int64(max(o.Day-t.Day, t.Day-o.Day))
			}
			if least < 0 || cost < least {
				least, ways = cost, 0
			}
			if cost == least {
				ways++
				best = slices.Clone(pairs)
			}
			return
		}
		give(i + 1)
		for _, t := range theirs {
			if w.near(ours[i], t) && !slices.ContainsFunc(pairs, func(p [2]int) bool { return p[1] == t }) {
				pairs = append(pairs, [2]int{ours[i], t})
				give(i + 1)
				pairs = pairs[:len(pairs)-1]
			}
		}
	}
	give(0)
	if ways > 1 {
		return nil
	}
	return best
}

// sums are rows of one side and rows of the other that come to the same.
type sums struct{ ours, theirs []int }

// subsets are the ways to come to an amount with a number of rows.
func subsets(amount int64, among []int, rows []match.Row, most int) (found [][]int) {
	for of := range 1 << len(among) {
		var parts []int
		for i, at := range among {
			if of>>i&1 == 1 {
				parts = append(parts, at)
			}
		}
		if len(parts) > 1 && len(parts) <= most && sumOf(rows, parts) == amount {
			found = append(found, parts)
		}
	}
	return found
}

// linkedSubsets tries all subsets of each side for each row of the other.
func (w *twin) linkedSubsets(p match.Pair, ours, theirs []int) {
	var all []sums
	several := false
	for _, o := range ours {
		tied := slices.DeleteFunc(slices.Clone(theirs), func(t int) bool { return !w.ties(p, o, t) })
		found := subsets(w.oursOf(o).Amount, tied, w.in.Theirs, len(tied))
		several = several || len(found) > 1
		for _, parts := range found {
			all = append(all, sums{[]int{o}, parts})
		}
	}
	for _, t := range theirs {
		tied := slices.DeleteFunc(slices.Clone(ours), func(o int) bool { return !w.ties(p, o, t) })
		found := subsets(w.theirsOf(t).Amount, tied, w.in.Ours, len(tied))
		several = several || len(found) > 1
		for _, parts := range found {
			all = append(all, sums{parts, []int{t}})
		}
	}
	if several {
		w.find(breaks.Ambiguous, ours, theirs, w.off(ours, theirs))
		return
	}
	w.takeSums(all)
}

func (w *twin) takeSums(all []sums) {
	overlap := func(a, b []int) bool {
		return slices.ContainsFunc(a, func(i int) bool { return slices.Contains(b, i) })
	}
	for i, s := range all {
		alone := true
		for j, other := range all {
			alone = alone && (i == j || !overlap(s.ours, other.ours) && !overlap(s.theirs, other.theirs))
		}
		if alone && len(s.ours) > 0 && len(s.theirs) > 0 {
			w.match(match.PassSubset, s.ours, s.theirs)
		} else {
			w.find(breaks.Ambiguous, s.ours, s.theirs, w.off(s.ours, s.theirs))
		}
	}
}

// unlinkedSubsets tries the small subsets of rows that nothing can be compared of.
func (w *twin) unlinkedSubsets() {
	ours, theirs := w.open(false)
	fits := func(o, t int, one, part match.Row) bool {
		return one.Kind == part.Kind && w.relate(o, t) == relation{} && within(w.rules.Window, w.oursOf(o), w.theirsOf(t)) &&
			(part.Amount > 0) == (one.Amount > 0) && part.Amount != 0 && max(part.Amount, -part.Amount) < max(one.Amount, -one.Amount)
	}
	var all []sums
	for _, o := range ours {
		parts := slices.DeleteFunc(slices.Clone(theirs), func(t int) bool { return !fits(o, t, w.oursOf(o), w.theirsOf(t)) })
		found := subsets(w.oursOf(o).Amount, parts, w.in.Theirs, w.rare(w.in.Theirs, parts))
		if len(found) == 1 {
			all = append(all, sums{[]int{o}, found[0]})
		} else if len(found) > 1 {
			all = append(all, sums{[]int{o}, nil})
		}
	}
	for _, t := range theirs {
		parts := slices.DeleteFunc(slices.Clone(ours), func(o int) bool { return !fits(o, t, w.theirsOf(t), w.oursOf(o)) })
		found := subsets(w.theirsOf(t).Amount, parts, w.in.Ours, w.rare(w.in.Ours, parts))
		if len(found) == 1 {
			all = append(all, sums{found[0], []int{t}})
		} else if len(found) > 1 {
			all = append(all, sums{nil, []int{t}})
		}
	}
	w.takeSums(all)
}

// rare is the largest size of which, with all smaller ones, there are few subsets for the sums there can be.
func (w *twin) rare(rows []match.Row, parts []int) int {
	sum := int64(0)
	for _, i := range parts {
		sum += max(rows[i].Amount, -rows[i].Amount)
	}
	for most := len(parts); ; most-- {
		count := int64(0)
		for of := uint(1); of < 1<<len(parts); of++ {
			count += int64(b2i(bits.OnesCount(of) <= most))
		}
		if most == 0 || count <= sum/w.rules.Subset.Rarity {
			return most
		}
	}
}

func (w *twin) residual(ours, theirs []int) {
	same := slices.ContainsFunc(ours, func(o int) bool {
		return slices.ContainsFunc(theirs, func(t int) bool { return w.oursOf(o).Amount == w.theirsOf(t).Amount })
	})
	off := w.off(ours, theirs)
	switch {
	case same:
		w.find(breaks.Ambiguous, ours, theirs, off)
	case len(ours) == 1 && len(theirs) == 1:
		w.find(amountCode(off), ours, theirs, off)
	default:
		w.find(breaks.SplitIncomplete, ours, theirs, off)
	}
}

func (w *twin) mismatches() {
	for _, p := range w.rules.Carriers {
		w.alone(func(o, t match.Row) bool {
			return o.Kind == t.Kind && about(p, o.Kind) && !o.Carriers[p.Ours].IsZero() && o.Carriers[p.Ours] == carried(p, t) && o.Amount == t.Amount
		}, func(o, t int) {
			if w.relate(o, t).suspect() && within(w.rules.Window, w.oursOf(o), w.theirsOf(t)) {
				w.find(breaks.ReferenceMismatch, []int{o}, []int{t}, 0)
			}
		})
	}
	// An id that can be compared keeps rows from being suggested, even one that agrees: those have been looked at.
	comparable := func(o, t match.Row) bool {
		return slices.ContainsFunc(w.rules.Carriers, func(p match.Pair) bool {
			return !p.Shared && about(p, o.Kind) && !o.Carriers[p.Ours].IsZero() && !carried(p, t).IsZero()
		})
	}
	w.alone(func(o, t match.Row) bool {
		return o.Kind == t.Kind && o.Amount == t.Amount && within(w.rules.Window, o, t) && !comparable(o, t)
	}, func(o, t int) {
		if w.relate(o, t).suspect() {
			w.find(breaks.ReferenceMismatch, []int{o}, []int{t}, 0)
		}
	})
}

func (w *twin) classify() {
	ours, theirs := w.open(false)
	for _, o := range ours {
		code := breaks.MissingAtProvider
		if w.rules.Stage == match.StageBank {
			code = breaks.MissingAtBank
		}
		if w.in.AsOf <= w.oursOf(o).Due {
			code = breaks.TimingOpen
		}
		w.find(code, []int{o}, nil, -w.oursOf(o).Amount)
	}
	for _, t := range theirs {
		code := breaks.MissingInternally
		if w.theirsOf(t).Kind == match.KindRefund {
			code = breaks.ReturnUnmatched
		}
		w.find(code, nil, []int{t}, w.theirsOf(t).Amount)
	}
}

// drawPartition draws a few rows that have much in common: few amounts, or few ids, or many.
func drawPartition(t *rapid.T, most int) (match.Input, *named) {
	n := &named{map[match.Key]string{}, map[match.Key]string{}}
	texts := map[match.Carrier][]string{
		match.CarrierID: {"", "", "1", "2"}, match.CarrierParent: {"", "", "1", "2"}, match.CarrierKey: {"", "", "k", "l"},
		match.CarrierReference: {"", "", "r", "s", "k"},
	}
	amounts := rapid.SampledFrom([]int64{1, 3, 8}).Draw(t, "amounts")
	bare := rapid.SampledFrom([]int{0, 2, 8}).Draw(t, "of ten, bare")
	kinds := rapid.SampledFrom([][]match.Kind{{match.KindCharge}, {match.KindCharge, match.KindRefund, match.KindFee}}).Draw(t, "kinds")
	draw := func(side string, standings []match.Standing) (rows []match.Row) {
		for i := range rapid.IntRange(0, most).Draw(t, side) {
			l := matchtest.Line{
				Name: fmt.Sprint(side, i), Kind: rapid.SampledFrom(kinds).Draw(t, "kind"),
				Amount: rapid.Int64Range(-1, amounts).Draw(t, "amount"), Day: match.Day(rapid.IntRange(0, 5).Draw(t, "day")),
				Standing: rapid.SampledFrom(standings).Draw(t, "standing"), Due: match.Day(rapid.IntRange(2, 3).Draw(t, "due")),
				FeeKnown: rapid.Bool().Draw(t, "fee known"), Fee: rapid.Int64Range(0, 2).Draw(t, "fee"),
			}
			for c := range match.CarrierPayout {
				if rapid.IntRange(0, 9).Draw(t, "bare") >= bare {
					l.Carriers[c] = rapid.SampledFrom(texts[c]).Draw(t, c.String())
				}
			}
			row := l.Row(1)
			n.names[row.Key] = l.Name
			rows = append(rows, row)
		}
		return rows
	}
	b, d, r, s := match.Booked, match.InDoubt, match.Refused, match.Settled
	return match.Input{
		Ours: draw("o", []match.Standing{b, b, b, b, b, d, r, s}), Theirs: draw("t", []match.Standing{b, b, b, b, b, b, s}), AsOf: 3,
	}, n
}

// drawRules draws rules of either stage.
func drawRules(t *rapid.T) match.Rules {
	r := rapid.SampledFrom([]match.Rules{match.DefaultProvider(), match.DefaultBank()}).Draw(t, "rules")
	r.Window = match.Days{Before: rapid.IntRange(0, 1).Draw(t, "before"), After: rapid.IntRange(0, 2).Draw(t, "after")}
	r.Wide = match.Days{Before: r.Window.Before + 1, After: r.Window.After + 1}
	r.Closest = rapid.Bool().Draw(t, "closest")
	r.Tolerance.Minor = rapid.Int64Range(0, 1).Draw(t, "tolerance")
	r.FeeTolerance = rapid.Int64Range(0, 1).Draw(t, "fee tolerance")
	r.Subset.Rarity = rapid.Int64Range(1, 2).Draw(t, "rarity")
	return r
}

func TestRun_AgreesWithTheNaiveTwin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in, names := drawPartition(t, 7)
		rules := drawRules(t)
		result, err := match.Run(in, rules)
		if err != nil {
			t.Fatal(err)
		}
		w := &twin{in: in, rules: rules, names: names}
		if diff := cmp.Diff(w.run(), names.say(in, &result)); diff != "" {
			t.Fatalf("-twin +run\n%s", diff)
		}
	})
}
