package match

import (
	"cmp"
	"slices"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// duplicates finds open rows that carry what a matched row of the other side carries, with the same amount: they are two for one.
// It comes before what goes by amount, for that could take a duplicate for something else. On the way it notes, for each row,
// which one of the other side that carries the same comes closest.
func (m *matcher) duplicates() {
	pairs := slices.Clip(m.rules.Carriers)
	if m.rules.Stage == StageBank {
		pairs = append(pairs, payoutPair)
	}
	if len(m.theirs.open) > 0 && len(m.ours.rows) > 0 {
		m.hintTheirs = make([]int32, len(m.theirs.rows))
		likely := m.theirs.carriedBy(&m.ours)
		for i := range pairs {
			p := &pairs[i]
			m.join.each(m.theirsBy(p, m.theirs.open), m.oursBy(p, likely), func(theirs, ours []int32) bool {
				m.hint(&m.theirs, theirs, &m.ours, ours, m.hintTheirs, m.betterOurs)
				return m.goOn()
			})
		}
		m.twiceTheirs()
	}
	m.theirs.sweep()
	if len(m.ours.open) > 0 && len(m.theirs.rows) > 0 {
		m.hintOurs = make([]int32, len(m.ours.rows))
		likely := m.ours.carriedBy(&m.theirs)
		for i := range pairs {
			p := &pairs[i]
			m.join.each(m.oursBy(p, m.ours.open), m.theirsBy(p, likely), func(ours, theirs []int32) bool {
				m.hint(&m.ours, ours, &m.theirs, theirs, m.hintOurs, m.betterTheirs)
				return m.goOn()
			})
		}
		m.twiceOurs()
	}
}

// carriedBy are the rows of the other side that may carry something that an open row carries, and nearly no others. One look at
// each row saves the joins most of them.
func (s *side) carriedBy(other *side) (likely []int32) {
	var carried [1 << 15]uint64 // a bit for each hash
	bit := func(t Token) (word, bit uint64) {
		h := mixed(t, 0)
		return h >> 6 % uint64(len(carried)), 1 << (h % 64)
	}
	for _, i := range s.open {
		for _, t := range s.rows[i].Carriers {
			if !t.IsZero() {
				word, bit := bit(t)
				carried[word] |= bit
			}
		}
	}
	for i := range other.rows {
		for _, t := range other.rows[i].Carriers {
			if word, bit := bit(t); carried[word]&bit != 0 && !t.IsZero() {
				likely = append(likely, int32(i))
				break
			}
		}
	}
	return likely
}

// maxHints is how many rows with the same id and the same amount are looked at for a hint.
const maxHints = 64

// hint notes for rows of one side which of those of the other, all with the same id, is the closest: by amount, then by what
// better says.
func (m *matcher) hint(of *side, open []int32, by *side, others, hints []int32, better func(row, a, b int32) bool) {
	if len(others) > 1 {
		others = slices.SortedFunc(slices.Values(others), by.compare)
	}
	for _, i := range open {
		amount := of.rows[i].Amount
		at := by.search(others, amount)
		consider := func(o int32) {
			if hints[i] == 0 || m.nearer(of, by, i, o, hints[i]-1, better) {
				hints[i] = o + 1
			}
		}
		if at > 0 {
			consider(others[at-1])
		}
		for n := at; n < len(others) && n < at+maxHints; n++ {
			consider(others[n])
			if by.rows[others[n]].Amount != amount {
				break
			}
		}
	}
}

// nearer says whether row a is closer to row i than row b is.
func (m *matcher) nearer(of, by *side, i, a, b int32, better func(row, a, b int32) bool) bool {
	apart := func(o int32) int64 {
		return max(by.rows[o].Amount-of.rows[i].Amount, of.rows[i].Amount-by.rows[o].Amount)
	}
	if apart(a) != apart(b) {
		return apart(a) < apart(b)
	}
	return better(i, a, b)
}

// rank orders hints of the same amount: what is open comes first, for then there are several on both sides and nothing is two for
// one; then what makes a duplicate; then the rest.
type rank int

const (
	rankOpen rank = iota
	rankTwice
	rankRest
)

func (m *matcher) betterOurs(t, a, b int32) bool {
	return cmp.Or(cmp.Compare(m.rankOurs(t, a), m.rankOurs(t, b)), cmp.Compare(a, b)) < 0
}

// rankOurs says what a row of ours makes of a row of theirs that carries the same. Theirs is a duplicate even when it has an id of
// its own, for that is how a provider charges twice.
func (m *matcher) rankOurs(t, o int32) rank {
	ours, theirs := &m.ours.rows[o], &m.theirs.rows[t]
	rel := m.links.relate(ours, theirs)
	switch {
	case ours.Amount != theirs.Amount:
		return rankRest
	case m.ours.fate[o] == isOpen && ours.Standing == Booked:
		return rankOpen
	case m.ours.fate[o] != isMatched && m.ours.fate[o] != isSettled:
		return rankRest
	case rel&sameID != 0 || rel&sameShared != 0 && m.rules.Wide.holds(ours.Day, theirs.Day):
		return rankTwice
	}
	return rankRest
}

// twiceTheirs finds theirs that are two for one of ours.
func (m *matcher) twiceTheirs() {
	for _, t := range m.theirs.open {
		if o := m.hintTheirs[t] - 1; o >= 0 && m.rankOurs(t, o) == rankTwice {
			m.find(breaks.DuplicateExternal, []int32{o}, []int32{t}, m.theirs.rows[t].Amount, "")
		}
	}
}

func (m *matcher) betterTheirs(o, a, b int32) bool {
	return cmp.Or(cmp.Compare(m.rankTheirs(o, a), m.rankTheirs(o, b)), cmp.Compare(a, b)) < 0
}

// rankTheirs says what a row of theirs makes of a row of ours that carries the same. What has an id of its own is no duplicate: the
// provider knows it as another one.
func (m *matcher) rankTheirs(o, t int32) rank {
	ours, theirs := &m.ours.rows[o], &m.theirs.rows[t]
	switch {
	case ours.Amount != theirs.Amount:
		return rankRest
	case m.theirs.fate[t] == isOpen:
		return rankOpen
	case m.theirs.fate[t] != isMatched && m.theirs.fate[t] != isSettled:
		return rankRest
	}
	if rel := m.links.relate(ours, theirs); rel&sameID != 0 && rel.tied() {
		return rankTwice
	}
	return rankRest
}

// twiceOurs finds ours that are two for one of theirs.
func (m *matcher) twiceOurs() {
	for _, o := range m.ours.open {
		if t := m.hintOurs[o] - 1; t >= 0 && m.ours.rows[o].Standing == Booked && m.rankTheirs(o, t) == rankTwice {
			m.find(breaks.DuplicateInternal, []int32{o}, []int32{t}, -m.ours.rows[o].Amount, "")
		}
	}
}
