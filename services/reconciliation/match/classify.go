package match

import (
	"slices"
	"strconv"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// own matches what needs no counterpart: theirs of kinds that never have one, and payouts of nothing.
func (m *matcher) own() {
	for _, t := range m.theirs.open {
		if kind := m.theirs.rows[t].Kind; slices.Contains(m.rules.Own, kind) {
			m.take(nil, []int32{t}, proof{pass: PassOwn, score: scoreWhole, evidence: `{"own":"` + kind.String() + `"}`})
		}
	}
	if m.rules.Stage != StageBank {
		return
	}
	payouts := map[Token][]int32{}
	for _, o := range m.ours.booked() {
		row := &m.ours.rows[o]
		switch token := row.Carriers[CarrierPayout]; {
		case row.Kind != KindPayout:
		case token.IsZero():
			m.ownPayout([]int32{o})
		default:
			payouts[token] = append(payouts[token], o)
		}
	}
	for _, rows := range payouts {
		m.ownPayout(rows)
	}
}

// ownPayout matches a payout that moves nothing.
func (m *matcher) ownPayout(ours []int32) {
	amount := m.ours.sum(ours)
	for _, off := range m.offs(ours) {
		switch {
		case amount+off != 0:
			continue
		case off == 0:
			m.take(ours, nil, proof{pass: PassOwn, score: scoreWhole, evidence: `{"own":"payout"}`})
		default:
			m.take(ours, nil, proof{pass: PassOwn, score: scorePart, evidence: `{"own":"payout","adjusted":` + strconv.FormatInt(off, 10) + `}`})
		}
		return
	}
}

// residuals finds what belongs together by an id that several may share, and that no pass could tell apart.
func (m *matcher) residuals() {
	for i := range m.rules.Carriers {
		p := &m.rules.Carriers[i]
		m.eachBucket(p, m.ours.booked(), m.theirs.open, func(ours, theirs []int32) bool {
			if len(ours)+len(theirs) <= maxFamily {
				for _, f := range families(ours, theirs, func(o, t int32) bool { return m.ties(p, o, t) }) {
					m.residual(f)
				}
			}
			return m.goOn()
		})
		m.ours.sweep()
		m.theirs.sweep()
	}
}

func (m *matcher) residual(f family) {
	if len(f.ours) == 0 || len(f.theirs) == 0 {
		return
	}
	difference := m.theirs.sum(f.theirs) - m.ours.sum(f.ours)
	sameAmount := slices.ContainsFunc(f.ours, func(o int32) bool {
		return slices.ContainsFunc(f.theirs, func(t int32) bool { return m.ours.rows[o].Amount == m.theirs.rows[t].Amount })
	})
	switch {
	case sameAmount:
		m.ambiguous(f, "several carry the same id")
	case len(f.ours) == 1 && len(f.theirs) == 1:
		m.find(byDifference(difference), f.ours, f.theirs, difference, "")
	default:
		m.find(breaks.SplitIncomplete, f.ours, f.theirs, difference, "")
	}
}

// mismatches suggests rows that are the only ones with their amount in the window, and that only their references keep apart.
func (m *matcher) mismatches() {
	m.contradicted()
	ours, theirs := m.ours.booked(), m.theirs.open
	among, back := newIndex(byAmount, m.theirs.rows, theirs), newIndex(byAmount, m.ours.rows, ours)
	for _, o := range ours {
		if !m.goOn() {
			return
		}
		row := &m.ours.rows[o]
		carried := carries(row)
		s := m.rules.windowOf(row)
		s.least, s.most = row.Amount, row.Amount
		t, only := among.only(row.Kind, func(theirs uint8) bool { return !m.links.unlikeIDs(row.Kind, carried, theirs) }, s)
		if !only || !m.links.relate(row, &m.theirs.rows[t]).suspect() {
			continue
		}
		other := &m.theirs.rows[t]
		carried = carries(other)
		_, only = back.only(row.Kind, func(ours uint8) bool { return !m.links.unlikeIDs(row.Kind, ours, carried) }, m.rules.windowFor(other))
		if only {
			m.find(breaks.ReferenceMismatch, []int32{o}, []int32{t}, 0, "")
		}
	}
	m.ours.sweep()
	m.theirs.sweep()
}

// only gives the one row in a span, if there is only one.
func (x *index) only(kind Kind, fits func(uint8) bool, s span) (row int32, only bool) {
	found := 0
	x.each(kind, fits, s, func(from, to int) bool {
		found += to - from
		row = x.entries[from].row
		return found < 2
	})
	return row, found == 1
}

// contradicted suggests rows that agree in one id and not in another.
func (m *matcher) contradicted() {
	for i := range m.rules.Carriers {
		m.eachBucket(&m.rules.Carriers[i], m.ours.booked(), m.theirs.open, func(ours, theirs []int32) bool {
			m.aloneWithAmount(ours, theirs, func(o, t int32) {
				mine, other := &m.ours.rows[o], &m.theirs.rows[t]
				if m.links.relate(mine, other).suspect() && m.rules.Window.holds(mine.Day, other.Day) {
					m.find(breaks.ReferenceMismatch, []int32{o}, []int32{t}, 0, "")
				}
			})
			return m.goOn()
		})
		m.ours.sweep()
		m.theirs.sweep()
	}
}

// classify is pass 7: it says what all the rest is.
func (m *matcher) classify() {
	nearest := m.newNearest()
	for _, o := range m.ours.booked() {
		if !m.goOn() {
			return
		}
		row := &m.ours.rows[o]
		code := breaks.MissingAtProvider
		switch {
		case row.Due >= m.in.AsOf:
			code = breaks.TimingOpen
		case m.rules.Stage == StageBank:
			code = breaks.MissingAtBank
		}
		m.find(code, []int32{o}, nil, -row.Amount, nearest.toOurs(o))
	}
	for _, t := range m.theirs.open {
		if !m.goOn() {
			return
		}
		row := &m.theirs.rows[t]
		m.find(m.unexplained(row), nil, []int32{t}, row.Amount, nearest.toTheirs(t))
	}
}

// unexplained says what a row of theirs is that nothing of ours explains.
func (m *matcher) unexplained(row *Row) breaks.Code {
	switch {
	case row.Kind == KindPayout, m.rules.Stage == StageBank && !row.Carriers[CarrierPayout].IsZero():
		return breaks.PayoutUnexplained
	case row.Kind == KindRefund, row.Kind == KindReturn:
		return breaks.ReturnUnmatched
	case row.Kind == KindChargeback, row.Kind == KindChargebackReversal:
		return breaks.ChargebackUnmatched
	}
	return breaks.MissingInternally
}
