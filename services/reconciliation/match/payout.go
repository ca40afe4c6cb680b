package match

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// payoutPair ties a payout to its lines on the bank statement.
var payoutPair = Pair{Kinds: []Kind{KindPayout}, Ours: CarrierPayout, Theirs: []Carrier{CarrierPayout}}

// payouts is pass 3: the lines of a report come to the credit at the bank. It goes ahead of pass 2, for a payout's id on a bank
// line proves more than the only line with its amount on a day.
func (m *matcher) payouts() {
	if m.rules.Stage != StageBank || !m.rules.on(PassPayout) {
		return
	}
	var off []credit
	m.eachBucket(&payoutPair, m.ours.booked(), m.theirs.open, func(ours, theirs []int32) bool {
		if c, ties := m.credit(ours, theirs); !ties {
			off = append(off, c)
		}
		return m.goOn()
	})
	if len(off) > 0 && len(m.in.Stray) > 0 {
		m.seekStrays(off)
	}
	for i := range off {
		m.offCredit(&off[i])
	}
}

// credit is a payout that comes to something else than its lines on the bank statement, and what strays explain it.
type credit struct {
	ours, theirs []int32
	offs         []int64
	strays       []int32 // places in Input.Stray
	counted      int64   // which of offs had to be counted in besides
	solutions    int     // two stands for more
}

func (m *matcher) byPayout(score int16, evidence string) proof {
	return proof{pass: PassPayout, oursBy: CarrierPayout, theirsBy: CarrierPayout, score: score, evidence: evidence}
}

// credit matches a payout with its bank lines when they come to the same, as reported or with what the report is known to be off.
func (m *matcher) credit(ours, theirs []int32) (c credit, ties bool) {
	c.offs = m.offs(ours)
	reported, arrived := m.ours.sum(ours), m.theirs.sum(theirs)
	for _, adjust := range c.offs {
		by := m.byPayout(scoreWhole, "")
		if adjust != 0 {
			by = m.byPayout(scorePart, `{"adjusted":`+strconv.FormatInt(adjust, 10)+`}`)
		}
		if arrived == reported+adjust {
			m.take(ours, theirs, by)
			return c, true
		}
		// One line may be all of it: then the others are too much.
		entire := slices.DeleteFunc(slices.Clone(theirs), func(t int32) bool { return m.theirs.rows[t].Amount != reported+adjust })
		if len(entire) == 0 {
			continue
		}
		first := m.theirs.earliest(entire, func(t int32) bool { return m.inTime(ours, []int32{t}) })
		m.take(ours, []int32{first}, by)
		m.surplus(ours, without(theirs, first), m.theirs.rows[first].Amount)
		return c, true
	}
	c.ours, c.theirs = slices.Clone(ours), slices.Clone(theirs)
	return c, false
}

// offs are by how much credits may differ from payouts that belong together.
func (m *matcher) offs(payouts []int32) []int64 {
	refused := int64(0)
	for _, o := range payouts {
		refused += m.ours.rows[o].Refused
	}
	return offsOf(m.adjusted(payouts), refused)
}

// adjusted is by how much payouts are known to be off.
func (m *matcher) adjusted(payouts []int32) (adjust int64) {
	for _, o := range payouts {
		adjust += m.ours.rows[o].Adjust
	}
	return adjust
}

// surplus finds that there are more bank lines of a payout than it needs.
func (m *matcher) surplus(ours, theirs []int32, amount int64) {
	var rest []int32
	for _, t := range theirs {
		if m.theirs.rows[t].Amount == amount {
			m.find(breaks.DuplicateExternal, ours, []int32{t}, amount, "")
		} else {
			rest = append(rest, t)
		}
	}
	if len(rest) > 0 {
		m.find(breaks.SplitIncomplete, ours, rest, m.theirs.sum(rest), "")
	}
}

// seekStrays looks for rows that another stage misses and that make up for what payouts are off. A stray that would explain two
// payouts explains none.
func (m *matcher) seekStrays(off []credit) {
	byDay := make([]int32, len(m.in.Stray))
	for i := range byDay {
		byDay[i] = int32(i)
	}
	slices.SortFunc(byDay, func(a, b int32) int {
		ra, rb := &m.in.Stray[a], &m.in.Stray[b]
		return cmp.Or(cmp.Compare(ra.Day, rb.Day), compareKeys(ra, rb))
	})
	uses := make([]int, len(m.in.Stray))
	for i := range off {
		if !m.goOn() {
			return
		}
		m.strayed(&off[i], byDay)
		for _, s := range off[i].strays {
			uses[s]++
		}
	}
	for i := range off {
		if slices.ContainsFunc(off[i].strays, func(s int32) bool { return uses[s] > 1 }) {
			off[i].solutions = 2
		}
	}
}

// strayed looks for the strays of the days before one payout that come to what it is off.
func (m *matcher) strayed(c *credit, byDay []int32) {
	first, last := m.ours.days(c.ours)
	from, _ := slices.BinarySearchFunc(byDay, first-Day(m.rules.Wide.After), func(i int32, d Day) int { return cmp.Compare(m.in.Stray[i].Day, d) })
	to, _ := slices.BinarySearchFunc(byDay, last+Day(m.rules.Wide.Before)+1, func(i int32, d Day) int { return cmp.Compare(m.in.Stray[i].Day, d) })
	near := byDay[from:max(from, to)]
	nets := make([]int64, len(near))
	for i, s := range near {
		nets[i] = m.in.Stray[s].Net()
	}
	residual := m.theirs.sum(c.theirs) - m.ours.sum(c.ours)
	for _, adjust := range c.offs {
		found := m.rules.Subset.byChance(nets, residual-adjust, 1)
		if c.solutions += found.solutions; found.solutions > 0 {
			c.strays, c.counted = nil, adjust
			for _, i := range found.first {
				c.strays = append(c.strays, near[i])
			}
		}
	}
}

// offCredit says what is to be said of a payout that does not come to its lines.
func (m *matcher) offCredit(c *credit) {
	residual := m.theirs.sum(c.theirs) - m.ours.sum(c.ours) - m.adjusted(c.ours)
	switch {
	case c.solutions == 1:
		m.take(c.ours, c.theirs, m.byPayout(scorePart-scoreLate, m.strayEvidence(c)))
	case c.solutions > 1:
		m.ambiguous(family{c.ours, c.theirs}, "several sets of strays come to the residual")
	case len(c.offs) == 1 && len(c.ours) == 1 && len(c.theirs) == 1:
		m.find(byDifference(residual), c.ours, c.theirs, residual, "")
	default:
		m.find(breaks.SplitIncomplete, c.ours, c.theirs, residual, "")
	}
}

func (m *matcher) strayEvidence(c *credit) string {
	text := []byte("{")
	if c.counted != 0 {
		text = strconv.AppendInt(append(text, `"adjusted":`...), c.counted, 10)
		text = append(text, ',')
	}
	text = append(text, `"strays":[`...)
	slices.SortFunc(c.strays, func(a, b int32) int { return compareKeys(&m.in.Stray[a], &m.in.Stray[b]) })
	for i, s := range c.strays {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(hex.AppendEncode(append(text, '"'), m.in.Stray[s].Key[:]), '"')
	}
	return string(append(text, "]}"...))
}
