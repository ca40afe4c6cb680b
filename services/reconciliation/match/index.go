package match

import (
	"cmp"
	"slices"
)

// order is what an index goes by first: a search costs as much as there are different values of that in its span.
type order bool

const (
	byAmount order = false // then by day
	byDay    order = true  // then by amount
)

// index is rows of one side, so that those of a kind that carry something, with amounts and days in a range, lie together.
type index struct {
	by      order
	entries []entry
	shelves []shelf
}

// entry is a row by its amount and day, in the order that the index goes by.
type entry struct {
	first, second int64
	row           int32
	kind          Kind
	carries       uint8
}

// shelf is the entries of one kind that carry something in the same carriers.
type shelf struct {
	kind     Kind
	carries  uint8
	from, to int
}

func newIndex(by order, rows []Row, places []int32) *index {
	x := &index{by: by, entries: make([]entry, 0, len(places))}
	for _, i := range places {
		row := &rows[i]
		e := entry{row.Amount, int64(row.Day), i, row.Kind, carries(row)}
		if by == byDay {
			e.first, e.second = e.second, e.first
		}
		x.entries = append(x.entries, e)
	}
	slices.SortFunc(x.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.carries, b.carries), cmp.Compare(a.first, b.first),
			cmp.Compare(a.second, b.second), cmp.Compare(a.row, b.row))
	})
	for i, e := range x.entries {
		if i == 0 || e.kind != x.entries[i-1].kind || e.carries != x.entries[i-1].carries {
			x.shelves = append(x.shelves, shelf{kind: e.kind, carries: e.carries, from: i})
		}
		x.shelves[len(x.shelves)-1].to = i + 1
	}
	return x
}

// span is what is looked for in an index, all of it inclusive.
type span struct {
	least, most int64 // amounts
	from, to    Day
}

// each visits the ranges of entries of a kind within a span, on the shelves whose carriers fit. It ends when visit returns false.
func (x *index) each(kind Kind, fits func(carries uint8) bool, s span, visit func(from, to int) bool) {
	least, most := [2]int64{s.least, int64(s.from)}, [2]int64{s.most, int64(s.to)}
	if x.by == byDay {
		least[0], least[1], most[0], most[1] = least[1], least[0], most[1], most[0]
	}
	for _, shelf := range x.shelves {
		if shelf.kind != kind || !fits(shelf.carries) {
			continue
		}
		at := x.search(shelf.from, shelf.to, least[0], least[1])
		for at < shelf.to && x.entries[at].first <= most[0] {
			switch first := x.entries[at].first; {
			case x.entries[at].second < least[1]:
				at = x.search(at, shelf.to, first, least[1])
			case x.entries[at].second > most[1]:
				at = x.search(at, shelf.to, first+1, least[1])
			default:
				end := x.search(at, shelf.to, first, most[1]+1)
				if !visit(at, end) {
					return
				}
				at = end
			}
		}
	}
}

// search is the first entry from which on neither is less.
func (x *index) search(from, to int, first, second int64) int {
	at, _ := slices.BinarySearchFunc(x.entries[from:to], first, func(e entry, first int64) int {
		return cmp.Or(cmp.Compare(e.first, first), cmp.Compare(e.second, second), 1)
	})
	return from + at
}

// windowsOf are where theirs may be for a row of ours: around its amount, and around what it should be where it is known to be off.
func (r *Rules) windowsOf(row *Row) []span {
	offs := row.offs()
	spans := make([]span, len(offs))
	for i, off := range offs {
		spans[i] = r.windowOf(row)
		spans[i].least += off
		spans[i].most += off
	}
	return spans
}

// windowOf is where theirs may be for a row of ours, around its amount.
func (r *Rules) windowOf(row *Row) span {
	within := r.Tolerance.of(row.Amount)
	return span{row.Amount - within, row.Amount + within, row.Day - Day(r.Window.Before), row.Day + Day(r.Window.After)}
}

// windowFor is where ours may be for a row of theirs, with the same amount.
func (r *Rules) windowFor(row *Row) span {
	return span{row.Amount, row.Amount, row.Day - Day(r.Window.After), row.Day + Day(r.Window.Before)}
}
