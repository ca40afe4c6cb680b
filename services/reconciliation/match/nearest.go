package match

import (
	"encoding/hex"
	"strconv"
)

// nearest finds the candidate that came closest to a row that is left: one that carries the same, or else one that is left too,
// has the same amount, and is nearest in days.
type nearest struct {
	m            *matcher
	ours, theirs *index
}

func (m *matcher) newNearest() *nearest {
	return &nearest{m: m, ours: newIndex(byAmount, m.ours.rows, m.ours.booked()), theirs: newIndex(byAmount, m.theirs.rows, m.theirs.open)}
}

// toOurs says what came closest to a row of ours; empty for nothing.
func (n *nearest) toOurs(o int32) string {
	t := int32(-1)
	if n.m.hintOurs != nil {
		t = n.m.hintOurs[o] - 1
	}
	row := &n.m.ours.rows[o]
	if t < 0 {
		t = n.theirs.nearest(row)
	}
	if t < 0 {
		return ""
	}
	return n.m.why(o, t, &n.m.theirs, t)
}

// toTheirs says what came closest to a row of theirs; empty for nothing.
func (n *nearest) toTheirs(t int32) string {
	o := int32(-1)
	if n.m.hintTheirs != nil {
		o = n.m.hintTheirs[t] - 1
	}
	row := &n.m.theirs.rows[t]
	if o < 0 {
		o = n.ours.nearest(row)
	}
	if o < 0 {
		return ""
	}
	return n.m.why(o, t, &n.m.ours, o)
}

// nearest is the row of the same kind and amount whose day is nearest, and of these the one with the smallest key; -1 for none. The
// index goes by amount.
func (x *index) nearest(row *Row) int32 {
	best, apart := int32(-1), int64(0)
	consider := func(at int, s shelf) {
		if at < s.from || at >= s.to || x.entries[at].first != row.Amount {
			return
		}
		e := x.entries[at]
		if d := max(e.second-int64(row.Day), int64(row.Day)-e.second); best < 0 || d < apart || d == apart && e.row < best {
			best, apart = e.row, d
		}
	}
	for _, s := range x.shelves {
		if s.kind != row.Kind {
			continue
		}
		at := x.search(s.from, s.to, row.Amount, int64(row.Day))
		consider(at, s)
		if at > s.from { // the first with the day before
			consider(x.search(s.from, s.to, row.Amount, x.entries[at-1].second), s)
		}
	}
	return best
}

// why says, as JSON, what keeps two rows apart: the row that came closest, what of it does not tie, and by how much.
func (m *matcher) why(o, t int32, of *side, place int32) string {
	ours, theirs := &m.ours.rows[o], &m.theirs.rows[t]
	text := hex.AppendEncode([]byte(`{"row":"`), of.rows[place].Key[:])
	text = append(text, `","failed":[`...)
	failed := func(what string) {
		if text[len(text)-1] != '[' {
			text = append(text, ',')
		}
		text = append(append(append(text, '"'), what...), '"')
	}
	rel := m.links.relate(ours, theirs)
	if rel&otherID != 0 {
		failed("id")
	}
	if rel&otherShared != 0 {
		failed("reference")
	}
	if theirs.Amount != ours.Amount {
		failed("amount")
	}
	if !m.rules.Window.holds(ours.Day, theirs.Day) {
		failed("day")
	}
	if ours.Standing == InDoubt || ours.Standing == Refused {
		failed("standing")
	}
	if fate := of.fate[place]; fate == isMatched || fate == isSettled {
		failed("taken")
	}
	text = append(text, `],"amount":`...)
	text = strconv.AppendInt(text, theirs.Amount-ours.Amount, 10)
	text = append(text, `,"days":`...)
	text = strconv.AppendInt(text, int64(theirs.Day-ours.Day), 10)
	return string(append(text, '}'))
}
