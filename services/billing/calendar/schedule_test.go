package calendar_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/services/billing/calendar"
)

// specs draws schedules around 2026 in zones whose clocks differ most, with all rolls.
func specs(t *testing.T) *rapid.Generator[calendar.Spec] {
	var zones []*time.Location
	for _, name := range []string{"UTC", "America/Havana", "Pacific/Kiritimati", "Etc/GMT+12", "Europe/London"} {
		zones = append(zones, zone(t, name))
	}
	return rapid.Custom(func(t *rapid.T) calendar.Spec {
		s := calendar.Spec{
			Rule:     calendar.Rule{Frequency: calendar.Daily, Every: rapid.IntRange(1, 9).Draw(t, "every")},
			At:       calendar.TimeOfDay{Hour: rapid.IntRange(0, 23).Draw(t, "hour"), Minute: rapid.IntRange(0, 59).Draw(t, "minute")},
			Zone:     rapid.SampledFrom(zones).Draw(t, "zone"),
			Roll:     rapid.SampledFrom(rolls).Draw(t, "roll"),
			Workdays: workdays().Draw(t, "workdays"),
		}
		s.Rule.Start = calendar.Date{Year: 2026, Month: 1, Day: 1}.AddDays(rapid.IntRange(-60, 60).Draw(t, "start"))
		if rapid.Bool().Draw(t, "monthly") {
			s.Rule.Frequency, s.Rule.Day = calendar.Monthly, rapid.IntRange(1, 31).Draw(t, "day")
		}
		s.Rule.Count = rapid.IntRange(1, 40).Draw(t, "count")
		return s
	})
}

// due is an occurrence and its error, as text.
type due struct {
	calendar.Occurrence
	Err string
}

func collect(seq func(func(calendar.Occurrence, error) bool)) []due {
	var all []due
	for o, err := range seq {
		text := ""
		if err != nil {
			text = err.Error()
		}
		all = append(all, due{o, text})
	}
	return all
}

func TestDue_GivesEachOccurrenceOnceInOrder(t *testing.T) {
	t.Parallel()
	schedules := specs(t)
	rapid.Check(t, func(t *rapid.T) {
		s, err := calendar.New(schedules.Draw(t, "spec"))
		if err != nil {
			t.Fatal(err)
		}
		all := collect(s.Occurrences(calendar.Date{}))
		if len(all) != s.Spec().Rule.Count {
			t.Fatalf("%d occurrences, want %d", len(all), s.Spec().Rule.Count)
		}
		for i, o := range all {
			if o.Number != i+1 || i > 0 && (!o.Date.After(all[i-1].Date) || o.DueAt.Before(all[i-1].DueAt)) {
				t.Fatalf("%v comes after %v", o, all[max(0, i-1)])
			}
		}
		// One who looks from time to time, and was down for long at other times.
		var seen []due
		now := all[0].DueAt.Add(-time.Duration(rapid.IntRange(1, 100).Draw(t, "early")) * time.Hour)
		for now.Before(all[len(all)-1].DueAt) {
			until := now.Add(time.Duration(rapid.IntRange(12, 5000).Draw(t, "hours")) * time.Hour)
			seen = append(seen, collect(s.Due(now, until))...)
			now = until
		}
		if diff := cmp.Diff(all, seen); diff != "" {
			t.Fatalf("(-all +seen):\n%s", diff)
		}
	})
}

func TestDue_IsWhatIsAfterOneInstantAndUpToAnother(t *testing.T) {
	t.Parallel()
	s := schedule(t, spec(t, calendar.Rule{Frequency: calendar.Daily, Every: 1, Start: date(t, "2026-03-27"), Count: 5}))
	at := func(text string) time.Time { return instant(t, text) }
	// The clocks in London go forward on the 29th.
	for _, tt := range []struct {
		after, until string
		want         []string
	}{
		{"2026-03-27T05:59:59Z", "2026-03-27T06:00:00Z", []string{"2026-03-27"}},
		{"2026-03-27T06:00:00Z", "2026-03-28T05:59:59Z", nil},
		{"2026-03-27T06:00:00Z", "2026-03-29T05:00:00Z", []string{"2026-03-28", "2026-03-29"}},
		{"2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", []string{"2026-03-27", "2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31"}},
		{"2026-03-30T00:00:00Z", "2026-03-29T00:00:00Z", nil},
		{"2026-03-31T05:00:00Z", "2030-01-01T00:00:00Z", nil},
	} {
		var got []calendar.Date
		for _, o := range rolled(t, s.Due(at(tt.after), at(tt.until))) {
			got = append(got, o.Date)
		}
		if !slices.Equal(got, dates(t, tt.want...)) {
			t.Errorf("after %s, until %s: got %v, want %v", tt.after, tt.until, got, tt.want)
		}
	}
}

