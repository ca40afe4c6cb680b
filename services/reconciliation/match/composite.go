package match

import (
	"cmp"
	"slices"
)

// otherPlaces are where a reference of ours may have got to on the way: banks put it into other fields than it was given in.
var otherPlaces = []Pair{
	{Ours: CarrierReference, Theirs: []Carrier{CarrierReference}},
	{Ours: CarrierReference, Theirs: []Carrier{CarrierKey}},
	{Ours: CarrierReference, Theirs: []Carrier{CarrierID}},
	{Ours: CarrierKey, Theirs: []Carrier{CarrierReference}},
	{Ours: CarrierKey, Theirs: []Carrier{CarrierID}},
}

// composite is pass 2: rows that are the only ones with their reference and amount, wherever the reference stands, and then the
// only ones with their amount and day.
func (m *matcher) composite() {
	if !m.rules.on(PassComposite) {
		return
	}
	for i := range otherPlaces {
		m.byReference(&otherPlaces[i])
	}
	m.byDay()
}

func (m *matcher) byReference(p *Pair) {
	m.eachBucket(p, m.ours.booked(), m.theirs.open, func(ours, theirs []int32) bool {
		m.aloneWithAmount(ours, theirs, func(o, t int32) {
			mine, other := &m.ours.rows[o], &m.theirs.rows[t]
			if m.links.relate(mine, other)&otherID == 0 && m.rules.Wide.holds(mine.Day, other.Day) {
				_, by := p.theirs(other)
				m.take([]int32{o}, []int32{t}, proof{
					pass: PassComposite, oursBy: p.Ours, theirsBy: by, score: scorePart, evidence: `{"by":"reference and amount"}`,
				})
			}
		})
		return m.goOn()
	})
	m.ours.sweep()
	m.theirs.sweep()
}

// point is an open row by its amount and day.
type point struct {
	amount int64
	day    Day
	row    int32
	kind   Kind
	theirs bool
}

func pointOf(row *Row, place int32, theirs bool) point {
	return point{row.Amount, row.Day, place, row.Kind, theirs}
}

// byDay takes rows of both sides that are the only open ones with their kind, amount and day.
func (m *matcher) byDay() {
	points := make([]point, 0, len(m.ours.open)+len(m.theirs.open))
	for _, o := range m.ours.booked() {
		row := &m.ours.rows[o]
		for _, off := range row.offs() { // it may be any of them; which one is left to pass 4
			points = append(points, point{row.Amount + off, row.Day, o, row.Kind, false})
		}
	}
	for _, t := range m.theirs.open {
		points = append(points, pointOf(&m.theirs.rows[t], t, true))
	}
	slices.SortFunc(points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.amount, b.amount), cmp.Compare(a.day, b.day))
	})
	same := func(i, j int) bool { return points[i].kind == points[j].kind && points[i].amount == points[j].amount }
	for i := 0; i < len(points) && m.goOn(); {
		end := i + 1
		for end < len(points) && same(i, end) && points[end].day == points[i].day {
			end++
		}
		if end-i == 2 && points[i].theirs != points[i+1].theirs && (m.rules.Closest || !m.rivals(points, i, same)) {
			o, t := points[i].row, points[i+1].row
			if points[i].theirs {
				o, t = t, o
			}
			ours := &m.ours.rows[o]
			if len(ours.offs()) == 1 && m.links.relate(ours, &m.theirs.rows[t]).possible() {
				m.take([]int32{o}, []int32{t}, proof{pass: PassComposite, score: scoreAmount, evidence: `{"by":"amount and day"}`})
			}
		}
		i = end
	}
}

// maxRivals is how many rows of other days are looked at before there is taken to be a rival among them.
const maxRivals = 64

// rivals says whether for one of the pair of points at i there may be another candidate in the window. Whether its ids speak
// against it is left to pass 4.
func (m *matcher) rivals(points []point, i int, same func(i, j int) bool) bool {
	day, w := points[i].day, m.rules.Window
	rival := func(j int) bool {
		if points[j].theirs {
			return w.holds(day, points[j].day)
		}
		return w.holds(points[j].day, day)
	}
	for j := i - 1; j >= 0 && same(i, j); j-- {
		if rival(j) || i-j > maxRivals {
			return true
		}
		if int(day-points[j].day) > max(w.Before, w.After) {
			break
		}
	}
	for j := i + 2; j < len(points) && same(i, j); j++ {
		if rival(j) || j-i > maxRivals {
			return true
		}
		if int(points[j].day-day) > max(w.Before, w.After) {
			break
		}
	}
	return false
}
