package calendar

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// ErrDate means that text is no civil date, or that a date does not exist.
var ErrDate = errors.New("no date from 0001-01-01 to 9999-12-31")

// Date is a civil date of the Gregorian calendar, in no zone. Dates are comparable with ==. The zero Date stands for
// "not set".
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

const isoDate = "2006-01-02"

// The dates there are. Text of ISO 8601 has four digits for a year.
var (
	minDate = Date{1, time.January, 1}
	maxDate = Date{9999, time.December, 31}
)

// maxDays is how many dates there are.
const maxDays = 3_652_059

// ParseDate reads a date of ISO 8601: "2026-02-28". The error is ErrDate.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(isoDate, text)
	if err != nil || t.Year() < minDate.Year {
		return Date{}, fmt.Errorf("%w: %.20q", ErrDate, text)
	}
	return DateOf(t), nil
}

// DateOf is the date that calendars show at t in t's location.
func DateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{year, month, day}
}

// midnight is the begin of the date in UTC; days are counted there, where all have 24 hours.
func (d Date) midnight() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// Valid says whether the date exists, in the years 1 to 9999.
func (d Date) Valid() bool {
	return d.Year >= minDate.Year && d.Year <= maxDate.Year && d.Month >= time.January && d.Month <= time.December &&
		d.Day >= 1 && d.Day <= daysIn(d.Year, d.Month)
}

// IsZero says whether the date is not set.
func (d Date) IsZero() bool { return d == Date{} }

// Compare is -1, 0 or +1 as d is before, equal to or after e.
func (d Date) Compare(e Date) int {
	return cmp.Or(cmp.Compare(d.Year, e.Year), cmp.Compare(d.Month, e.Month), cmp.Compare(d.Day, e.Day))
}

// Before says whether d comes before e.
func (d Date) Before(e Date) bool { return d.Compare(e) < 0 }

// After says whether d comes after e.
func (d Date) After(e Date) bool { return d.Compare(e) > 0 }

// AddDays is the date n days later, or earlier when n is less than zero.
func (d Date) AddDays(n int) Date {
	return DateOf(time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, time.UTC))
}

// DaysUntil is how many days later e is than d; less than zero when it is earlier.
func (d Date) DaysUntil(e Date) int {
	return int((e.midnight().Unix() - d.midnight().Unix()) / (24 * 60 * 60))
}

// Weekday is the date's day of the week.
func (d Date) Weekday() time.Weekday { return d.midnight().Weekday() }

// String is the date in ISO 8601.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// MarshalText gives the date in ISO 8601, and nothing for the zero Date. The error is ErrDate.
func (d Date) MarshalText() ([]byte, error) {
	switch {
	case d.IsZero():
		return []byte{}, nil
	case !d.Valid():
		return nil, fmt.Errorf("%w: %s", ErrDate, d)
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what MarshalText gives. The error is ErrDate.
func (d *Date) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Date{}
		return nil
	}
	parsed, err := ParseDate(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// daysIn is the number of days of a month.
func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
