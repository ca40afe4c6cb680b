package rules

import (
	"time"

	"github.com/tieout/tieout/services/reconciliation/match"
)

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
