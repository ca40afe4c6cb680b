package match

import (
	"slices"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// strong is the pass by strong id, for one pair of carriers.
func (m *matcher) strong(p Pair) {
	m.bucketed(func(side int, r *Row) (bucketKey, bool) {
		c := p.Ours
		if side == sideTheirs {
			c = p.Theirs
		}
		return bucketKey{kind: m.kind(r.Kind), token: r.Carriers[c]}, !r.Carriers[c].IsZero()
	}, func(ours, theirs []int32) { m.sameID(p, ours, theirs) })
}

// sameID decides on open rows of both sides that carry the same.
func (m *matcher) sameID(p Pair, ours, theirs []int32) {
	if len(ours) == 1 && len(theirs) == 1 && m.in.Ours[ours[0]].Standing == Booked {
		m.pair(p, ours[0], theirs[0]) // nearly all
		return
	}
	of := func(s Standing) []int32 {
		return slices.DeleteFunc(slices.Clone(ours), func(i int32) bool { return m.in.Ours[i].Standing != s })
	}
	booked := of(Booked)
	switch {
	case len(booked) == 0:
		if doubted := of(InDoubt); len(doubted) > 0 {
			m.contradicted(p, breaks.UnknownResolved, doubted, theirs)
		} else {
			m.contradicted(p, breaks.StateConflict, ours, theirs)
		}
	case len(booked) == 1:
		m.oneOfOurs(p, booked[0], theirs)
	case len(theirs) == 1:
		m.oneOfTheirs(p, booked, theirs[0])
	default:
		m.several(p, booked, theirs)
	}
}

// contradicted is for rows of theirs whose counterpart is not known to have happened, or is said to have failed.
func (m *matcher) contradicted(p Pair, code breaks.Code, ours, theirs []int32) {
	if p.Shared {
		theirs = m.agreeing(ours[0], theirs)
	}
	if len(theirs) == 0 {
		return
	}
	f := Finding{Code: code, Ours: slices.Clone(ours), Theirs: slices.Clone(theirs), Payout: m.payoutOf(theirs)}
	for _, j := range theirs {
		f.Amount += m.in.Theirs[j].Amount
		if code == breaks.StateConflict { // as we have it, it should not have been paid out
			f.Effect -= m.in.Theirs[j].Net()
		}
	}
	if code == breaks.UnknownResolved {
		f.Amount -= m.in.Ours[ours[0]].Amount
	}
	m.find(f)
}

// pair decides on one row of each side that carry the same.
func (m *matcher) pair(p Pair, i, j int32) {
	if p.Shared && m.idsDiffer(&m.in.Ours[i], &m.in.Theirs[j]) {
		return
	}
	if m.in.Ours[i].Amount != m.in.Theirs[j].Amount {
		m.otherAmount([]int32{i}, []int32{j})
		return
	}
	m.same(p, []int32{i}, []int32{j})
}

// same takes rows as the same money, whose amounts tie, with notes on what does not.
func (m *matcher) same(p Pair, ours, theirs []int32) {
	score := int16(1000)
	if p.Shared {
		score = 950
	}
	by := span{pass: PassStrongID, oursBy: p.Ours, theirsBy: p.Theirs, score: score - m.notes(ours, theirs)}
	m.take(ours, theirs, by, "")
}

// notes are the findings about rows that are matched nevertheless; what is given is how much they take from the score.
func (m *matcher) notes(ours, theirs []int32) (less int16) {
	note := func(f Finding) {
		f.Ours, f.Theirs, f.Matched, f.Payout = slices.Clone(ours), slices.Clone(theirs), true, m.payoutOf(theirs)
		m.out.Findings = append(m.out.Findings, f)
		less += 100
	}
	var fee, expected int64
	known, late := true, false
	for _, i := range ours {
		expected, known = expected+m.in.Ours[i].Fee, known && m.in.Ours[i].FeeKnown
		for _, j := range theirs {
			late = late || !m.rules.Days.holds(m.in.Ours[i].Day, m.in.Theirs[j].Day)
		}
	}
	for _, j := range theirs {
		fee += m.in.Theirs[j].Fee
	}
	if late {
		note(Finding{Code: breaks.DateOutOfWindow})
	}
	if more := fee - expected; known && abs(more) > m.rules.FeeToleranceMinor {
		note(Finding{Code: breaks.FeeVariance, Amount: more, Effect: more})
	}
	return less
}

// otherAmount is for rows that belong together and whose amounts do not tie.
func (m *matcher) otherAmount(ours, theirs []int32) {
	var have, say, expected, stated int64
	for _, i := range ours {
		r := &m.in.Ours[i]
		have, expected = have+r.Amount, expected+r.Net()
	}
	known := !slices.ContainsFunc(ours, func(i int32) bool { return !m.in.Ours[i].FeeKnown })
	for _, j := range theirs {
		r := &m.in.Theirs[j]
		say, stated = say+r.Amount, stated+r.Net()
	}
	f := Finding{Code: breaks.AmountOver, Ours: slices.Clone(ours), Theirs: slices.Clone(theirs), Amount: say - have, Payout: m.payoutOf(theirs)}
	switch {
	case len(ours)+len(theirs) > 2:
		f.Code = breaks.SplitIncomplete
	case abs(say) < abs(have):
		f.Code = breaks.AmountUnder
	}
	if f.Effect = have - say; known {
		f.Effect = expected - stated
	}
	m.find(f)
}

// oneOfOurs decides on a row of ours and several of theirs that carry the same.
func (m *matcher) oneOfOurs(p Pair, i int32, theirs []int32) {
	if p.Shared {
		theirs = m.agreeing(i, theirs)
	}
	switch len(theirs) {
	case 0:
		return
	case 1:
		m.pair(p, i, theirs[0])
		return
	}
	parts, rest, ok := partsOf(m.in.Theirs, theirs, m.in.Ours[i].Amount)
	if !ok {
		m.otherAmount([]int32{i}, theirs)
		return
	}
	m.same(p, []int32{i}, parts)
	for _, j := range rest { // what is there twice; anything else goes on
		r := &m.in.Theirs[j]
		if slices.ContainsFunc(parts, func(k int32) bool { return m.in.Theirs[k].Amount == r.Amount }) {
			m.find(Finding{
				Code: breaks.DuplicateExternal, Ours: []int32{i}, Theirs: []int32{j}, Amount: r.Amount,
				Payout: r.Carriers[CarrierPayout], Effect: -r.Net(),
			})
		}
	}
}

// oneOfTheirs decides on a row of theirs and several of ours that carry the same.
func (m *matcher) oneOfTheirs(p Pair, ours []int32, j int32) {
	if p.Shared {
		ours = slices.DeleteFunc(ours, func(i int32) bool { return m.idsDiffer(&m.in.Ours[i], &m.in.Theirs[j]) })
	}
	switch len(ours) {
	case 0:
		return
	case 1:
		m.pair(p, ours[0], j)
		return
	}
	parts, rest, ok := partsOf(m.in.Ours, ours, m.in.Theirs[j].Amount)
	twice := func(i int32) bool {
		return slices.ContainsFunc(parts, func(k int32) bool { return m.in.Ours[k].Amount == m.in.Ours[i].Amount })
	}
	switch {
	case !ok && !p.Shared:
		m.otherAmount(ours, []int32{j})
		return
	case !ok, p.Shared && slices.ContainsFunc(rest, twice): // which of them it is cannot be told
		return
	}
	m.same(p, parts, []int32{j})
	for _, i := range rest {
		if twice(i) {
			m.find(Finding{Code: breaks.DuplicateInternal, Ours: []int32{i}, Theirs: []int32{j}, Amount: -m.in.Ours[i].Amount})
		}
	}
}

// several decides on several rows of each side that carry the same: those that are the only ones of their amount are a pair,
// and of those that name one movement, as many as there are on both sides.
func (m *matcher) several(p Pair, ours, theirs []int32) {
	for len(ours) > 0 {
		amount := m.in.Ours[ours[0]].Amount
		mine, others := m.ofAmount(m.in.Ours, ours, amount)
		theirsToo, rest := m.ofAmount(m.in.Theirs, theirs, amount)
		ours, theirs = others, rest
		if p.Shared && (len(mine) > 1 || len(theirsToo) > 1) {
			continue
		}
		for n := range min(len(mine), len(theirsToo)) {
			m.pair(p, mine[n], theirsToo[n])
		}
	}
}

// ofAmount splits rows into those of an amount and the others.
func (m *matcher) ofAmount(rows []Row, places []int32, amount int64) (of, others []int32) {
	for _, i := range places {
		if rows[i].Amount == amount {
			of = append(of, i)
		} else {
			others = append(others, i)
		}
	}
	return of, others
}

// agreeing are the rows of theirs whose ids do not say that they are another movement than this one of ours.
func (m *matcher) agreeing(i int32, theirs []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(theirs), func(j int32) bool { return m.idsDiffer(&m.in.Ours[i], &m.in.Theirs[j]) })
}

