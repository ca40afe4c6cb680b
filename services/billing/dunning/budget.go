package dunning

import (
	"slices"
	"strings"
	"time"
)

// Scheme is the network whose rules hold for a payment method.
type Scheme string

// The schemes whose limits are known, and all the others.
const (
	Visa       Scheme = "visa"
	Mastercard Scheme = "mastercard"
	Other      Scheme = "other"
)

// ParseScheme reads the name that a provider has for a card's brand. What is not known is Other.
func ParseScheme(brand string) Scheme {
	switch s := Scheme(strings.ToLower(brand)); s {
	case Visa, Mastercard:
		return s
	}
	return Other
}

// Limit is how many declined attempts with one payment method there may be within a span of time that ends with any of
// them.
type Limit struct {
	Attempts int
	Within   time.Duration
}

const (
	day   = 24 * time.Hour
	month = 30 * day
)

// Limits are those of a scheme. Each counts the first attempt as well as those after it, whatever their amounts, which
// is less than the schemes allow and never more.
//
// Visa: 15 reattempts in 30 days for declines of categories 2 to 4, by its rule on excessive reattempts of 2021. It has
// allowed 20 since 2025, but acquirers that hold to 15 block and charge as before. Mastercard: 10 attempts in 24
// hours and 35 in 30 days, by its Transaction Processing Excellence programme. Of a scheme that is not known all of them
// hold.
func (s Scheme) Limits() []Limit {
	visa := []Limit{{Attempts: 15, Within: month}}
	mastercard := []Limit{{Attempts: 10, Within: day}, {Attempts: 35, Within: month}}
	switch s {
	case Visa:
		return visa
	case Mastercard:
		return mastercard
	}
	return []Limit{mastercard[0], visa[0]}
}

// What of the attempts of a payment method Decide needs to know: those not older than AttemptsWithin, and of these the
// latest MaxAttempts at most.
const (
	AttemptsWithin = month
	MaxAttempts    = 35
)

// Earliest is the first instant from which on the scheme's limits allow another attempt, after declined ones at these
// times, in any order; the zero time when they allow it any time.
func (s Scheme) Earliest(attempts []time.Time) time.Time {
	latest := slices.SortedFunc(slices.Values(attempts), func(a, b time.Time) int { return b.Compare(a) })
	var earliest time.Time
	for _, l := range s.Limits() {
		if len(latest) < l.Attempts {
			continue
		}
		// As many as may be lie within, until the oldest of them leaves.
		if free := latest[l.Attempts-1].Add(l.Within); free.After(earliest) {
			earliest = free
		}
	}
	return earliest
}
