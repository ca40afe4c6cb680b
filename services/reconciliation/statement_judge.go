package reconciliation

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/formats"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// entry is a statement as far as others of its series matter for it, and it for them.
type entry struct {
	id, file         uuid.UUID
	format           formats.Format
	series           string
	currency         money.Currency
	sequence         int64 // 0 for none
	page             int32
	opening, closing *balance
	first, last      match.Day // on which lines were booked; noDay for none

	lines       int64
	unkeyed     int64 // lines without a key of their sender's
	places      int64 // lines that may be movements
	overlapping int64 // those of them that other files have brought

	standing standing
	note     string
}

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
	open, counted := []*entry{}, map[seriesKey][]*entry{}
	count := func(s *entry) { counted[s.seriesKey()] = append(counted[s.seriesKey()], s) }
	for _, t := range others {
		count(t)
	}
	of := map[uuid.UUID]*heldFile{}
	for _, f := range files {
		of[f.ID] = f
		for _, s := range f.statements {
			switch s.standing {
			case standingReleased:
				count(s)
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
			f := of[s.file]
			s.standing, s.note = judgeStatement(s, counted[s.seriesKey()], f.leans)
			if f.Difference != "" && s.overlapping > 0 {
				s.standing, s.note = standingOverlap, f.Difference
			}
			switch {
			case s.standing.held():
				left = append(left, s)
			case s.standing == standingTaken:
				count(s)
				again = true
			}
		}
		slices.Reverse(left)
		open = left
	}
}

// seriesKey is what statements have in common that continue each other.
type seriesKey struct {
	series   string
	currency money.Currency
}

func (s *entry) seriesKey() seriesKey { return seriesKey{s.series, s.currency} }

// judgeStatement says what becomes of a statement, given those of its series that count, those before it in its own file among them.
// Leans are the files that have lines of its file.
//
// One with both balances continues the one before it, or the one behind it continues it: what closes is what opens, and where
// both have numbers they follow on each other. The first of a series continues nothing. One that has not both balances can only
// be in the way of others, when lines of the same days have nothing by which the same line would be known.
func judgeStatement(s *entry, others []*entry, leans map[uuid.UUID]bool) (standing, string) {
	if s.places > 0 && s.overlapping == s.places && !s.balanced() {
		return standingRepeats, ""
	}
	if s.balanced() {
		if is, why := s.place(others, leans); is != standingTaken {
			return is, why
		}
	}
	for _, t := range others {
		if t.file != s.file && !(s.balanced() && t.balanced()) && s.sharesDays(t) && !s.told(t) {
			return standingOverlap, fmt.Sprintf("has lines of days of which %s has lines, and nothing by which it would be known which of them are the same", statementName(t))
		}
	}
	return standingTaken, ""
}

