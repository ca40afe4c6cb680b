package breaks

import (
	"fmt"
	"time"
)

// Day is a civil day: the days since 1970-01-01.
type Day int32

// DayOf gives the day of a time, in UTC.
func DayOf(t time.Time) Day {
	const seconds = 24 * 60 * 60
	s := t.Unix()
	d := s / seconds
	if s%seconds < 0 {
		d--
	}
	return Day(d)
}

// Time is the day's midnight, in UTC.
func (d Day) Time() time.Time { return time.Unix(int64(d)*24*60*60, 0).UTC() }

// MarshalText writes the day as ISO 8601 does: "2026-12-25".
func (d Day) MarshalText() ([]byte, error) { return []byte(d.Time().Format(time.DateOnly)), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Day) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return fmt.Errorf("%q is not a day like 2026-12-25", text)
	}
	*d = DayOf(t)
	return nil
}

// weekday counts from Monday, which is 0.
func (d Day) weekday() int { return int(((d+3)%7 + 7) % 7) }

// BusinessDaysBetween counts the business days behind from, up to and with to: those from Monday to Friday that are no holidays.
// It is zero where to is not behind from.
func BusinessDaysBetween(from, to Day, holidays []Day) int {
	if to <= from {
		return 0
	}
	n := weekdaysUpTo(to) - weekdaysUpTo(from)
	for _, h := range holidays {
		if from < h && h <= to && h.weekday() < 5 {
			n--
		}
	}
	return n
}

// weekdaysUpTo counts the days from Monday to Friday up to and with a day, from a Monday long ago.
func weekdaysUpTo(d Day) int {
	const epoch = -1_000_003 * 7 // so many weeks before 1970-01-01, a Thursday, and three days: a Monday
	days := int(d) - epoch + 3 + 1
	return days/7*5 + min(days%7, 5)
}
