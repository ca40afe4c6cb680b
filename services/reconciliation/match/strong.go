package match

import (
	"cmp"
	"slices"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// strong is pass 1: rows that carry the same id are the same money, where their amounts tie. The strongest id goes first; what it
// ties to another amount is a finding, and out of the passes that go by amount.
func (m *matcher) strong() {
	if !m.rules.on(PassStrongID) {
		return
	}
	for i := range m.rules.Carriers {
		p := &m.rules.Carriers[i]
		m.eachBucket(p, m.ours.open, m.theirs.open, func(ours, theirs []int32) bool {
			m.bucket(p, ours, theirs)
			return m.goOn()
		})
		m.ours.sweep()
		m.theirs.sweep()
	}
}

// eachBucket visits rows that carry the same where a pair says.
func (m *matcher) eachBucket(p *Pair, ours, theirs []int32, visit func(ours, theirs []int32) bool) {
	m.join.each(m.oursBy(p, ours), m.theirsBy(p, theirs), visit)
}

func (m *matcher) oursBy(p *Pair, places []int32) carriers {
	if len(p.Kinds) == 0 {
		return carriers{m.ours.rows, places, func(row *Row) Token { return row.Carriers[p.Ours] }}
	}
	return carriers{m.ours.rows, places, func(row *Row) Token {
		if !p.about(row.Kind) {
			return Token{}
		}
		return row.Carriers[p.Ours]
	}}
}

func (m *matcher) theirsBy(p *Pair, places []int32) carriers {
	return carriers{m.theirs.rows, places, func(row *Row) Token {
		if !p.about(row.Kind) {
			return Token{}
		}
		token, _ := p.theirs(row)
		return token
	}}
}

// maxFamily is how many rows of one id are compared each with each. An id that more rows carry says little: of those, only
// what is alone with its amount is taken.
const maxFamily = 128

// bucket decides on the rows that carry one id. It is decided by each id alone: the order of buckets is of no matter.
func (m *matcher) bucket(p *Pair, ours, theirs []int32) {
	linked := func(o, t int32) bool { return m.ties(p, o, t) }
	switch {
	case len(ours) == 1 && len(theirs) == 1:
		if linked(ours[0], theirs[0]) {
			m.related(p, family{ours, theirs})
		}
	case len(ours)+len(theirs) > maxFamily:
		m.aloneWithAmount(ours, theirs, func(o, t int32) {
			if linked(o, t) {
				m.take([]int32{o}, []int32{t}, m.byID(p, t))
			}
		})
	default:
		for _, f := range families(ours, theirs, linked) {
			if len(f.ours) > 0 && len(f.theirs) > 0 {
				m.related(p, f)
			}
		}
	}
}

// ties says whether a pair whose tokens are equal ties two rows.
func (m *matcher) ties(p *Pair, o, t int32) bool {
	ours, theirs := &m.ours.rows[o], &m.theirs.rows[t]
	return m.links.relate(ours, theirs).tied() && (!p.Shared || m.rules.Wide.holds(ours.Day, theirs.Day))
}

func (m *matcher) byID(p *Pair, t int32) proof {
	_, by := p.theirs(&m.theirs.rows[t])
	return proof{pass: PassStrongID, oursBy: p.Ours, theirsBy: by, score: scoreWhole}
}

// related decides on rows that an id ties together. First comes what is booked; what is in doubt or refused is proven by what
// that leaves.
func (m *matcher) related(p *Pair, f family) {
	booked, unsure := m.bySureness(f.ours)
	f.ours = booked
	switch difference := m.theirs.sum(f.theirs) - m.ours.sum(booked); {
	case len(booked) == 0:
		m.prove(p, unsure, f.theirs)
	case difference == 0 && (len(booked) == 1 || len(f.theirs) == 1):
		m.take(booked, f.theirs, m.byID(p, f.theirs[0]))
	case len(booked) == 1 && len(f.theirs) == 1:
		if exact := m.ofAmount(unsure, m.theirs.rows[f.theirs[0]].Amount); len(exact) > 0 {
			m.prove(p, exact, f.theirs)
		} else {
			m.find(byDifference(difference), booked, f.theirs, difference, "")
		}
	default:
		m.partly(p, f, unsure)
	}
}

// bySureness takes rows of ours apart.
func (m *matcher) bySureness(ours []int32) (booked, unsure []int32) {
	if len(ours) == 1 && m.ours.rows[ours[0]].Standing == Booked {
		return ours, nil
	}
	for _, o := range ours {
		if m.ours.rows[o].Standing == Booked {
			booked = append(booked, o)
		} else {
			unsure = append(unsure, o)
		}
	}
	return booked, unsure
}

// ofAmount are the rows of ours that have an amount.
func (m *matcher) ofAmount(ours []int32, amount int64) []int32 {
	return slices.DeleteFunc(slices.Clone(ours), func(o int32) bool { return m.ours.rows[o].Amount != amount })
}

func byDifference(theirsLessOurs int64) breaks.Code {
	if theirsLessOurs > 0 {
		return breaks.AmountOver
	}
	return breaks.AmountUnder
}

func (s *side) sum(places []int32) (sum int64) {
	for _, i := range places {
		sum += s.rows[i].Amount
	}
	return sum
}

// partly decides on rows that an id ties together and that do not tie as a whole. What ties with its amount is taken; what is
// left over of an id that is not shared is a residual.
func (m *matcher) partly(p *Pair, f family, unsure []int32) {
	left := m.byAmount(p, f)
	for _, t := range m.prove(p, m.exactly(unsure, left.again), left.again) {
		m.find(breaks.DuplicateExternal, []int32{left.first[t]}, []int32{t}, m.theirs.rows[t].Amount, "")
	}
	left.theirs = m.prove(p, unsure, left.theirs)
	if p.Shared || len(left.theirs) == 0 {
		return
	}
	difference := m.theirs.sum(left.theirs) - m.ours.sum(left.ours)
	switch {
	case len(left.ours) == 1 && len(left.theirs) == 1:
		m.find(byDifference(difference), left.ours, left.theirs, difference, "")
	case len(left.ours) > 0:
		m.find(breaks.SplitIncomplete, left.ours, left.theirs, difference, "")
	case len(left.taken) > 0:
		m.find(breaks.SplitIncomplete, left.taken, left.theirs, difference, "")
	}
}

// exactly are the rows in doubt or refused that have the amount of one of theirs.
func (m *matcher) exactly(unsure, theirs []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(unsure), func(o int32) bool {
		return !slices.ContainsFunc(theirs, func(t int32) bool { return m.theirs.rows[t].Amount == m.ours.rows[o].Amount })
	})
}

