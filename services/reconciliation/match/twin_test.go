package match_test

import (
	"fmt"
	"slices"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// twin is matching done the naive way: each row is compared with each, and each way of putting rows together is tried. It knows
// neither payouts nor texts.
type twin struct {
	in           match.Input // rows in the order of keys
	rules        match.Rules
	names        *named
	ours, theirs []state
	said         []string
}

// state is what became of a row.
type state int

const (
	stateOpen state = iota
	stateMatched
	stateNamed
)

func (w *twin) run() []string {
	w.ours, w.theirs = make([]state, len(w.in.Ours)), make([]state, len(w.in.Theirs))
	w.said = []string{}
	for _, p := range w.rules.Carriers {
		w.eachFamily(p, true, func(ours, theirs []int) { w.related(p, ours, theirs) })
	}
	w.duplicates()
	w.composite()
	w.window()
	if slices.Contains(w.rules.Passes, match.PassSubset) {
		for _, p := range w.rules.Carriers {
			w.eachFamily(p, false, func(ours, theirs []int) { w.linkedSubsets(p, ours, theirs) })
		}
		w.unlinkedSubsets()
	}
	for _, p := range w.rules.Carriers {
		w.eachFamily(p, false, w.residual)
	}
	w.mismatches()
	for t := range w.in.Theirs {
		if w.theirs[t] == stateOpen && w.theirsOf(t).Standing == match.Booked && slices.Contains(w.rules.Own, w.theirsOf(t).Kind) {
			w.match(match.PassOwn, nil, []int{t})
		}
	}
	w.classify()
	slices.Sort(w.said)
	return w.said
}

func (w *twin) oursOf(o int) match.Row   { return w.in.Ours[o] }
func (w *twin) theirsOf(t int) match.Row { return w.in.Theirs[t] }

func carried(p match.Pair, row match.Row) match.Token {
	for _, c := range p.Theirs {
		if row.Carriers[c] != (match.Token{}) {
			return row.Carriers[c]
		}
	}
	return match.Token{}
}

func about(p match.Pair, kind match.Kind) bool {
	return len(p.Kinds) == 0 || slices.Contains(p.Kinds, kind)
}

// relation of two rows of a kind: what agrees, and what is not the same.
type relation struct{ id, shared, otherID, otherShared bool }

func (w *twin) relate(o, t int) (r relation) {
	ours, theirs := w.oursOf(o), w.theirsOf(t)
	for c := range match.NumCarriers {
		var of relation
		for _, p := range w.rules.Carriers {
			other := carried(p, theirs)
			if p.Ours != c || !about(p, ours.Kind) || ours.Carriers[c].IsZero() || other.IsZero() {
				continue
			}
			same := other == ours.Carriers[c]
			of.id, of.shared = of.id || same && !p.Shared, of.shared || same && p.Shared
			of.otherID, of.otherShared = of.otherID || !same && !p.Shared, of.otherShared || !same && p.Shared
		}
		if of.id || of.shared {
			of.otherID, of.otherShared = false, false
		}
		if of.otherID {
			of.otherShared = false
		}
		r = relation{r.id || of.id, r.shared || of.shared, r.otherID || of.otherID, r.otherShared || of.otherShared}
	}
	return r
}

func (r relation) tied() bool     { return (r.id || r.shared) && !r.otherID }
func (r relation) possible() bool { return r.tied() || r == relation{} }
func (r relation) suspect() bool {
	return r == relation{otherShared: true} || r.otherID && (r.id || r.shared)
}

func within(d match.Days, ours, theirs match.Row) bool {
	apart := int(theirs.Day - ours.Day)
	return -d.Before <= apart && apart <= d.After
}

func (w *twin) ties(p match.Pair, o, t int) bool {
	ours, theirs := w.oursOf(o), w.theirsOf(t)
	return ours.Kind == theirs.Kind && about(p, ours.Kind) && !ours.Carriers[p.Ours].IsZero() && ours.Carriers[p.Ours] == carried(p, theirs) &&
		w.relate(o, t).tied() && (!p.Shared || within(w.rules.Wide, ours, theirs))
}

func (w *twin) open(unsure bool) (ours, theirs []int) {
	for o, row := range w.in.Ours {
		if w.ours[o] == stateOpen && (row.Standing == match.Booked || unsure && row.Standing != match.Settled) {
			ours = append(ours, o)
		}
	}
	for t, row := range w.in.Theirs {
		if w.theirs[t] == stateOpen && row.Standing == match.Booked {
			theirs = append(theirs, t)
		}
	}
	return ours, theirs
}

// split takes rows apart into those that are linked, also through others.
func split(ours, theirs []int, linked func(o, t int) bool, visit func(ours, theirs []int)) {
	group := map[int]int{} // ours by their place, theirs by -1-place
	for _, o := range ours {
		group[o] = o
	}
	for _, t := range theirs {
		group[-1-t] = -1 - t
	}
	for changed := true; changed; {
		changed = false
		for _, o := range ours {
			for _, t := range theirs {
				if a, b := group[o], group[-1-t]; a != b && linked(o, t) {
					group[o], group[-1-t] = max(a, b), max(a, b)
					changed = true
				}
			}
		}
	}
	for _, first := range slices.Sorted(slices.Values(ours)) {
		var inOurs, inTheirs []int
		for _, o := range ours {
			if group[o] == group[first] {
				inOurs = append(inOurs, o)
			}
		}
		for _, t := range theirs {
			if group[-1-t] == group[first] {
				inTheirs = append(inTheirs, t)
			}
		}
		if inOurs[0] == first && len(inTheirs) > 0 {
			visit(inOurs, inTheirs)
		}
	}
}

func (w *twin) eachFamily(p match.Pair, unsure bool, visit func(ours, theirs []int)) {
	ours, theirs := w.open(unsure)
	split(ours, theirs, func(o, t int) bool { return w.ties(p, o, t) }, visit)
}

func sumOf(rows []match.Row, places []int) (sum int64) {
	for _, i := range places {
		sum += rows[i].Amount
	}
	return sum
}

func (w *twin) off(ours, theirs []int) int64 {
	return sumOf(w.in.Theirs, theirs) - sumOf(w.in.Ours, ours)
}

func places(of []int) (places []int32) {
	for _, i := range of {
		places = append(places, int32(i))
	}
	return places
}

func (w *twin) match(pass match.Pass, ours, theirs []int) {
	late, known, fee := false, len(ours) > 0 && len(theirs) > 0, int64(0)
	for _, o := range ours {
		w.ours[o] = stateMatched
		known = known && w.oursOf(o).FeeKnown
		fee -= w.oursOf(o).Fee
		for _, t := range theirs {
			late = late || !within(w.rules.Window, w.oursOf(o), w.theirsOf(t))
		}
	}
	for _, t := range theirs {
		w.theirs[t] = stateMatched
		fee += w.theirsOf(t).Fee
	}
	w.said = append(w.said, fmt.Sprintf("%s %s=%s", pass, w.names.of(w.in.Ours, places(ours)), w.names.of(w.in.Theirs, places(theirs))))
	if late {
		w.say(string(breaks.DateOutOfWindow)+"*", ours, theirs, 0)
	}
	if known && max(fee, -fee) > w.rules.FeeTolerance {
		w.say(string(breaks.FeeVariance)+"*", ours, theirs, fee)
	}
}

func (w *twin) say(code string, ours, theirs []int, amount int64) {
	w.said = append(w.said, fmt.Sprintf("%s %s|%s %d", code, w.names.of(w.in.Ours, places(ours)), w.names.of(w.in.Theirs, places(theirs)), amount))
}

func (w *twin) find(code breaks.Code, ours, theirs []int, amount int64) {
	w.say(string(code), ours, theirs, amount)
	for _, o := range ours {
		if w.ours[o] == stateOpen {
			w.ours[o] = stateNamed
		}
	}
	for _, t := range theirs {
		if w.theirs[t] == stateOpen {
			w.theirs[t] = stateNamed
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func amountCode(off int64) breaks.Code {
	if off > 0 {
		return breaks.AmountOver
	}
	return breaks.AmountUnder
}

func (w *twin) related(p match.Pair, all, theirs []int) {
	var booked, unsure []int
	for _, standing := range []match.Standing{match.Booked, match.InDoubt, match.Refused} {
		for _, o := range all {
			if w.oursOf(o).Standing == standing && standing == match.Booked {
				booked = append(booked, o)
			} else if w.oursOf(o).Standing == standing {
				unsure = append(unsure, o)
			}
		}
	}
	exact := slices.ContainsFunc(unsure, func(o int) bool { return w.oursOf(o).Amount == w.theirsOf(theirs[0]).Amount })
	switch off := w.off(booked, theirs); {
	case len(booked) == 0:
		w.prove(p, unsure, theirs)
	case off == 0 && min(len(booked), len(theirs)) == 1:
		w.match(match.PassStrongID, booked, theirs)
	case len(booked) == 1 && len(theirs) == 1 && exact:
		w.prove(match.Pair{Shared: true}, unsure, theirs)
	case len(booked) == 1 && len(theirs) == 1:
		w.find(amountCode(off), booked, theirs, off)
	default:
		w.partly(p, booked, unsure, theirs)
	}
}

// prove gives theirs to what is in doubt or refused.
func (w *twin) prove(p match.Pair, unsure, theirs []int) (rest []int) {
	proven := func(o int, theirs ...int) {
		code := breaks.UnknownResolved
		if w.oursOf(o).Standing == match.Refused {
			code = breaks.StateConflict
		}
		w.find(code, []int{o}, theirs, sumOf(w.in.Theirs, theirs))
	}
	if !p.Shared && len(theirs) > 1 {
		for _, o := range unsure {
			if w.ours[o] == stateOpen && w.oursOf(o).Amount == sumOf(w.in.Theirs, theirs) {
				proven(o, theirs...)
				return nil
			}
		}
	}
	rest = slices.SortedFunc(slices.Values(theirs), func(a, b int) int { return 100*int(w.theirsOf(a).Day-w.theirsOf(b).Day) + a - b })
	for _, any := range []bool{false, true} {
		for _, t := range slices.Clone(rest) {
			for _, o := range unsure {
				if w.theirs[t] == stateOpen && w.ours[o] == stateOpen && (w.oursOf(o).Amount == w.theirsOf(t).Amount || any && !p.Shared) {
					proven(o, t)
					rest = slices.DeleteFunc(rest, func(i int) bool { return i == t })
				}
			}
		}
	}
	return rest
}

func (w *twin) partly(p match.Pair, booked, unsure, theirs []int) {
	stuckOurs, stuckTheirs, taken, again := map[int]bool{}, map[int]bool{}, []int{}, map[int]int{}
	split(booked, theirs, func(o, t int) bool { return w.oursOf(o).Amount == w.theirsOf(t).Amount && w.ties(p, o, t) }, func(os, ts []int) {
		switch {
		case len(os) == 1:
			first := w.first(w.in.Theirs, ts, func(t int) bool { return within(w.rules.Window, w.oursOf(os[0]), w.theirsOf(t)) })
			w.match(match.PassStrongID, os, []int{first})
			taken = append(taken, os[0])
			for _, t := range ts {
				if t != first {
					again[t] = os[0]
				}
			}
		case len(ts) == 1 && !(p.Shared && w.apart(os)):
			first := w.first(w.in.Ours, os, func(o int) bool { return within(w.rules.Window, w.oursOf(o), w.theirsOf(ts[0])) })
			w.match(match.PassStrongID, []int{first}, ts)
			for _, o := range os {
				if o != first {
					w.find(breaks.DuplicateInternal, []int{o}, ts, -w.oursOf(o).Amount)
				}
			}
		default:
			mark(stuckOurs, os)
			mark(stuckTheirs, ts)
		}
	})
	var twice, restOurs, restTheirs []int
	for _, t := range theirs {
		if _, is := again[t]; is {
			twice = append(twice, t)
		} else if w.theirs[t] == stateOpen && !stuckTheirs[t] {
			restTheirs = append(restTheirs, t)
		}
	}
	for _, o := range booked {
		if w.ours[o] == stateOpen && !stuckOurs[o] {
			restOurs = append(restOurs, o)
		}
	}
	same := slices.DeleteFunc(slices.Clone(unsure), func(o int) bool {
		return !slices.ContainsFunc(twice, func(t int) bool { return w.theirsOf(t).Amount == w.oursOf(o).Amount })
	})
	for _, t := range w.prove(p, same, twice) {
		w.find(breaks.DuplicateExternal, []int{again[t]}, []int{t}, w.theirsOf(t).Amount)
	}
	restTheirs = w.prove(p, unsure, restTheirs)
	off := w.off(restOurs, restTheirs)
	switch {
	case p.Shared || len(restTheirs) == 0:
	case len(restOurs) == 1 && len(restTheirs) == 1:
		w.find(amountCode(off), restOurs, restTheirs, off)
	case len(restOurs) > 0:
		w.find(breaks.SplitIncomplete, restOurs, restTheirs, off)
	case len(taken) > 0:
		w.find(breaks.SplitIncomplete, taken, restTheirs, off)
	}
}

func mark(set map[int]bool, places []int) {
	for _, i := range places {
		set[i] = true
	}
}

func (w *twin) first(rows []match.Row, places []int, timely func(int) bool) int {
	return slices.MinFunc(places, func(a, b int) int {
		return 1000*(b2i(timely(b))-b2i(timely(a))) + 10*int(rows[a].Day-rows[b].Day) + b2i(a > b) - b2i(a < b)
	})
}

func (w *twin) apart(ours []int) bool {
	for _, p := range w.rules.Carriers {
		seen := map[match.Token]bool{}
		for _, o := range ours {
			if token := w.oursOf(o).Carriers[p.Ours]; !p.Shared && about(p, w.oursOf(o).Kind) && !token.IsZero() {
				seen[token] = true
			}
		}
		if len(seen) > 1 {
			return true
		}
	}
	return false
}