// idsDiffer says whether two rows carry ids that name one movement each, and none of them is the same.
func (m *matcher) idsDiffer(o, t *Row) bool { return m.differ(o, t, false) }

// differ says whether two rows carry something in a pair of carriers – one that is shared, or one that is not – and in none
// of them the same.
func (m *matcher) differ(o, t *Row, shared bool) bool {
	comparable := false
	for _, p := range m.rules.Carriers {
		a, b := o.Carriers[p.Ours], t.Carriers[p.Theirs]
		if p.Shared != shared || a.IsZero() || b.IsZero() {
			continue
		}
		if a == b {
			return false
		}
		comparable = true
	}
	return comparable
}

// payoutOf is the payout that rows of theirs are part of.
func (m *matcher) payoutOf(theirs []int32) Token {
	if len(theirs) == 0 || m.rules.Payouts {
		return Token{}
	}
	return m.in.Theirs[theirs[0]].Carriers[CarrierPayout]
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// maxParts is how many rows that carry the same are taken apart. More are taken all together or not at all.
const maxParts = 16

// partsOf finds the rows that come to an amount, all of them if they do. Rows of the same amount are as good as each other, and
// the ones with the smallest keys are taken; where there is more than one way besides that, there is none.
func partsOf(rows []Row, places []int32, amount int64) (parts, rest []int32, ok bool) {
	var sum int64
	for _, i := range places {
		sum += rows[i].Amount
	}
	if sum == amount {
		return places, nil, true
	}
	if len(places) > maxParts {
		return nil, nil, false
	}
	var amounts []int64 // each once
	counts := map[int64]int{}
	for _, i := range places {
		if counts[rows[i].Amount] == 0 {
			amounts = append(amounts, rows[i].Amount)
		}
		counts[rows[i].Amount]++
	}
	slices.Sort(amounts)
	solutions, taken, solution := 0, make([]int, len(amounts)), []int(nil)
	var try func(n int, left int64)
	try = func(n int, left int64) {
		if n == len(amounts) {
			if left == 0 && slices.Max(taken) > 0 {
				solutions++
				solution = slices.Clone(taken)
			}
			return
		}
		for k := range counts[amounts[n]] + 1 {
			taken[n] = k
			try(n+1, left-int64(k)*amounts[n])
		}
		taken[n] = 0
	}
	try(0, amount)
	if solutions != 1 {
		return nil, nil, false
	}
	for _, i := range places {
		if n := slices.Index(amounts, rows[i].Amount); solution[n] > 0 {
			solution[n]--
			parts = append(parts, i)
		} else {
			rest = append(rest, i)
		}
	}
	return parts, rest, true
}