// remainder is what is left of a family when what ties with its amount is taken.
type remainder struct {
	ours, theirs []int32
	taken        []int32         // ours that was taken
	again        []int32         // theirs that ties as well with what was taken
	first        map[int32]int32 // by rows of again: what was taken
}

// byAmount takes what the id and the amount together tie.
func (m *matcher) byAmount(p *Pair, f family) remainder {
	left := remainder{first: map[int32]int32{}}
	linked := func(o, t int32) bool { return m.ours.rows[o].Amount == m.theirs.rows[t].Amount && m.ties(p, o, t) }
	for _, same := range families(f.ours, f.theirs, linked) {
		switch {
		case len(same.ours) == 0:
			left.theirs = append(left.theirs, same.theirs...)
		case len(same.theirs) == 0:
			left.ours = append(left.ours, same.ours...)
		case len(same.ours) == 1:
			m.earliestOfTheirs(p, same, &left)
		case len(same.theirs) == 1 && !(p.Shared && m.apart(same.ours)):
			m.earliestOfOurs(p, same)
		}
		// Several on both sides, or several of ours that are not the same: later passes may tell them apart.
	}
	return left
}

// earliestOfTheirs takes the first of several of theirs for one of ours.
func (m *matcher) earliestOfTheirs(p *Pair, f family, left *remainder) {
	first := m.theirs.earliest(f.theirs, func(t int32) bool { return m.inTime(f.ours, []int32{t}) })
	m.take(f.ours, []int32{first}, m.byID(p, first))
	left.taken = append(left.taken, f.ours[0])
	for _, t := range without(f.theirs, first) {
		left.again = append(left.again, t)
		left.first[t] = f.ours[0]
	}
}

// earliestOfOurs takes the first of several of ours for one of theirs. The others were booked twice.
func (m *matcher) earliestOfOurs(p *Pair, f family) {
	first := m.ours.earliest(f.ours, func(o int32) bool { return m.inTime([]int32{o}, f.theirs) })
	m.take([]int32{first}, f.theirs, m.byID(p, f.theirs[0]))
	for _, o := range without(f.ours, first) {
		m.find(breaks.DuplicateInternal, []int32{o}, f.theirs, -m.ours.rows[o].Amount, "")
	}
}

func without(places []int32, some ...int32) []int32 {
	return slices.DeleteFunc(slices.Clone(places), func(i int32) bool { return slices.Contains(some, i) })
}

// earliest is the row that is in time and has the earliest day, and of these the smallest key.
func (s *side) earliest(places []int32, inTime func(int32) bool) int32 {
	return slices.MinFunc(places, func(a, b int32) int {
		if timely := inTime(a); timely != inTime(b) {
			if timely {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(s.rows[a].Day, s.rows[b].Day), cmp.Compare(a, b))
	})
}

// apart says whether rows of ours carry ids of their own that say that they are not the same.
func (m *matcher) apart(ours []int32) bool {
	for _, p := range m.rules.Carriers {
		first := Token{}
		for _, o := range ours {
			row := &m.ours.rows[o]
			token := row.Carriers[p.Ours]
			switch {
			case p.Shared || !p.about(row.Kind) || token.IsZero():
			case first.IsZero():
				first = token
			case first != token:
				return true
			}
		}
	}
	return false
}

// aloneWithAmount visits each row of ours and of theirs that are the only open and booked ones with their amount.
func (m *matcher) aloneWithAmount(ours, theirs []int32, visit func(o, t int32)) {
	ours = slices.DeleteFunc(slices.Clone(ours), func(o int32) bool { return m.ours.rows[o].Standing != Booked })
	slices.SortFunc(ours, m.ours.compare)
	theirs = slices.SortedFunc(slices.Values(theirs), m.theirs.compare)
	for len(ours) > 0 && len(theirs) > 0 {
		amount := min(m.ours.rows[ours[0]].Amount, m.theirs.rows[theirs[0]].Amount)
		o, t := m.ours.lead(ours, amount), m.theirs.lead(theirs, amount)
		if o == 1 && t == 1 {
			visit(ours[0], theirs[0])
		}
		ours, theirs = ours[o:], theirs[t:]
	}
}

// compare orders rows by their amounts, and then by their keys.
func (s *side) compare(a, b int32) int {
	return cmp.Or(cmp.Compare(s.rows[a].Amount, s.rows[b].Amount), cmp.Compare(a, b))
}

// search is the first of rows in the order of their amounts that has no less.
func (s *side) search(places []int32, amount int64) int {
	at, _ := slices.BinarySearchFunc(places, amount, func(i int32, amount int64) int { return cmp.Compare(s.rows[i].Amount, amount) })
	return at
}

// lead is how many of the first rows have an amount.
func (s *side) lead(places []int32, amount int64) (n int) {
	for n < len(places) && s.rows[places[n]].Amount == amount {
		n++
	}
	return n
}
