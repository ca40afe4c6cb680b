package match

import (
	"fmt"
	"slices"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// record is a match as it is kept: a million of them are two slices without pointers.
type record struct {
	at           uint32 // where its legs begin; ours come first
	ours, theirs uint32 // how many there are
	evidence     int32
	score        int16
	pass         Pass
	oursBy       Carrier
	theirsBy     Carrier
}

// collector is what a run has come to.
type collector struct {
	legs     []int32
	records  []record
	evidence []string
	known    map[string]int32 // places in evidence
	findings []Finding
	spare    []int32 // room for the places of findings
}

func (c *collector) begin(pairs int) {
	c.legs, c.records = make([]int32, 0, 2*pairs), make([]record, 0, pairs)
	c.evidence, c.known = []string{""}, map[string]int32{}
}

// proof is how a match was proven.
type proof struct {
	pass             Pass
	oursBy, theirsBy Carrier
	score            int16
	evidence         string
}

// The scores of matches, by what speaks for them.
const (
	scoreWhole    = whole // everything ties
	scorePart     = 950   // what is known to be off had to be counted in
	scoreAmount   = 900   // there was no id
	scoreSubset   = 800   // nor one amount
	scoreLate     = 50    // less, where the days are far apart
	scoreVariance = 20    // less, where the fee is another
)

// take matches rows, and notes what of them does not tie. The slices are not kept.
func (m *matcher) take(ours, theirs []int32, by proof) {
	c := &m.out
	late := len(ours) > 0 && len(theirs) > 0 && !m.inTime(ours, theirs)
	fee, varies := m.feeVariance(ours, theirs)
	if late {
		by.score -= scoreLate
	}
	if varies {
		by.score -= scoreVariance
	}
	at := uint32(len(c.legs))
	c.legs = append(append(c.legs, ours...), theirs...)
	slices.Sort(c.legs[at : at+uint32(len(ours))])
	slices.Sort(c.legs[at+uint32(len(ours)):])
	c.records = append(c.records, record{
		at: at, ours: uint32(len(ours)), theirs: uint32(len(theirs)), evidence: c.evidenceOf(by.evidence),
		score: by.score, pass: by.pass, oursBy: by.oursBy, theirsBy: by.theirsBy,
	})
	m.decide(&m.ours, ours, isMatched)
	m.decide(&m.theirs, theirs, isMatched)
	if late {
		m.note(breaks.DateOutOfWindow, ours, theirs, 0)
	}
	if varies {
		m.note(breaks.FeeVariance, ours, theirs, fee)
	}
}

func (c *collector) evidenceOf(text string) int32 {
	if text == "" {
		return 0
	}
	at, known := c.known[text]
	if !known {
		at = int32(len(c.evidence))
		c.evidence = append(c.evidence, text)
		c.known[text] = at
	}
	return at
}

// decide gives open rows their fate.
func (m *matcher) decide(s *side, places []int32, to fate) {
	for _, i := range places {
		if s.fate[i] == isOpen {
			s.fate[i] = to
			m.decided++
		}
	}
}

// inTime says whether all of theirs are within the window of all of ours.
func (m *matcher) inTime(ours, theirs []int32) bool {
	if len(ours) == 1 && len(theirs) == 1 {
		return m.rules.Window.holds(m.ours.rows[ours[0]].Day, m.theirs.rows[theirs[0]].Day)
	}
	firstOurs, lastOurs := m.ours.days(ours)
	firstTheirs, lastTheirs := m.theirs.days(theirs)
	return m.rules.Window.holds(firstOurs, lastTheirs) && m.rules.Window.holds(lastOurs, firstTheirs)
}

// days are the first and the last day of rows, of which there is one at least.
func (s *side) days(places []int32) (first, last Day) {
	first = s.rows[places[0]].Day
	last = first
	for _, i := range places[1:] {
		first, last = min(first, s.rows[i].Day), max(last, s.rows[i].Day)
	}
	return first, last
}

// feeVariance is by how much theirs kept more than expected, and whether that is too much.
func (m *matcher) feeVariance(ours, theirs []int32) (more int64, varies bool) {
	if len(ours) == 0 || len(theirs) == 0 {
		return 0, false
	}
	for _, i := range ours {
		if !m.ours.rows[i].FeeKnown {
			return 0, false
		}
		more -= m.ours.rows[i].Fee
	}
	for _, j := range theirs {
		more += m.theirs.rows[j].Fee
	}
	return more, max(more, -more) > m.rules.FeeTolerance
}

// note adds a finding about rows that are matched.
func (m *matcher) note(code breaks.Code, ours, theirs []int32, amount int64) {
	m.add(Finding{Code: code, Ours: ours, Theirs: theirs, Amount: amount, Matched: true})
}

// find adds a finding about rows, and takes those that are open out of all that follows.
func (m *matcher) find(code breaks.Code, ours, theirs []int32, amount int64, nearest string) {
	m.add(Finding{Code: code, Ours: ours, Theirs: theirs, Amount: amount, Nearest: nearest})
	m.decide(&m.ours, ours, isNamed)
	m.decide(&m.theirs, theirs, isNamed)
}

func (m *matcher) add(f Finding) {
	f.Ours, f.Theirs = m.out.keep(f.Ours), m.out.keep(f.Theirs)
	if m.rules.Stage == StageProvider {
		f.Payout, f.Effect = m.effect(&f)
	}
	m.out.findings = append(m.out.findings, f)
}

// keep copies places, and puts them in order.
func (c *collector) keep(places []int32) []int32 {
	if len(places) == 0 {
		return nil
	}
	if cap(c.spare)-len(c.spare) < len(places) {
		c.spare = make([]int32, 0, max(1<<12, len(places)))
	}
	at := len(c.spare)
	c.spare = append(c.spare, places...)
	kept := c.spare[at:len(c.spare):len(c.spare)]
	slices.Sort(kept)
	return kept
}

// effect says by how much a payout is off because of a finding: what should have been paid out less what the report says.
func (m *matcher) effect(f *Finding) (payout Token, effect int64) {
	if len(f.Theirs) == 0 {
		return Token{}, 0
	}
	payout = m.theirs.rows[f.Theirs[0]].Carriers[CarrierPayout]
	net := int64(0)
	for _, j := range f.Theirs {
		row := &m.theirs.rows[j]
		if row.Carriers[CarrierPayout] != payout {
			return Token{}, 0
		}
		net += row.Net()
	}
	if payout.IsZero() {
		return Token{}, 0
	}
	switch f.Code {
	case breaks.FeeVariance:
		return payout, f.Amount
	case breaks.AmountOver, breaks.AmountUnder:
		return payout, -f.Amount
	case breaks.SplitIncomplete:
		if len(f.Ours) > 0 && m.ours.fate[f.Ours[0]] == isOpen {
			return payout, -f.Amount
		}
		return payout, -net
	case breaks.DuplicateExternal, breaks.MissingInternally, breaks.ReturnUnmatched, breaks.ChargebackUnmatched, breaks.PayoutUnexplained:
		return payout, -net
	}
	return payout, 0
}

// result puts all in order, and proves that it accounts for every row.
func (c *collector) result(m *matcher) (Result, error) {
	r := Result{Findings: c.findings, legs: c.legs, records: c.records, evidence: c.evidence}
	r.order = c.byFirst(len(m.ours.rows), len(m.theirs.rows))
	slices.SortStableFunc(r.Findings, compareFindings)
	if err := r.Stats.take(m, &r); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrInvariant, err)
	}
	return r, nil
}

// byFirst orders records by their first rows. No row is in two, so that each has a place of its own.
func (c *collector) byFirst(ours, theirs int) []int32 {
	first := make([]int32, ours+theirs) // by place, ours before theirs: the record, from 1
	for i := range c.records {
		rec := &c.records[i]
		at := int(c.legs[rec.at])
		if rec.ours == 0 {
			at += ours
		}
		first[at] = int32(i) + 1
	}
	order := first[:0]
	for _, record := range first {
		if record != 0 {
			order = append(order, record-1)
		}
	}
	return order
}
