package reconciliation

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// heldFile is a file that is held, with its statements.
type heldFile struct {
	reconciliationdb.ListHeldRow
	statements []*entry
	// leans are the files that have lines of it, and waits those of them that do not count.
	leans    map[uuid.UUID]bool
	waits    []uuid.UUID
	accepted bool
}

// settleAll judges the statements of files that are held, given those that count, and says which files are to be accepted. A file
// is accepted as a whole or not at all; two of them may each have what the other one waits for, so that all are judged as if
// all were accepted, and those in which something is held then are left out, until nothing is.
func settleAll(held []*heldFile, others []*entry) {
	in := slices.Clone(held)
	for again := true; again; {
		judgeAll(in, others)
		left := slices.DeleteFunc(slices.Clone(in), func(f *heldFile) bool {
			return slices.ContainsFunc(f.statements, func(s *entry) bool { return s.standing.held() }) ||
				slices.ContainsFunc(f.waits, func(w uuid.UUID) bool {
					return !slices.ContainsFunc(in, func(of *heldFile) bool { return of.ID == w })
				})
		})
		in, again = left, len(left) < len(in)
	}
	counted := slices.Clone(others)
	for _, f := range in {
		f.accepted = true
		counted = append(counted, f.counted()...)
	}
	for _, f := range held {
		if !f.accepted {
			judgeAll([]*heldFile{f}, counted)
		}
	}
}

// counted are the statements of a file that count when it is accepted.
func (f *heldFile) counted() []*entry {
	return slices.DeleteFunc(slices.Clone(f.statements), func(s *entry) bool { return s.standing != standingTaken && s.standing != standingReleased })
}

// judgeAll judges the statements of files, from the earliest to the latest and back, until nothing changes any more: each may be
// what another one continues. What a person has decided stays.
func judgeAll(files []*heldFile, others []*entry) {
	open, counted := []*entry{}, map[seriesKey]*series{}
	of := func(s *entry) *series {
		key := seriesKey{s.series, s.currency}
		if counted[key] == nil {
			counted[key] = newSeries()
		}
		return counted[key]
	}
	for _, t := range others {
		of(t).add(t)
	}
	byID := map[uuid.UUID]*heldFile{}
	for _, f := range files {
		byID[f.ID] = f
		for _, s := range f.statements {
			switch s.standing {
			case standingReleased:
				of(s).add(s)
			case standingDropped, standingRefused:
			default:
				open = append(open, s)
			}
		}
	}
	slices.SortStableFunc(open, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.day(), b.day()), cmp.Compare(a.sequence, b.sequence))
	})
	for again := true; again; {
		again = false
		left := open[:0:0]
		for _, s := range open {
			f := byID[s.file]
			s.standing, s.note = judgeStatement(s, of(s), f.leans)
			if f.Difference != "" && s.overlapping > 0 {
				s.standing, s.note = standingOverlap, f.Difference
			}
			switch {
			case s.standing.held():
				left = append(left, s)
			case s.standing == standingTaken:
				of(s).add(s)
				again = true
			}
		}
		slices.Reverse(left)
		open = left
	}
}

// judgeStatement says what becomes of a statement, given those of its series that count, those before it in its own file among them.
// Leans are the files that have lines of its file.
//
// One with both balances continues the one before it, or the one behind it continues it: what closes is what opens, and where
// both have numbers they follow on each other. The first of a series continues nothing. One that has not both balances can only
// be in the way of others, when lines of the same days have nothing by which the same line would be known.
func judgeStatement(s *entry, with *series, leans map[uuid.UUID]bool) (standing, string) {
	if s.places > 0 && s.overlapping == s.places && !s.balanced() {
		return standingRepeats, ""
	}
	inTheWay := with.unbalanced
	if s.balanced() {
		if is, why := s.place(with, leans); is != standingTaken {
			return is, why
		}
	} else {
		inTheWay = slices.Concat(with.unbalanced, with.balanced)
	}
	for _, t := range inTheWay {
		if t.file != s.file && s.sharesDays(t) && !s.told(t) {
			return standingOverlap, fmt.Sprintf("has lines of days of which %s has lines, and nothing by which it would be known which of them are the same", statementName(t))
		}
	}
	return standingTaken, ""
}

// place says whether a statement with both balances continues one.
func (s *entry) place(with *series, leans map[uuid.UUID]bool) (standing, string) {
	var same []*entry
	if s.numbered() {
		same = with.numbers[s.number()]
	}
	for _, t := range same {
		if s.sameBalances(t) {
			return s.twin(t)
		}
	}
	for _, t := range same {
		if s.meets(t) {
			return standingOverlap, fmt.Sprintf("has the number of %s, and other balances", statementName(t))
		}
	}
	if !with.attach(s, true) {
		for _, t := range with.opens[s.opening.minor] {
			if s.sameBalances(t) && s.lines+t.lines > 0 {
				return s.twin(t)
			}
		}
		if !with.attach(s, false) && slices.ContainsFunc(with.balanced, func(t *entry) bool { return !s.sibling(t) }) {
			return s.astray(slices.DeleteFunc(slices.Clone(with.balanced), s.sibling))
		}
	}
	if s.overlapping == 0 {
		return standingTaken, ""
	}
	for _, t := range with.balanced {
		if leans[t.file] && t.file != s.file {
			return standingOverlap, fmt.Sprintf("has %d lines that %s or another one of its file has", s.overlapping, statementName(t))
		}
	}
	return standingTaken, ""
}

// twin says what becomes of a statement of which there is one with the same balances.
func (s *entry) twin(t *entry) (standing, string) {
	if s.overlapping == s.places {
		return standingRepeats, fmt.Sprintf("says what %s says", statementName(t))
	}
	return standingOverlap, fmt.Sprintf("has the balances of %s, and %d lines that are not there", statementName(t), s.places-s.overlapping)
}

// astray says what is wrong with a statement that continues none.
func (s *entry) astray(with []*entry) (standing, string) {
	for _, t := range with {
		if s.crosses(t) {
			return standingOverlap, fmt.Sprintf("covers days that %s covers", statementName(t))
		}
	}
	before, behind := neighbours(s, with)
	switch {
	case before != nil && s.numbered() && before.numbered() && !s.nextNumber(before):
		return standingGap, fmt.Sprintf("is number %s, and before it comes %s with number %s", s.numberText(), statementName(before), before.numberText())
	case before != nil:
		return standingGap, fmt.Sprintf("opens with %s, and before it %s closes with %s", s.text(s.opening), statementName(before), before.text(before.closing))
	default:
		return standingGap, fmt.Sprintf("closes with %s, and behind it %s opens with %s", s.text(s.closing), statementName(behind), behind.text(behind.opening))
	}
}
