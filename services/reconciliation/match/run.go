package match

import (
	"bytes"
	"iter"
	"slices"
)

// Result is what is the same money, and what is not as it should be.
type Result struct {
	// Findings are in the order of their codes and then of their rows' keys.
	Findings []Finding
	// Stats count the rows.
	Stats Stats

	spans    []span // in the order of the smallest keys of their rows
	legs     []int32
	evidence []string
}

// span is a match: its rows are a part of the legs.
type span struct {
	at               int32 // of legs
	ours, theirs     int32 // how many
	evidence         int32 // its place, from 1; 0 for none
	score            int16
	pass             Pass
	oursBy, theirsBy Carrier
}

// Stats say what became of the rows of a partition. Ours is Matched + Found + Aside, and Theirs is Matched + Found.
type Stats struct {
	Ours, Theirs               int
	OursMatched, TheirsMatched int
	// OursFound and TheirsFound are rows that are in findings and in no match.
	OursFound, TheirsFound int
	// Aside are rows of ours that are in doubt or refused, and have no counterpart: nothing is expected of them.
	Aside int
	// ByPass counts matches.
	ByPass [PassSubset + 1]int
}

// Len is how many matches there are.
func (r *Result) Len() int { return len(r.spans) }

// Matches gives the matches in their order. What is given is valid until the next one.
func (r *Result) Matches() iter.Seq[Match] {
	return func(yield func(Match) bool) {
		for _, s := range r.spans {
			if !yield(r.match(s)) {
				return
			}
		}
	}
}

func (r *Result) match(s span) Match {
	m := Match{
		Ours: r.legs[s.at : s.at+s.ours : s.at+s.ours], Theirs: r.legs[s.at+s.ours : s.at+s.ours+s.theirs : s.at+s.ours+s.theirs],
		Pass: s.pass, OursBy: s.oursBy, TheirsBy: s.theirsBy, Score: s.score,
	}
	if s.evidence > 0 {
		m.Evidence = r.evidence[s.evidence-1]
	}
	return m
}

// What has become of a row.
const (
	open    uint8 = iota
	matched       // it is in a match
	found         // it is in a finding, and no later pass takes it
)

// matcher is a run over one partition.
type matcher struct {
	in    Input
	rules Rules
	out   Result

	ours, theirs []uint8 // what has become of each row
	strays       []uint8 // found: it explains a payout
}

// Run matches a partition. It does not change the order of the rows; the result does not depend on it.
func Run(in Input, r Rules) Result {
	m := &matcher{
		in: in, rules: r, ours: make([]uint8, len(in.Ours)), theirs: make([]uint8, len(in.Theirs)), strays: make([]uint8, len(in.Stray)),
	}
	m.out.spans, m.out.legs = make([]span, 0, min(len(in.Ours), len(in.Theirs))), make([]int32, 0, 2*min(len(in.Ours), len(in.Theirs)))
	m.ownFees()
	if r.Payouts {
		m.payouts()
	}
	for _, p := range r.Carriers {
		if !r.Payouts || p.Ours != CarrierPayout || p.Theirs != CarrierPayout { // these are the payouts
			m.strong(p)
		}
	}
	m.composite()
	m.window()
	m.subsets()
	m.suggestions()
	m.classify()
	m.order()
	m.count()
	return m.out
}

// take makes a match of rows.
func (m *matcher) take(ours, theirs []int32, by span, evidence string) {
	by.at, by.ours, by.theirs = int32(len(m.out.legs)), int32(len(ours)), int32(len(theirs))
	m.out.legs = append(append(m.out.legs, ours...), theirs...)
	if evidence != "" {
		m.out.evidence = append(m.out.evidence, evidence)
		by.evidence = int32(len(m.out.evidence))
	}
	m.out.spans = append(m.out.spans, by)
	for _, i := range ours {
		m.ours[i] = matched
	}
	for _, j := range theirs {
		m.theirs[j] = matched
	}
}

// find makes a finding. Rows that are open are not open any more.
func (m *matcher) find(f Finding) {
	m.out.Findings = append(m.out.Findings, f)
	settle := func(states []uint8, places []int32) {
		for _, i := range places {
			if states[i] == open {
				states[i] = found
			}
		}
	}
	settle(m.ours, f.Ours)
	settle(m.theirs, f.Theirs)
}

// byKey puts places of rows in the order of the rows' keys.
func byKey(rows []Row) func(a, b int32) int {
	return func(a, b int32) int { return bytes.Compare(rows[a].Key[:], rows[b].Key[:]) }
}

// first is the smallest key of a match's or finding's rows: ours before theirs. Rows of a match or finding are in the order of
// their keys.
func (m *matcher) first(ours, theirs []int32) Key {
	if len(ours) > 0 {
		return m.in.Ours[ours[0]].Key
	}
	return m.in.Theirs[theirs[0]].Key
}

// order puts the result in an order that does not depend on that of the rows.
func (m *matcher) order() {
	keys := make([]Key, len(m.out.spans))
	places := make([]int32, len(m.out.spans))
	for i, s := range m.out.spans {
		of := m.out.match(s)
		keys[i], places[i] = m.first(of.Ours, of.Theirs), int32(i)
	}
	slices.SortFunc(places, func(a, b int32) int { return bytes.Compare(keys[a][:], keys[b][:]) })
	sorted := make([]span, len(places))
	for i, p := range places {
		sorted[i] = m.out.spans[p]
	}
	m.out.spans = sorted
	slices.SortFunc(m.out.Findings, m.compareFindings)
}

func (m *matcher) compareFindings(a, b Finding) int {
	if a.Code != b.Code {
		return bytes.Compare([]byte(a.Code), []byte(b.Code))
	}
	compare := func(rows []Row, a, b []int32) int {
		return slices.CompareFunc(a, b, func(x, y int32) int { return bytes.Compare(rows[x].Key[:], rows[y].Key[:]) })
	}
	if c := compare(m.in.Ours, a.Ours, b.Ours); c != 0 {
		return c
	}
	return compare(m.in.Theirs, a.Theirs, b.Theirs)
}

// count fills in the stats.
func (m *matcher) count() {
	s := &m.out.Stats
	s.Ours, s.Theirs = len(m.ours), len(m.theirs)
	for _, state := range m.ours {
		switch state {
		case matched:
			s.OursMatched++
		case found:
			s.OursFound++
		default:
			s.Aside++
		}
	}
	for _, state := range m.theirs {
		if state == matched {
			s.TheirsMatched++
		} else {
			s.TheirsFound++
		}
	}
	for _, of := range m.out.spans {
		s.ByPass[of.pass]++
	}
}
