package dunning

import (
	"errors"
	"fmt"
	"time"

	"github.com/tieout/tieout/services/billing/calendar"
)

// ErrHistory means that a history cannot be decided on: nothing was declined, the declines are not in order, or the
// customer has no zone.
var ErrHistory = errors.New("unusable history")

// Decline is an attempt at the payment that was declined.
type Decline struct {
	At time.Time
	// Code is the provider's; empty when it gave none.
	Code string
}

// History is what is known of a declined payment. A customer who changes the payment method or corrects it begins a new
// one.
type History struct {
	// Declines are those of the payment with the payment method as it is now, oldest first: at least one.
	Declines []Decline
	// Scheme is the payment method's.
	Scheme Scheme
	// Attempts are the times of all the declined attempts with the payment method, of this payment and of others, within
	// AttemptsWithin before now; the latest MaxAttempts are enough. In any order.
	Attempts []time.Time
	// Zone is the customer's.
	Zone *time.Location
	// Workdays are the days on which the customer is charged.
	Workdays calendar.Workdays
}

// GiveUp is why a payment is not tried again by itself.
type GiveUp string

// The reasons there are.
const (
	// HardDecline: the payment method will never be good for it.
	HardDecline GiveUp = "hard_decline"
	// NeedsCorrection: something has to be put right first.
	NeedsCorrection GiveUp = "needs_correction"
	// AttemptsUsedUp: the policy's retries were made, or those it has for codes that are not known.
	AttemptsUsedUp GiveUp = "attempts_used_up"
	// TooLate: there is no hour of a business day left up to the last day.
	TooLate GiveUp = "too_late"
	// BudgetUsedUp: there is, but the scheme's limits leave none of them.
	BudgetUsedUp GiveUp = "budget_used_up"
)

// Decision is either a retry or the end of all of them.
type Decision struct {
	// RetryAt is when to try again, in UTC; the zero time when it is given up. It is now, or later.
	RetryAt time.Time
	// GiveUp is why not; empty when there is a retry.
	GiveUp GiveUp
}

// Decide says whether the payment is tried again, and when. The instant is the earliest that is not before now nor the
// planned day, lies in the hours of a business day up to the last, and within the limits of the scheme. The error is
// ErrHistory.
func (p Policy) Decide(h History, now time.Time) (Decision, error) {
	if err := h.check(); err != nil {
		return Decision{}, err
	}
	if why := p.final(h.Declines); why != "" {
		return Decision{GiveUp: why}, nil
	}
	first, last := h.Declines[0], h.Declines[len(h.Declines)-1]
	lastDay := calendar.DateOf(first.At.In(h.Zone)).AddDays(p.LastDay)
	planned := calendar.DateOf(last.At.In(h.Zone)).AddDays(p.Delays[len(h.Declines)-1])
	earliest := latest(now, calendar.At(planned, calendar.TimeOfDay{}, h.Zone))
	if _, ok := p.open(h, earliest, lastDay); !ok {
		return Decision{GiveUp: TooLate}, nil
	}
	at, ok := p.open(h, latest(earliest, h.Scheme.Earliest(h.Attempts)), lastDay)
	if !ok {
		return Decision{GiveUp: BudgetUsedUp}, nil
	}
	return Decision{RetryAt: at.UTC()}, nil
}

func (h History) check() error {
	if len(h.Declines) == 0 {
		return fmt.Errorf("%w: nothing was declined", ErrHistory)
	}
	if h.Zone == nil {
		return fmt.Errorf("%w: the customer has no zone", ErrHistory)
	}
	for i, d := range h.Declines[1:] {
		if d.At.Before(h.Declines[i].At) {
			return fmt.Errorf("%w: decline %d is before the one ahead of it", ErrHistory, i+2)
		}
	}
	return nil
}

// final says why there is no retry whatever the time, or nothing. That a decline was hard is not forgotten after another
// one; what was to be corrected counts while it is the latest word.
func (p Policy) final(declines []Decline) GiveUp {
	unknown := 0
	for _, d := range declines {
		switch ClassOf(d.Code) {
		case Hard:
			return HardDecline
		case Unknown:
			unknown++
		}
	}
	latest := ClassOf(declines[len(declines)-1].Code)
	switch {
	case latest == Correctable:
		return NeedsCorrection
	case len(declines) > len(p.Delays), latest == Unknown && unknown > p.UnknownRetries:
		return AttemptsUsedUp
	}
	return ""
}

// open is the first instant, earliest or later, in the hours of a business day up to the last day; false when there is
// none.
func (p Policy) open(h History, earliest time.Time, lastDay calendar.Date) (time.Time, bool) {
	for d := calendar.DateOf(earliest.In(h.Zone)); !d.After(lastDay); d = d.AddDays(1) {
		business, err := h.Workdays.Roll(d, calendar.RollFollowing)
		if err != nil || business.After(lastDay) {
			break
		}
		d = business
		end := d
		if minutes(p.To) == 0 {
			end = d.AddDays(1)
		}
		// Clocks that are put forward can leave nothing of the hours, or of the day.
		from, to := calendar.At(d, p.From, h.Zone), calendar.At(end, p.To, h.Zone)
		if at := latest(from, earliest); at.Before(to) {
			return at, true
		}
	}
	return time.Time{}, false
}

// latest is the later of two instants.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
