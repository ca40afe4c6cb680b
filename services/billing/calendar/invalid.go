package calendar

import (
	"fmt"
	"strings"
	"time"
)

// Violation is something wrong with a field.
type Violation struct {
	// Field is its name in snake case, through dots: "rule.every".
	Field string
	// Problem says what it must be.
	Problem string
}

// Invalid is the error of a value with fields that are wrong: all of them, in the order of the fields.
type Invalid []Violation

// Error names the fields and what they must be.
func (v Invalid) Error() string {
	problems := make([]string, len(v))
	for i, violation := range v {
		problems[i] = violation.Field + ": " + violation.Problem
	}
	return strings.Join(problems, "; ")
}

// Require adds a violation unless ok.
func (v *Invalid) Require(ok bool, field, problem string, args ...any) {
	if !ok {
		*v = append(*v, Violation{field, fmt.Sprintf(problem, args...)})
	}
}

// Err is nil when there is no violation.
func (v Invalid) Err() error {
	if len(v) == 0 {
		return nil
	}
	return v
}

// Validate says what is wrong with the spec. The error is Invalid.
func (s Spec) Validate() error {
	var v Invalid
	s.Rule.validate(&v)
	v.Require(s.At.Valid(), "at", "must be a time of day from 00:00 to 23:59")
	v.Require(s.Zone != nil && s.Zone != time.Local, "zone", "must be a time zone of the IANA database")
	v.Require(s.Roll.Valid(), "roll", "must be none, following, modified_following or preceding")
	v.Require(s.Roll == RollNone || s.Workdays.Weekend&everyDay != everyDay, "workdays.weekend",
		"must leave a day of the week on which something can be due")
	return v.Err()
}

func (r Rule) validate(v *Invalid) {
	monthly, yearly := r.Frequency == Monthly, r.Frequency == Yearly
	before := len(*v)
	v.Require(r.Frequency == Daily || r.Frequency == Weekly || monthly || yearly, "rule.frequency", "must be daily, weekly, monthly or yearly")
	v.Require(r.Every >= 1 && r.Every <= MaxEvery, "rule.every", "must be from 1 to %d", MaxEvery)
	if r.Frequency == Weekly {
		v.Require(r.Weekday >= time.Sunday && r.Weekday <= time.Saturday, "rule.weekday", "must be a day of the week")
	} else {
		v.Require(r.Weekday == 0, "rule.weekday", "belongs to weekly rules only")
	}
	switch {
	case yearly:
		known := r.Month >= time.January && r.Month <= time.December
		v.Require(known, "rule.month", "must be from 1 to 12")
		if known {
			last := daysIn(2000, r.Month) // a leap year
			v.Require(r.Day >= 1 && r.Day <= last, "rule.day", "must be from 1 to %d in this month", last)
		}
	case monthly:
		v.Require(r.Month == 0, "rule.month", "belongs to yearly rules only")
		v.Require(r.Day >= 1 && r.Day <= 31, "rule.day", "must be from 1 to 31")
	default:
		v.Require(r.Month == 0, "rule.month", "belongs to yearly rules only")
		v.Require(r.Day == 0, "rule.day", "belongs to monthly and yearly rules only")
	}
	v.Require(r.Start.Valid(), "rule.start", "must be a date that exists")
	v.Require(r.Until.IsZero() || r.Until.Valid(), "rule.until", "must be a date that exists, or none")
	v.Require(r.Count >= 0, "rule.count", "must be more than 0, or 0 for a rule that does not end by count")
	v.Require(r.Until.IsZero() || r.Count == 0, "rule.count", "cannot be set together with until")
	if len(*v) > before {
		return
	}
	until := r.Until
	r.Until = Date{}
	first, some := r.at(0)
	v.Require(some, "rule.start", "must leave a date up to the year 9999")
	v.Require(until.IsZero() || !until.Before(first), "rule.until", "must not be before the first occurrence, %s", first)
}
