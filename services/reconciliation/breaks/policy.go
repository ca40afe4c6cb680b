package breaks

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tieout/tieout/pkg/money"
)

// maxAge is the highest step of the age, in business days.
const maxAge = 10_000

// Steps say from what on a break is of a severity. They do not fall.
type Steps struct {
	Medium   int64 `json:"medium"`
	High     int64 `json:"high"`
	Critical int64 `json:"critical"`
}

// of gives the severity of a figure.
func (s Steps) of(n int64) Severity {
	switch {
	case n >= s.Critical:
		return Critical
	case n >= s.High:
		return High
	case n >= s.Medium:
		return Medium
	}
	return Low
}

func (s Steps) validate(name string) error {
	if s.Medium <= 0 || s.High < s.Medium || s.Critical < s.High {
		return fmt.Errorf("%s: medium must be more than zero, and high and critical not less than what is before them", name)
	}
	return nil
}

// Policy is how breaks are judged.
type Policy struct {
	// SeverityByAmount are the steps of the amount in minor units, by currency.
	SeverityByAmount map[money.Currency]Steps `json:"severity_by_amount"`
	// SeverityOtherwise are the steps of the amount in minor units of all other currencies.
	SeverityOtherwise Steps `json:"severity_otherwise"`
	// SeverityByAge are the steps of the age in business days.
	SeverityByAge Steps `json:"severity_by_age"`
	// WriteOffLimitMinor is the amount, in minor units of any currency, above which a second person approves what is booked.
	WriteOffLimitMinor int64 `json:"write_off_limit_minor"`
	// Holidays are the days from Monday to Friday on which nobody works.
	Holidays []Day `json:"holidays"`
}

// DefaultPolicy is the policy where nothing else is said.
func DefaultPolicy() Policy {
	return Policy{
		SeverityOtherwise:  Steps{Medium: 10_000, High: 100_000, Critical: 1_000_000},
		SeverityByAge:      Steps{Medium: 3, High: 5, Critical: 10},
		WriteOffLimitMinor: 10_000,
	}
}

// Validate says all that is wrong with a policy; each error begins with the field.
func (p Policy) Validate() error {
	all := []error{p.SeverityOtherwise.validate("severity_otherwise")}
	for _, c := range slices.Sorted(maps.Keys(p.SeverityByAmount)) {
		if _, err := money.ParseCurrency(string(c)); err != nil {
			all = append(all, fmt.Errorf("severity_by_amount: %w", err))
		}
		all = append(all, p.SeverityByAmount[c].validate("severity_by_amount."+string(c)))
	}
	all = append(all, p.SeverityByAge.validate("severity_by_age"))
	if p.SeverityByAge.Critical > maxAge {
		all = append(all, fmt.Errorf("severity_by_age: critical is more than %d", maxAge))
	}
	if p.WriteOffLimitMinor < 0 {
		all = append(all, errors.New("write_off_limit_minor: is less than zero"))
	}
	if sorted := slices.Sorted(slices.Values(p.Holidays)); len(slices.Compact(sorted)) < len(p.Holidays) {
		all = append(all, errors.New("holidays: names a day twice"))
	}
	return errors.Join(all...)
}

// Base is how severe a break is by its code and its amount, whatever its age. Less than zero counts as more.
func (p Policy) Base(c Code, a money.Amount) Severity {
	steps, ok := p.SeverityByAmount[a.Currency]
	if !ok {
		steps = p.SeverityOtherwise
	}
	k, _ := Describe(c)
	return max(k.Severity, steps.of(magnitude(a.Minor)), Low)
}

// Severity is how severe a break is at an age in business days.
func (p Policy) Severity(base Severity, age int) Severity {
	return max(base, p.SeverityByAge.of(int64(age)))
}

// Age is how many business days a break has been there.
func (p Policy) Age(opened, today Day) int { return BusinessDaysBetween(opened, today, p.Holidays) }

// OpenedBy gives the last day on which a break opened that is at least so many business days old today.
func (p Policy) OpenedBy(today Day, age int) Day {
	opened := today
	for p.Age(opened, today) < age {
		opened--
	}
	return opened
}

// SevereSince gives the last day on which a break opened that is of a severity today by its age alone.
func (p Policy) SevereSince(today Day, s Severity) Day {
	steps := map[Severity]int64{Medium: p.SeverityByAge.Medium, High: p.SeverityByAge.High, Critical: p.SeverityByAge.Critical}
	return p.OpenedBy(today, int(steps[s]))
}

// NeedsApproval says that a second person has to approve the booking of an amount.
func (p Policy) NeedsApproval(a money.Amount) bool { return magnitude(a.Minor) > p.WriteOffLimitMinor }

// magnitude is an amount without its sign; the least there is has no opposite, and becomes the most.
func magnitude(n int64) int64 {
	if n < 0 {
		return -max(n, -(1<<63 - 1))
	}
	return n
}
