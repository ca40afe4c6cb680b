package calendar

import (
	"iter"
	"time"
)

// Spec is what a schedule is made of. At and Workdays may be left out: midnight, and all days are business days.
type Spec struct {
	// Rule says on which dates it is due.
	Rule Rule
	// At is the local time of day at which it is due.
	At TimeOfDay
	// Zone is the zone whose clocks count. It is loaded by whoever makes the schedule, from time zone data that all
	// replicas share; not time.Local, which is another one on each machine.
	Zone *time.Location
	// Roll says where what is no business day by Workdays goes.
	Roll     Roll
	Workdays Workdays
}

// Occurrence is one time that a schedule is due.
type Occurrence struct {
	// Date is its nominal date: with the schedule, its identity.
	Date Date
	// Number counts the schedule's occurrences from 1.
	Number int
	// DueOn is the date on which it is due: Date, rolled.
	DueOn Date
	// DueAt is the instant at which it is due, in UTC.
	DueAt time.Time
}

// Schedule is a spec that was checked. The zero Schedule has no occurrences.
type Schedule struct{ spec Spec }

// New makes a schedule. The error is Invalid.
func New(spec Spec) (Schedule, error) {
	if err := spec.Validate(); err != nil {
		return Schedule{}, err
	}
	return Schedule{spec: spec}, nil
}

// Spec is what the schedule was made of.
func (s Schedule) Spec() Spec { return s.spec }

// CountThrough is how many occurrences have a nominal date up to d, and on it.
func (s Schedule) CountThrough(d Date) int {
	r := s.spec.Rule
	if r.Every == 0 || d.Before(r.Start) {
		return 0
	}
	if d.After(maxDate) {
		d = maxDate
	}
	if !r.Until.IsZero() && d.After(r.Until) {
		d = r.Until
	}
	n := r.before(d)
	if next, ok := r.at(n); ok && next == d {
		n++
	}
	if r.Count > 0 {
		n = min(n, r.Count)
	}
	return n
}

// Date is the nominal date of the occurrence with that number, counted from 1; false when there is none.
func (s Schedule) Date(number int) (Date, bool) { return s.spec.Rule.at(number - 1) }

// Dates gives the nominal dates from a date on, which may be one, in order.
func (s Schedule) Dates(from Date) iter.Seq[Date] {
	return func(yield func(Date) bool) {
		for _, d := range s.numbered(from) {
			if !yield(d) {
				return
			}
		}
	}
}

// Occurrences gives the occurrences whose nominal date is from or later, in the order of their dates; their instants
// never go back. An occurrence that cannot be rolled comes with ErrNoBusinessDay, due on its nominal date; those after it
// follow.
func (s Schedule) Occurrences(from Date) iter.Seq2[Occurrence, error] {
	return func(yield func(Occurrence, error) bool) {
		for number, d := range s.numbered(from) {
			if !yield(s.occurrence(number, d)) {
				return
			}
		}
	}
}

// Next is the first occurrence whose nominal date is from or later; false when there is none. The error is
// ErrNoBusinessDay: there is one, but no day on which it could be due.
func (s Schedule) Next(from Date) (Occurrence, bool, error) {
	for o, err := range s.Occurrences(from) {
		return o, true, err
	}
	return Occurrence{}, false, nil
}

// Due gives the occurrences that are due after an instant and up to another, which may be one, in the order of their
// dates and, with that, of their instants. Spans that follow each other give each occurrence once. One that cannot be
// rolled comes with ErrNoBusinessDay when its nominal date does.
func (s Schedule) Due(after, until time.Time) iter.Seq2[Occurrence, error] {
	return func(yield func(Occurrence, error) bool) {
		for o, err := range s.dueAfter(after) {
			if o.DueAt.After(until) || !yield(o, err) {
				return
			}
		}
	}
}

// PreviewSize is how many occurrences Preview gives.
const PreviewSize = 12

// Preview is the next PreviewSize occurrences that are due after an instant; fewer, when the schedule ends before. With
// ErrNoBusinessDay come those before the one that cannot be rolled.
func (s Schedule) Preview(after time.Time) ([]Occurrence, error) {
	var next []Occurrence
	for o, err := range s.dueAfter(after) {
		if err != nil {
			return next, err
		}
		if next = append(next, o); len(next) == PreviewSize {
			break
		}
	}
	return next, nil
}

// dueAfter gives the occurrences that are due after an instant.
func (s Schedule) dueAfter(after time.Time) iter.Seq2[Occurrence, error] {
	return func(yield func(Occurrence, error) bool) {
		// A roll leads MaxRoll days on at most, and no zone is two days from UTC.
		for o, err := range s.Occurrences(DateOf(after.UTC()).AddDays(-MaxRoll - 2)) {
			if o.DueAt.After(after) && !yield(o, err) {
				return
			}
		}
	}
}

// numbered gives number and nominal date of the occurrences from a date on.
func (s Schedule) numbered(from Date) iter.Seq2[int, Date] {
	return func(yield func(int, Date) bool) {
		r := s.spec.Rule
		if r.Every == 0 || from.After(maxDate) {
			return
		}
		if from.Before(r.Start) {
			from = r.Start
		}
		for k := r.before(from); ; k++ {
			d, ok := r.at(k)
			if !ok || !yield(k+1, d) {
				return
			}
		}
	}
}

// occurrence rolls a nominal date and finds its instant. Left where it is, one that cannot be rolled is in order with the
// others: no roll crosses the days around it, since none of them is a business day.
func (s Schedule) occurrence(number int, d Date) (Occurrence, error) {
	due, err := s.spec.Workdays.Roll(d, s.spec.Roll)
	if err != nil {
		due = d
	}
	return Occurrence{Date: d, Number: number, DueOn: due, DueAt: At(due, s.spec.At, s.spec.Zone)}, err
}
