package match

import (
	"cmp"
	"slices"
)

// index is rows of one side, so that those of a kind that carry something, with amounts and days in a range, lie together.
type index struct {
	points  []point
	shelves []shelf
}

// shelf is the points of one kind that carry something in the same carriers, in the order of amount, day and key.
type shelf struct {
	kind     Kind
	carries  uint8
	from, to int
}

func newIndex(rows []Row, places []int32) *index {
	x := &index{points: make([]point, 0, len(places))}
	for _, i := range places {
		x.points = append(x.points, pointOf(&rows[i], i, false))
	}
	slices.SortFunc(x.points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.carries, b.carries), cmp.Compare(a.amount, b.amount),
			cmp.Compare(a.day, b.day), cmp.Compare(a.row, b.row))
	})
	for i, p := range x.points {
		if i == 0 || p.kind != x.points[i-1].kind || p.carries != x.points[i-1].carries {
			x.shelves = append(x.shelves, shelf{kind: p.kind, carries: p.carries, from: i})
		}
		x.shelves[len(x.shelves)-1].to = i + 1
	}
	return x
}

// span is what is looked for in an index, all of it inclusive.
type span struct {
	least, most int64
	from, to    Day
}

// each visits the ranges of points of a kind within a span, on the shelves whose carriers fit. A range is of one amount. It ends
// when visit returns false.
func (x *index) each(kind Kind, fits func(carries uint8) bool, s span, visit func(from, to int) bool) {
	for _, shelf := range x.shelves {
		if shelf.kind != kind || !fits(shelf.carries) {
			continue
		}
		at := x.search(shelf.from, shelf.to, s.least, s.from)
		for at < shelf.to && x.points[at].amount <= s.most {
			amount := x.points[at].amount
			switch day := x.points[at].day; {
			case day < s.from:
				at = x.search(at, shelf.to, amount, s.from)
				continue
			case day > s.to:
				at = x.search(at, shelf.to, amount+1, s.from)
				continue
			}
			end := x.search(at, shelf.to, amount, s.to+1)
			if !visit(at, end) {
				return
			}
			at = end
		}
	}
}

// search is the first point from which on amount and day are not less.
func (x *index) search(from, to int, amount int64, day Day) int {
	at, _ := slices.BinarySearchFunc(x.points[from:to], amount, func(p point, amount int64) int {
		return cmp.Or(cmp.Compare(p.amount, amount), cmp.Compare(p.day, day), 1)
	})
	return from + at
}

// windowOf is where theirs may be for a row of ours, by an amount.
func (r *Rules) windowOf(row *Row, amount int64) span {
	within := r.Tolerance.of(amount)
	return span{amount - within, amount + within, row.Day - Day(r.Window.Before), row.Day + Day(r.Window.After)}
}

// windowFor is where ours may be for a row of theirs, with the same amount.
func (r *Rules) windowFor(row *Row) span {
	return span{row.Amount, row.Amount, row.Day - Day(r.Window.After), row.Day + Day(r.Window.Before)}
}
