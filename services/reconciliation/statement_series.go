package reconciliation

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/formats"
	"github.com/tieout/tieout/services/reconciliation/match"
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

// seriesKey is what statements have in common that continue each other.
type seriesKey struct {
	series   string
	currency money.Currency
}

// series are the statements that count of one account and currency, found by what others may continue.
type series struct {
	balanced, unbalanced []*entry
	numbers              map[number][]*entry // of those with balances, as are all below
	opens, closes        map[int64][]*entry  // by the balance
	days                 []match.Day         // on which they close, in order
}

func newSeries() *series {
	return &series{numbers: map[number][]*entry{}, opens: map[int64][]*entry{}, closes: map[int64][]*entry{}}
}

func (r *series) add(s *entry) {
	if !s.balanced() {
		r.unbalanced = append(r.unbalanced, s)
		return
	}
	r.balanced = append(r.balanced, s)
	r.numbers[s.number()] = append(r.numbers[s.number()], s)
	r.opens[s.opening.minor] = append(r.opens[s.opening.minor], s)
	r.closes[s.closing.minor] = append(r.closes[s.closing.minor], s)
	at, _ := slices.BinarySearch(r.days, s.closing.day)
	r.days = slices.Insert(r.days, at, s.closing.day)
}

// attach says whether a statement continues one of the series, or one continues it: one with a number as it has one itself, or
// any other.
func (r *series) attach(s *entry, numbered bool) bool {
	kind := func(t *entry) bool { return (s.numbered() && t.numbered()) == numbered }
	return slices.ContainsFunc(r.closes[s.opening.minor], func(t *entry) bool { return kind(t) && s.follows(t) && r.free(t, s) }) ||
		slices.ContainsFunc(r.opens[s.closing.minor], func(t *entry) bool { return kind(t) && t.follows(s) && r.free(s, t) })
}

// free says whether nothing comes between a and b, which follows it.
func (r *series) free(a, b *entry) bool {
	between, _ := slices.BinarySearch(r.days, a.closing.day+1)
	if between < len(r.days) && r.days[between] < b.closing.day {
		return false
	}
	return !slices.ContainsFunc(r.opens[a.closing.minor], func(u *entry) bool { return u != a && u != b && u.follows(a) }) &&
		!slices.ContainsFunc(r.closes[b.opening.minor], func(u *entry) bool { return u != a && u != b && b.follows(u) })
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

// number is what a statement is counted by. Numbers begin again with the year, where they do.
type number struct {
	sequence int64
	page     int32
	year     int
}

func (s *entry) number() number { return number{s.sequence, s.page, yearOf(s.closing.day)} }

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
