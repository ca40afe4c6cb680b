package match

import (
	"slices"
	"strconv"
)

// sumOf is one row and rows of the other side that come to it.
type sumOf struct {
	one   int32
	parts []int32 // none where several subsets come to it
	of    int     // among how many they were searched
}

// subset is pass 6: one row of one side is several of the other. Rows that carry the same are searched first, and as far as the
// budget goes; of rows that nothing links but amount and days only so few that it is no chance.
func (m *matcher) subset() {
	if !m.rules.on(PassSubset) {
		return
	}
	for i := range m.rules.Carriers {
		p := &m.rules.Carriers[i]
		m.eachBucket(p, m.ours.booked(), m.theirs.open, func(ours, theirs []int32) bool {
			if len(ours)+len(theirs) <= maxFamily {
				for _, f := range families(ours, theirs, func(o, t int32) bool { return m.ties(p, o, t) }) {
					m.linkedSubsets(p, f)
				}
			}
			return m.goOn()
		})
		m.ours.sweep()
		m.theirs.sweep()
	}
	m.unlinkedSubsets()
}

// linkedSubsets decides on rows that an id ties together. Every row is searched for on what all of them are; what several rows would
// need for themselves, none of them gets.
func (m *matcher) linkedSubsets(p *Pair, f family) {
	if len(f.ours) == 0 || len(f.theirs) == 0 {
		return
	}
	var found, foundOurs []sumOf
	budget := m.rules.Subset.Budget
	for _, one := range []struct {
		places, others []int32
		side, other    *side
		found          *[]sumOf
		ties           func(i, j int32) bool
	}{
		{f.ours, f.theirs, &m.ours, &m.theirs, &found, func(i, j int32) bool { return m.ties(p, i, j) }},
		{f.theirs, f.ours, &m.theirs, &m.ours, &foundOurs, func(i, j int32) bool { return m.ties(p, j, i) }},
	} {
		for _, i := range one.places {
			tied := slices.DeleteFunc(slices.Clone(one.others), func(j int32) bool { return !one.ties(i, j) })
			s := m.rules.Subset.linked(one.other.amounts(tied), one.side.rows[i].Amount, budget)
			budget -= s.spent
			switch {
			case s.over:
				m.ambiguous(f, "the search for a subset took too long")
				return
			case s.solutions > 1:
				m.ambiguous(f, "several subsets come to the amount")
				return
			case s.solutions == 1:
				*one.found = append(*one.found, sumOf{i, pick(tied, s.first), len(tied)})
			}
		}
	}
	by := m.byID(p, f.theirs[0])
	by.pass, by.score = PassSubset, scoreAmount
	m.takeSums(found, foundOurs, by)
}

func (s *side) amounts(places []int32) []int64 {
	amounts := make([]int64, len(places))
	for n, i := range places {
		amounts[n] = s.rows[i].Amount
	}
	return amounts
}

func pick(places []int32, at []int) []int32 {
	picked := make([]int32, len(at))
	for n, i := range at {
		picked[n] = places[i]
	}
	return picked
}

// takeSums matches the sums that share no row with another one; the others are AMBIGUOUS, as is what several subsets come to.
func (m *matcher) takeSums(ofOurs, ofTheirs []sumOf, by proof) {
	usesOurs, usesTheirs := map[int32]int{}, map[int32]int{}
	count := func(sums []sumOf, ones, parts map[int32]int) {
		for _, s := range sums {
			ones[s.one]++
			for _, i := range s.parts {
				parts[i]++
			}
		}
	}
	count(ofOurs, usesOurs, usesTheirs)
	count(ofTheirs, usesTheirs, usesOurs)
	decide := func(s sumOf, ours, theirs []int32, ones, parts map[int32]int) {
		switch {
		case s.parts == nil:
			m.ambiguous(family{ours, theirs}, "several subsets come to the amount")
		case ones[s.one] > 1 || slices.ContainsFunc(s.parts, func(i int32) bool { return parts[i] > 1 }):
			m.ambiguous(family{ours, theirs}, "several sums need the same rows")
		default:
			by.evidence = `{"of":` + strconv.Itoa(s.of) + `}`
			m.take(ours, theirs, by)
		}
	}
	for _, s := range ofOurs {
		decide(s, []int32{s.one}, s.parts, usesOurs, usesTheirs)
	}
	for _, s := range ofTheirs {
		decide(s, s.parts, []int32{s.one}, usesTheirs, usesOurs)
	}
}

// unlinkedSubsets looks for sums of rows that nothing speaks for but their amounts and days, and nothing against.
func (m *matcher) unlinkedSubsets() {
	ours, theirs := m.ours.booked(), m.theirs.open
	found := m.sumsAmong(&m.ours, ours, newIndex(byDay, m.theirs.rows, theirs), &m.theirs, m.links.unrelated, m.rules.windowOf)
	foundOurs := m.sumsAmong(&m.theirs, theirs, newIndex(byDay, m.ours.rows, ours), &m.ours,
		func(kind Kind, theirs, ours uint8) bool { return m.links.unrelated(kind, ours, theirs) }, m.rules.windowFor)
	if m.stopped {
		return
	}
	m.takeSums(found, foundOurs, proof{pass: PassSubset, score: scoreSubset})
}

// sumsAmong finds, for each row of one side, the smaller ones of the other that alone come to it.
func (m *matcher) sumsAmong(s *side, places []int32, others *index, other *side,
	unrelated func(kind Kind, one, part uint8) bool, window func(*Row) span) (found []sumOf) {
	for _, i := range places {
		if !m.goOn() {
			return nil
		}
		row := &s.rows[i]
		carried, days := carries(row), window(row)
		if row.Amount > 0 {
			days.least, days.most = 1, row.Amount-1
		} else {
			days.least, days.most = row.Amount+1, -1
		}
		var parts []int32
		others.each(row.Kind, func(carries uint8) bool { return unrelated(row.Kind, carried, carries) }, days, func(from, to int) bool {
			for _, e := range others.entries[from:min(to, from+maxSubsetRows+1)] {
				parts = append(parts, e.row)
			}
			return len(parts) <= m.rules.Subset.Rows
		})
		if len(parts) < 2 || len(parts) > m.rules.Subset.Rows {
			continue
		}
		slices.Sort(parts)
		switch sum := m.rules.Subset.byChance(other.amounts(parts), row.Amount, 2); sum.solutions {
		case 0:
		case 1:
			found = append(found, sumOf{i, pick(parts, sum.first), len(parts)})
		default:
			found = append(found, sumOf{i, nil, len(parts)})
		}
	}
	return found
}