// place says whether a statement with both balances continues one.
func (s *entry) place(others []*entry, leans map[uuid.UUID]bool) (standing, string) {
	with := slices.DeleteFunc(slices.Clone(others), func(t *entry) bool { return !t.balanced() })
	for _, t := range with {
		if s.sameNumber(t) && s.sameBalances(t) {
			return s.twin(t)
		}
	}
	for _, t := range with {
		if s.sameNumber(t) && s.meets(t) {
			return standingOverlap, fmt.Sprintf("has the number of %s, and other balances", statementName(t))
		}
	}
	attached := func(numbered bool) bool {
		return slices.ContainsFunc(with, func(t *entry) bool {
			return (s.numbered() && t.numbered()) == numbered &&
				(s.follows(t) && free(t, s, with) || t.follows(s) && free(s, t, with))
		})
	}
	if !attached(true) {
		for _, t := range with {
			if s.sameBalances(t) && s.lines+t.lines > 0 {
				return s.twin(t)
			}
		}
		strangers := slices.DeleteFunc(slices.Clone(with), s.sibling)
		if len(strangers) > 0 && !attached(false) {
			return s.astray(strangers)
		}
	}
	for _, t := range with {
		if s.overlapping > 0 && leans[t.file] && t.file != s.file {
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

// sibling says whether both are of one file and the same days, without numbers: a bank that reports on several accounts under one
// number, as they stand at one time. None of them is missing between two others.
func (s *entry) sibling(t *entry) bool {
	return s.file == t.file && !s.numbered() && !t.numbered() && s.opening.day == t.opening.day && s.closing.day == t.closing.day
}

// neighbours are the statements that come before and behind one.
func neighbours(s *entry, with []*entry) (before, behind *entry) {
	for _, t := range with {
		earlier := t.closing.day < s.closing.day || t.closing.day == s.closing.day && t.sequence <= s.sequence
		switch {
		case earlier && (before == nil || t.closing.day >= before.closing.day):
			before = t
		case !earlier && (behind == nil || t.closing.day < behind.closing.day):
			behind = t
		}
	}
	return before, behind
}

// day is when a statement ends.
func (s *entry) day() match.Day {
	if s.closing != nil {
		return s.closing.day
	}
	return s.last
}

func (s *entry) balanced() bool { return s.opening != nil && s.closing != nil }

func (s *entry) numbered() bool { return s.sequence > 0 }

func (s *entry) sameBalances(t *entry) bool {
	return s.opening.minor == t.opening.minor && *s.closing == *t.closing
}

// sameNumber says whether both have the same number. Numbers begin again with the year, where they do.
func (s *entry) sameNumber(t *entry) bool {
	return s.numbered() && s.sequence == t.sequence && s.page == t.page && yearOf(s.closing.day) == yearOf(t.closing.day)
}

// nextNumber says whether the number of s follows on that of t: it is the next one, or the next page of it, or the first one of
// a later year.
func (s *entry) nextNumber(t *entry) bool {
	switch {
	case s.page <= 1 && s.sequence == t.sequence+1:
		return true
	case s.page <= 1 && s.sequence == 1:
		return yearOf(s.closing.day) > yearOf(t.closing.day)
	}
	return s.sequence == t.sequence && s.page == t.page+1
}

// follows says whether s can be the one after t.
func (s *entry) follows(t *entry) bool {
	switch {
	case s == t || s.opening.minor != t.closing.minor || s.closing.day < t.closing.day:
		return false
	case s.numbered() && t.numbered():
		return s.nextNumber(t)
	}
	return s.first == noDay || t.last == noDay || s.first >= t.last
}

// free says whether nothing comes between a and b, which follows it.
func free(a, b *entry, with []*entry) bool {
	return !slices.ContainsFunc(with, func(u *entry) bool {
		return u != a && u != b && (u.follows(a) || b.follows(u) || a.closing.day < u.closing.day && u.closing.day < b.closing.day)
	})
}

// meets says whether both cover a day.
func (s *entry) meets(t *entry) bool {
	return s.opening.day <= t.closing.day && t.opening.day <= s.closing.day
}

// crosses says whether both cover more than the day on which one ends and the other begins. Without numbers the days of their
// lines are all there is to go by.
func (s *entry) crosses(t *entry) bool {
	if s.opening.day < t.closing.day && t.opening.day < s.closing.day {
		return true
	}
	return !(s.numbered() && t.numbered()) && s.sharesDays(t)
}

// sharesDays says whether both may have lines of one day.
func (s *entry) sharesDays(t *entry) bool {
	return s.first != noDay && t.first != noDay && s.first <= t.last && t.first <= s.last
}

// told says whether the same line would be known to be the same in both: each has a key of its sender's, and the sender gives
// the same one to the same line in both.
func (s *entry) told(t *entry) bool {
	return s.unkeyed == 0 && t.unkeyed == 0 && family(s.format) == family(t.format)
}

// family is a format that goes by the same keys.
func family(f formats.Format) formats.Format {
	switch f {
	case formats.Camt054:
		return formats.Camt053
	case formats.MT942:
		return formats.MT940
	}
	return f
}

func (s *entry) numberText() string {
	if s.page > 0 {
		return fmt.Sprintf("%d/%d", s.sequence, s.page)
	}
	return fmt.Sprint(s.sequence)
}

func (s *entry) text(b *balance) string {
	return money.Amount{Currency: s.currency, Minor: b.minor}.String()
}

func statementName(t *entry) string { return StatementID(t.id).String() }
