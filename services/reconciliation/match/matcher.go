package match

import (
	"errors"
	"fmt"
	"slices"
)

// The errors of a run.
var (
	// ErrStopped means that Progress said not to go on.
	ErrStopped = errors.New("matching was stopped")
	// ErrRow means that a row cannot be matched: it has no kind or standing that there is, a day that is none, or the key of
	// another one; or all amounts together are more than fits.
	ErrRow = errors.New("row that cannot be matched")
	// ErrInvariant means that the result does not account for every row once. It is never to be stored.
	ErrInvariant = errors.New("the result does not account for every row")
)

// fate is what became of a row.
type fate uint8

const (
	isOpen fate = iota
	isMatched
	isNamed   // a finding is about it
	isSettled // it was matched before the run
)

// side is one side of the partition.
type side struct {
	rows []Row
	fate []fate
	// open are the places of rows that are not decided, in ascending order. It is brought up to date after each pass; in between
	// it holds rows that are decided as well.
	open []int32
}

// matcher is one run. Rows lie in the order of their keys, so that the order of places is that of keys, and whatever is decided by
// places does not depend on the order in which rows came in.
type matcher struct {
	in           *Input
	rules        Rules
	links        linkTable
	ours, theirs side
	join         join
	out          collector

	decided, all int64
	steps        uint
	stopped      bool

	// hints are, by place and from 1, the row of the other side that carries the same and comes closest; 0 for none. They are nil
	// before they are looked for.
	hintOurs, hintTheirs []int32
}

// Run matches a partition. It puts Input.Ours and Input.Theirs in the order of their keys. The errors are ErrRow, ErrStopped and
// ErrInvariant, and what Rules.Validate says; with one, there is no result.
func Run(in Input, r Rules) (Result, error) {
	if err := r.Validate(); err != nil {
		return Result{}, fmt.Errorf("rules: %w", err)
	}
	m := &matcher{in: &in, rules: r, ours: side{rows: in.Ours}, theirs: side{rows: in.Theirs}}
	if err := m.begin(); err != nil {
		return Result{}, err
	}
	for _, pass := range []func(){
		m.strong, m.payouts, m.duplicates, m.composite, m.window, m.subset, m.residuals, m.mismatches, m.own, m.classify,
	} {
		pass()
		m.ours.sweep()
		m.theirs.sweep()
		if m.stopped {
			return Result{}, ErrStopped
		}
	}
	return m.out.result(m)
}

// begin looks at the rows and puts them in order.
func (m *matcher) begin() error {
	if err := checkSum(m.in.Ours, m.in.Theirs, m.in.Stray); err != nil {
		return err
	}
	pairs := m.rules.Carriers
	if m.rules.Stage == StageBank {
		pairs = append(slices.Clip(pairs), payoutPair)
	}
	m.links = newLinks(pairs)
	m.all = int64(len(m.ours.rows) + len(m.theirs.rows))
	for _, s := range []*side{&m.ours, &m.theirs} {
		if err := arranged(s.rows); err != nil {
			return err
		}
		if err := s.begin(s == &m.ours); err != nil {
			return err
		}
	}
	m.out.begin(min(len(m.ours.rows), len(m.theirs.rows)))
	return nil
}

func (s *side) begin(ours bool) error {
	s.fate = make([]fate, len(s.rows))
	s.open = make([]int32, 0, len(s.rows))
	for i := range s.rows {
		row := &s.rows[i]
		switch {
		case row.Kind < KindCharge || row.Kind > KindTransfer:
			return fmt.Errorf("%w: %x has no kind", ErrRow, row.Key)
		case row.Standing > Settled || !ours && row.Standing != Booked && row.Standing != Settled:
			return fmt.Errorf("%w: %x has standing %d", ErrRow, row.Key, row.Standing)
		case max(row.Day, -row.Day, row.Due, -row.Due) > maxDay || min(row.Day, row.Due) < -maxDay:
			return fmt.Errorf("%w: %x has a day that is none", ErrRow, row.Key)
		case row.Standing == Settled:
			s.fate[i] = isSettled
		default:
			s.open = append(s.open, int32(i))
		}
	}
	return nil
}

// maxDay is some ten thousand years from 1970: days can be added and taken away without a look.
const maxDay = 4_000_000

// maxSum is what all amounts together, without their signs, may come to. Every sum and difference of sums within it fits 64 bits.
const maxSum = 1 << 61

func checkSum(sides ...[]Row) error {
	total := uint64(0)
	for _, rows := range sides {
		for i := range rows {
			for _, v := range [...]int64{rows[i].Amount, rows[i].Fee, rows[i].Adjust, rows[i].Refused} {
				size := uint64(v)
				if v < 0 {
					size = -size
				}
				if size > maxSum || total+size > maxSum {
					return fmt.Errorf("%w: with %x, amounts come to more than fits", ErrRow, rows[i].Key)
				}
				total += size
			}
		}
	}
	return nil
}

// sweep takes what is decided off the open rows.
func (s *side) sweep() {
	s.open = slices.DeleteFunc(s.open, func(i int32) bool { return s.fate[i] != isOpen })
}

// booked are the open rows that take part in passes by amount.
func (s *side) booked() []int32 {
	booked := make([]int32, 0, len(s.open))
	for _, i := range s.open {
		if s.fate[i] == isOpen && s.rows[i].Standing == Booked {
			booked = append(booked, i)
		}
	}
	return booked
}

// everySteps is after how many steps of work Progress is told.
const everySteps = 1 << 14

// goOn counts a step of work, and says whether to do it.
func (m *matcher) goOn() bool {
	if m.steps++; m.steps%everySteps == 0 && m.in.Progress != nil && !m.in.Progress(m.decided, m.all) {
		m.stopped = true
	}
	return !m.stopped
}
