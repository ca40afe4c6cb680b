package dunning

import (
	"github.com/tieout/tieout/services/billing/calendar"
)

// The bounds of a policy.
const (
	// MaxRetries is the most delays a policy has.
	MaxRetries = 10
	// MaxLastDay is the largest Policy.LastDay.
	MaxLastDay = 60
)

// Policy says how patiently a declined payment is tried again. Days are civil dates of the customer's zone.
type Policy struct {
	// Delays are how many days after the decline before it each retry is planned, at the least: as many retries as
	// delays. What is planned for a day on which nothing is tried is moved on, and the delays behind it with it.
	Delays []int
	// UnknownRetries is how many retries may follow declines whose code is not known.
	UnknownRetries int
	// LastDay is how many days after the first decline the payment may be tried, that day included.
	LastDay int
	// From and To are the hours of a business day in which payments are tried: from the first time that the customer's
	// clocks show From until they first show To. 00:00 as To is the end of the day.
	From, To calendar.TimeOfDay
}

// DefaultPolicy tries four times in a bit more than two weeks, which crosses a payday for most, in waking hours. It
// leaves five days for what weekends and budgets take.
func DefaultPolicy() Policy {
	return Policy{
		Delays: []int{1, 3, 5, 7}, UnknownRetries: 1, LastDay: 21,
		From: calendar.TimeOfDay{Hour: 8}, To: calendar.TimeOfDay{Hour: 20},
	}
}

// Validate says what is wrong with the policy. The error is calendar.Invalid.
func (p Policy) Validate() error {
	var v calendar.Invalid
	v.Require(len(p.Delays) <= MaxRetries, "delays", "must be at most %d", MaxRetries)
	total, long := 0, true
	for _, days := range p.Delays {
		long = long && days >= 1 && days <= MaxLastDay
		total += min(max(days, 0), MaxLastDay)
	}
	v.Require(long, "delays", "must each be from 1 to %d days", MaxLastDay)
	v.Require(p.UnknownRetries >= 0 && p.UnknownRetries <= len(p.Delays), "unknown_retries", "must be from 0 to the number of delays")
	v.Require(p.LastDay >= 0 && p.LastDay <= MaxLastDay, "last_day", "must be from 0 to %d days", MaxLastDay)
	v.Require(p.LastDay < 0 || total <= p.LastDay, "last_day", "must not be before the last retry, %d days after the first decline", total)
	v.Require(p.From.Valid(), "from", "must be a time of day from 00:00 to 23:59")
	v.Require(p.To.Valid(), "to", "must be a time of day from 00:00 to 23:59")
	v.Require(minutes(p.To) == 0 || minutes(p.From) < minutes(p.To), "to", "must be later than from, or 00:00 for the end of the day")
	return v.Err()
}

// minutes are those since midnight.
func minutes(c calendar.TimeOfDay) int { return 60*c.Hour + c.Minute }
