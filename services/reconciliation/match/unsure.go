package match

import (
	"cmp"
	"slices"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// prove finds what theirs says of rows of ours that are in doubt or refused, and returns those of theirs that say nothing of
// them. By an id that is not shared, theirs speaks of ours whatever the amount; by one that is, only the same amount does.
func (m *matcher) prove(p *Pair, unsure, theirs []int32) (rest []int32) {
	unsure = m.doubtFirst(unsure)
	if len(unsure) == 0 || len(theirs) == 0 {
		return theirs
	}
	if len(theirs) > 1 && !p.Shared {
		for i, o := range unsure {
			if m.theirs.sum(theirs) == m.ours.rows[o].Amount {
				m.proven(unsure[i:i+1], theirs)
				return nil
			}
		}
	}
	rest = m.proveEach(&unsure, theirs, func(ours, theirs *Row) bool { return ours.Amount == theirs.Amount })
	if !p.Shared {
		rest = m.proveEach(&unsure, rest, func(*Row, *Row) bool { return true })
	}
	return rest
}

// doubtFirst orders open rows: what is in doubt is more likely to have happened than what is said to have failed.
func (m *matcher) doubtFirst(unsure []int32) []int32 {
	var ordered []int32
	for _, standing := range []Standing{InDoubt, Refused} {
		for _, o := range unsure {
			if m.ours.fate[o] == isOpen && m.ours.rows[o].Standing == standing {
				ordered = append(ordered, o)
			}
		}
	}
	return ordered
}

// proveEach gives each of theirs, the earliest first, the first of ours that fits, which it takes off ours. It returns those
// without.
func (m *matcher) proveEach(unsure *[]int32, theirs []int32, fits func(ours, theirs *Row) bool) (rest []int32) {
	earliest := slices.SortedFunc(slices.Values(theirs), func(a, b int32) int {
		return cmp.Or(cmp.Compare(m.theirs.rows[a].Day, m.theirs.rows[b].Day), cmp.Compare(a, b))
	})
	for _, t := range earliest {
		at := slices.IndexFunc(*unsure, func(o int32) bool { return fits(&m.ours.rows[o], &m.theirs.rows[t]) })
		if at < 0 {
			rest = append(rest, t)
			continue
		}
		m.proven((*unsure)[at:at+1], []int32{t})
		*unsure = without(*unsure, (*unsure)[at])
	}
	return rest
}

// proven finds that rows of theirs prove or contradict one of ours.
func (m *matcher) proven(ours, theirs []int32) {
	code := breaks.UnknownResolved
	if m.ours.rows[ours[0]].Standing == Refused {
		code = breaks.StateConflict
	}
	m.find(code, ours, theirs, m.theirs.sum(theirs), "")
}
