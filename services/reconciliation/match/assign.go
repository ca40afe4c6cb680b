package match

import (
	"math"
	"slices"
)

// Costs of an assignment. The difference in amount comes first, then the days between; leaving a row out costs more than all of
// that. The sum of 64 of them fits.
const (
	maxDifference = 1 << 32 // more than that counts as that
	perDifference = 1 << 18 // more than 64 times maxDays
	costNone      = 1 << 56 // of two rows that are no candidates
)

// assign finds the cheapest way to give the rows of a component to each other, as many as can be. It is only good if it is the
// only one at that cost.
func (m *matcher) assign(f family) (pairs []pair, only bool) {
	rows, columns, swapped := f.ours, f.theirs, false
	if len(rows) > len(columns) {
		rows, columns, swapped = columns, rows, true
	}
	costs := make([][]int64, len(rows))
	for i := range rows {
		costs[i] = make([]int64, len(columns))
		for j := range columns {
			if swapped {
				costs[i][j] = m.cost(columns[j], rows[i])
			} else {
				costs[i][j] = m.cost(rows[i], columns[j])
			}
		}
	}
	at, only := assignment(costs)
	if !only {
		return nil, false
	}
	for i, j := range at {
		switch {
		case costs[i][j] >= costNone:
		case swapped:
			pairs = append(pairs, pair{columns[j], rows[i]})
		default:
			pairs = append(pairs, pair{rows[i], columns[j]})
		}
	}
	return pairs, true
}

func (m *matcher) cost(o, t int32) int64 {
	if !m.candidates(o, t) {
		return costNone
	}
	ours, theirs := &m.ours.rows[o], &m.theirs.rows[t]
	more, _ := m.difference(ours, theirs)
	return min(max(more, -more), maxDifference)*perDifference + int64(max(ours.Day-theirs.Day, theirs.Day-ours.Day))
}

// assignment gives every row a column of its own so that the costs are least; there are at least as many columns as rows. Only
// says that no other assignment that differs in a pair below costNone is as cheap.
//
// Rows that cost nothing take the columns that are left over: a column that is free has no say in what its potential is, and
// [solver.without] would go by one that no longer holds.
func assignment(costs [][]int64) (columnOf []int, only bool) {
	columnOf = make([]int, len(costs))
	columns := len(costs[0])
	costs = append(costs[:len(costs):len(costs)], slices.Repeat([][]int64{make([]int64, columns)}, columns-len(costs))...)
	s := newSolver(costs)
	for i := range costs {
		s.augment(i)
	}
	best := s.cost()
	for j, i := range s.rowOf[:s.columns] {
		if i < len(columnOf) {
			columnOf[i] = j
		}
	}
	for i, j := range columnOf {
		if costs[i][j] < costNone && s.without(i, j) == best {
			return columnOf, false
		}
	}
	return columnOf, true
}

// solver is the Hungarian method for as many rows as columns: rows are added one by one, each along the cheapest path of changes, which potentials keep track
// of. Column number columns is the start of a path and holds the row that is added.
type solver struct {
	costs    [][]int64
	columns  int
	rowOf    []int   // by column; -1 for none
	row      []int64 // potentials
	column   []int64
	cheapest []int64
	from     []int
	used     []bool
}

func newSolver(costs [][]int64) *solver {
	s := &solver{costs: costs, columns: len(costs[0])}
	n := s.columns + 1
	s.rowOf, s.row, s.column = make([]int, n), make([]int64, len(costs)), make([]int64, n)
	s.cheapest, s.from, s.used = make([]int64, n), make([]int, n), make([]bool, n)
	for j := range s.rowOf {
		s.rowOf[j] = -1
	}
	return s
}

// augment gives a row a column.
func (s *solver) augment(i int) {
	s.rowOf[s.columns] = i
	for j := range s.cheapest {
		s.cheapest[j], s.used[j] = math.MaxInt64, false
	}
	at := s.columns
	for s.rowOf[at] >= 0 {
		s.used[at] = true
		row, step, next := s.rowOf[at], int64(math.MaxInt64), -1
		for j := range s.columns {
			if s.used[j] {
				continue
			}
			if cost := s.costs[row][j] - s.row[row] - s.column[j]; cost < s.cheapest[j] {
				s.cheapest[j], s.from[j] = cost, at
			}
			if s.cheapest[j] < step {
				step, next = s.cheapest[j], j
			}
		}
		for j := range s.used {
			if s.used[j] {
				s.row[s.rowOf[j]] += step
				s.column[j] -= step
			} else {
				s.cheapest[j] -= step
			}
		}
		at = next
	}
	for at != s.columns {
		s.rowOf[at] = s.rowOf[s.from[at]]
		at = s.from[at]
	}
	s.rowOf[s.columns] = -1
}

// without is the least cost when a row may not have its column. The potentials hold for it too, for a cost has only risen: all it
// takes is one path.
func (s *solver) without(i, j int) (cost int64) {
	forbidden := s.costs[i][j]
	other := &solver{
		costs: s.costs, columns: s.columns, rowOf: append([]int(nil), s.rowOf...), row: append([]int64(nil), s.row...),
		column: append([]int64(nil), s.column...), cheapest: s.cheapest, from: s.from, used: s.used,
	}
	s.costs[i][j] = 2 * costNone
	other.rowOf[j] = -1
	other.augment(i)
	cost = other.cost()
	s.costs[i][j] = forbidden
	return cost
}

// cost is what the rows pay for the columns they have.
func (s *solver) cost() (sum int64) {
	for j, i := range s.rowOf[:s.columns] {
		sum += s.costs[i][j]
	}
	return sum
}
