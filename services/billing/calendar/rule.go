package calendar

import "time"

// Frequency is what a rule counts in.
type Frequency string

// The frequencies there are.
const (
	Daily   Frequency = "daily"
	Weekly  Frequency = "weekly"
	Monthly Frequency = "monthly"
	Yearly  Frequency = "yearly"
)

// MaxEvery is the largest Rule.Every.
const MaxEvery = 1000

// Rule says which civil dates there are occurrences on.
type Rule struct {
	// Frequency is the unit, and Every how many of them lie between two occurrences: 1 to MaxEvery.
	Frequency Frequency
	Every     int
	// Weekday is the day of a weekly rule, and Sunday in all others.
	Weekday time.Weekday
	// Month is the month of a yearly rule, and 0 in all others.
	Month time.Month
	// Day is the anchor day of a monthly or yearly rule, and 0 in all others. In a month that is shorter it is the last.
	Day int
	// Start is the date before which there is no occurrence. The first is the first date from Start on that fits: Start
	// itself in a daily rule.
	Start Date
	// Until is the last date on which there may be an occurrence, and Count how many there are. One of them may be set;
	// with neither the rule does not end. Both are about nominal dates, wherever these roll.
	Until Date
	Count int
}

// stepDays is the distance of occurrences in days, or 0 when it is in months.
func (r Rule) stepDays() int {
	switch r.Frequency {
	case Daily:
		return r.Every
	case Weekly:
		return 7 * r.Every
	}
	return 0
}

// stepMonths is the distance of occurrences in months. A yearly rule is a monthly one that begins in its month.
func (r Rule) stepMonths() int {
	if r.Frequency == Yearly {
		return 12 * r.Every
	}
	return r.Every
}

// firstDay is the first occurrence of a rule that counts in days.
func (r Rule) firstDay() Date {
	if r.Frequency == Daily {
		return r.Start
	}
	return r.Start.AddDays(int(r.Weekday-r.Start.Weekday()+7) % 7)
}

// firstMonth is the month of the first occurrence of a rule that counts in months.
func (r Rule) firstMonth() int {
	m, turn := monthOf(r.Start), 1
	if r.Frequency == Yearly {
		m, turn = monthOf(Date{r.Start.Year, r.Month, 1}), 12
	}
	if dayIn(m, r.Day).Before(r.Start) {
		m += turn
	}
	return m
}

// at is the occurrence with index k, counted from 0; false when there is no such date.
func (r Rule) at(k int) (Date, bool) {
	if k < 0 || k >= maxDays || r.Every < 1 || r.Every > MaxEvery { // the products below stay far below 2⁶³
		return Date{}, false
	}
	var d Date
	if step := int64(r.stepDays()); step > 0 {
		n := int64(k) * step
		if n >= maxDays {
			return Date{}, false
		}
		d = r.firstDay().AddDays(int(n))
	} else {
		n := int64(k) * int64(r.stepMonths())
		if n >= maxDays {
			return Date{}, false
		}
		d = dayIn(r.firstMonth()+int(n), r.Day)
	}
	if d.After(maxDate) || !r.Until.IsZero() && d.After(r.Until) || r.Count > 0 && k >= r.Count {
		return Date{}, false
	}
	return d, true
}

// before is how many occurrences the rule would have before d, if it did not end.
func (r Rule) before(d Date) int {
	if step := r.stepDays(); step > 0 {
		return ceil(r.firstDay().DaysUntil(d), step)
	}
	first, step := r.firstMonth(), r.stepMonths()
	months := monthOf(d) - first
	if dayIn(monthOf(d), r.Day).Before(d) {
		months++ // the day has passed in this month
	}
	return ceil(months, step)
}

// ceil is n/by, rounded up, and not less than 0.
func ceil(n, by int) int { return max(0, (n+by-1)/by) }

// monthOf counts months through the years.
func monthOf(d Date) int { return d.Year*12 + int(d.Month) - 1 }

// dayIn is the anchor day in month m of monthOf, or the last day of a month that is shorter.
func dayIn(m, anchor int) Date {
	year, month := m/12, time.Month(m%12+1)
	return Date{year, month, min(anchor, daysIn(year, month))}
}
