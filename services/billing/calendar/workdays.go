package calendar

import (
	"errors"
	"fmt"
	"time"
)

// ErrNoBusinessDay means that all the days on which an occurrence could be due are weekends or holidays.
var ErrNoBusinessDay = errors.New("no business day within reach")

// MaxRoll is how many days a date is moved at most to find a business day. The longest holidays there are take less
// than half of it.
const MaxRoll = 31

// Roll says where a date goes that is no business day, in the terms of ISDA and FpML.
type Roll string

// The rolls there are.
const (
	// RollNone leaves it where it is.
	RollNone Roll = "none"
	// RollFollowing moves it to the next business day.
	RollFollowing Roll = "following"
	// RollModifiedFollowing moves it to the next business day, or, where that is in another month, to the one before.
	RollModifiedFollowing Roll = "modified_following"
	// RollPreceding moves it to the business day before.
	RollPreceding Roll = "preceding"
)

// Valid says whether it is one of the rolls there are.
func (r Roll) Valid() bool {
	return r == RollNone || r == RollFollowing || r == RollModifiedFollowing || r == RollPreceding
}

// Weekdays is a set of days of the week.
type Weekdays uint8

// NewWeekdays is the set of days; what is no day of the week is left out.
func NewWeekdays(days ...time.Weekday) Weekdays {
	var w Weekdays
	for _, day := range days {
		if day >= time.Sunday && day <= time.Saturday {
			w |= 1 << day
		}
	}
	return w
}

// everyDay is the set of all.
const everyDay Weekdays = 1<<7 - 1

// Has says whether day is in the set.
func (w Weekdays) Has(day time.Weekday) bool { return w&(1<<day) != 0 }

// Dates is a set of civil dates. The nil set is empty.
type Dates map[Date]struct{}

// NewDates is the set of dates.
func NewDates(dates ...Date) Dates {
	set := make(Dates, len(dates))
	for _, d := range dates {
		set[d] = struct{}{}
	}
	return set
}

// Has says whether d is in the set.
func (s Dates) Has(d Date) bool {
	_, ok := s[d]
	return ok
}

// Workdays says which days are business days. The zero value says all.
type Workdays struct {
	// Weekend are the days of the week that are none.
	Weekend Weekdays
	// Holidays are dates that are none. The set is shared by the schedules that are made with it, and not changed.
	Holidays Dates
}

// Open says whether d is a business day.
func (w Workdays) Open(d Date) bool { return !w.Weekend.Has(d.Weekday()) && !w.Holidays.Has(d) }

// Roll moves d as how says; a business day stays where it is. As dates go on, rolled dates never go back. The error is
// ErrNoBusinessDay, when there is none within MaxRoll days.
func (w Workdays) Roll(d Date, how Roll) (Date, error) {
	switch how {
	case RollFollowing:
		return w.seek(d, 1)
	case RollPreceding:
		return w.seek(d, -1)
	case RollModifiedFollowing:
		if next, err := w.seek(d, 1); err == nil && next.Month == d.Month {
			return next, nil
		}
		return w.seek(d, -1)
	default:
		return d, nil
	}
}

// seek is the first business day from d on, in steps of a day.
func (w Workdays) seek(d Date, step int) (Date, error) {
	for n := range MaxRoll + 1 {
		if found := d.AddDays(n * step); w.Open(found) {
			return found, nil
		}
	}
	return Date{}, fmt.Errorf("%w: %d days from %s", ErrNoBusinessDay, MaxRoll*step, d)
}