func TestOccurrences_KeepTheirDateWhereverTheyRoll(t *testing.T) {
	t.Parallel()
	schedules := specs(t)
	rapid.Check(t, func(t *rapid.T) {
		spec := schedules.Draw(t, "spec")
		s, err := calendar.New(spec)
		if err != nil {
			t.Fatal(err)
		}
		spec.Roll = calendar.RollNone
		unrolled, err := calendar.New(spec)
		if err != nil {
			t.Fatal(err)
		}
		plain := collect(unrolled.Occurrences(calendar.Date{}))
		for i, o := range collect(s.Occurrences(calendar.Date{})) {
			if o.Date != plain[i].Date || o.Number != plain[i].Number {
				t.Fatalf("%v without a roll is %v", o, plain[i])
			}
			switch want, err := spec.Workdays.Roll(o.Date, s.Spec().Roll); {
			case err != nil && (o.Err == "" || o.DueOn != o.Date):
				t.Fatalf("%v cannot be rolled: %v", o, err)
			case err == nil && (o.Err != "" || o.DueOn != want || calendar.DateOf(o.DueAt.In(spec.Zone)) != want):
				t.Fatalf("%v is due on %s", o, want)
			}
		}
	})
}

func TestOccurrences_ThatRollToOneDayRemainTwo(t *testing.T) {
	t.Parallel()
	s := spec(t, calendar.Rule{Frequency: calendar.Daily, Every: 1, Start: date(t, "2026-11-20"), Count: 5})
	s.Roll, s.Workdays.Weekend = calendar.RollFollowing, weekend
	var got []string
	for _, o := range rolled(t, schedule(t, s).Occurrences(calendar.Date{})) {
		got = append(got, o.Date.String()+" on "+o.DueOn.String())
	}
	want := []string{"2026-11-20 on 2026-11-20", "2026-11-21 on 2026-11-23", "2026-11-22 on 2026-11-23", "2026-11-23 on 2026-11-23", "2026-11-24 on 2026-11-24"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOccurrences_OfWhichEveryDayIsAHolidayAreErrors(t *testing.T) {
	t.Parallel()
	s := spec(t, calendar.Rule{Frequency: calendar.Daily, Every: 7, Start: date(t, "2026-01-01")})
	s.Roll, s.Workdays = calendar.RollFollowing, closedFor(date(t, "2026-01-01"), 400)
	closed := schedule(t, s)
	if next, ok, err := closed.Next(date(t, "2026-02-01")); !ok || !errors.Is(err, calendar.ErrNoBusinessDay) || next.Date != date(t, "2026-02-05") {
		t.Errorf("got %v, %t, %v; want ErrNoBusinessDay about 2026-02-05", next, ok, err)
	}
	if preview, err := closed.Preview(instant(t, "2026-01-01T00:00:00Z")); !errors.Is(err, calendar.ErrNoBusinessDay) || len(preview) > 0 {
		t.Errorf("got %v, %v; want ErrNoBusinessDay", preview, err)
	}
	// Behind the holidays it goes on.
	if preview, err := closed.Preview(instant(t, "2027-02-08T00:00:00Z")); err != nil || len(preview) != calendar.PreviewSize {
		t.Errorf("got %v, %v", preview, err)
	}
}

func TestPreview_IsTheNextTwelveThatAreStillToCome(t *testing.T) {
	t.Parallel()
	s := spec(t, calendar.Rule{Frequency: calendar.Monthly, Every: 1, Day: 31, Start: date(t, "2026-01-01")})
	s.Roll, s.Workdays.Weekend = calendar.RollFollowing, weekend
	got, err := schedule(t, s).Preview(instant(t, "2026-02-01T12:00:00Z")) // a Sunday
	if err != nil || len(got) != calendar.PreviewSize {
		t.Fatalf("%d occurrences, %v", len(got), err)
	}
	want := calendar.Occurrence{Date: date(t, "2026-01-31"), Number: 1, DueOn: date(t, "2026-02-02"), DueAt: instant(t, "2026-02-02T06:00:00Z")}
	if got[0] != want {
		t.Errorf("the first is %v, want %v, which the weekend moved behind now", got[0], want)
	}
	if last := got[11]; last.Date != date(t, "2026-12-31") || last.DueOn != last.Date {
		t.Errorf("the last is %v", last)
	}
	s.Rule.Count = 3
	if got, err := schedule(t, s).Preview(instant(t, "2026-02-02T06:00:00Z")); err != nil || len(got) != 2 || got[0].Number != 2 {
		t.Errorf("of three, one of which is past, come %v, %v", got, err)
	}
}
