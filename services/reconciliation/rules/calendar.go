package rules

import (
	"fmt"
	"time"

	"github.com/tieout/tieout/services/reconciliation/match"
)

// Date is a civil day that is written as in "2026-12-25".
type Date match.Day

const secondsOfDay = 24 * 60 * 60

// ParseDate reads a date of the years 1 to 9999.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1 {
		return 0, fmt.Errorf("%.20q is no date like 2026-12-25", text)
	}
	return Date(t.Unix() / secondsOfDay), nil
}

// DateOf is the date that it is in UTC at a time.
func DateOf(t time.Time) Date {
	return Date(t.UTC().Truncate(24*time.Hour).Unix() / secondsOfDay)
}

// String is the date as ParseDate reads it.
func (d Date) String() string { return time.Unix(int64(d)*secondsOfDay, 0).UTC().Format(time.DateOnly) }

// MarshalText implements encoding.TextMarshaler.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDate(string(text))
	return err
}

// Calendar knows business days: all but Saturdays, Sundays and holidays.
type Calendar struct {
	holidays map[match.Day]bool
}

// Calendar gives the business days of the set.
func (s Set) Calendar() *Calendar {
	c := &Calendar{holidays: make(map[match.Day]bool, len(s.Holidays))}
	for _, d := range s.Holidays {
		c.holidays[match.Day(d)] = true
	}
	return c
}

// IsBusiness says whether a day is a business day.
func (c *Calendar) IsBusiness(d match.Day) bool {
	weekday := (int(d)%7 + 7 + int(time.Thursday)) % 7 // 1970-01-01 was a Thursday
	return weekday != int(time.Saturday) && weekday != int(time.Sunday) && !c.holidays[d]
}

// Add gives the n-th business day after a day; the day itself for none.
func (c *Calendar) Add(d match.Day, n int) match.Day {
	for n > 0 {
		if d++; c.IsBusiness(d) {
			n--
		}
	}
	return d
}
