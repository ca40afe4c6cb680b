package calendar_test

import (
	"errors"
	"iter"
	"testing"
	"time"
	_ "time/tzdata" // zones do not depend on the machine

	"github.com/tieout/tieout/services/billing/calendar"
)

func date(t testing.TB, text string) calendar.Date {
	t.Helper()
	d, err := calendar.ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func dates(t testing.TB, texts ...string) []calendar.Date {
	t.Helper()
	var all []calendar.Date
	for _, text := range texts {
		all = append(all, date(t, text))
	}
	return all
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

// spec is one that is in order: at 06:00 in London, rolled nowhere.
func spec(t testing.TB, rule calendar.Rule) calendar.Spec {
	t.Helper()
	return calendar.Spec{Rule: rule, At: calendar.TimeOfDay{Hour: 6}, Zone: zone(t, "Europe/London"), Roll: calendar.RollNone}
}

func schedule(t testing.TB, s calendar.Spec) calendar.Schedule {
	t.Helper()
	made, err := calendar.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// first takes up to n of a sequence.
func first[T any](n int, seq iter.Seq[T]) []T {
	var taken []T
	for v := range seq {
		if len(taken) == n {
			break
		}
		taken = append(taken, v)
	}
	return taken
}

// rolled takes a sequence of which all occurrences can be rolled.
func rolled(t testing.TB, seq iter.Seq2[calendar.Occurrence, error]) []calendar.Occurrence {
	t.Helper()
	var all []calendar.Occurrence
	for o, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// fields are the names of the fields that an error is about.
func fields(t testing.TB, err error) []string {
	t.Helper()
	invalid, ok := errors.AsType[calendar.Invalid](err)
	if err != nil && !ok {
		t.Fatalf("%v is not about fields", err)
	}
	var names []string
	for _, v := range invalid {
		names = append(names, v.Field)
	}
	return names
}

var weekend = calendar.NewWeekdays(time.Saturday, time.Sunday)
