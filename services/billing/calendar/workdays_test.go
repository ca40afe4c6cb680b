package calendar_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/tieout/tieout/services/billing/calendar"
)

var rolls = []calendar.Roll{calendar.RollNone, calendar.RollFollowing, calendar.RollModifiedFollowing, calendar.RollPreceding}

func TestRoll_GoesWhereISDASays(t *testing.T) {
	t.Parallel()
	days := calendar.Workdays{Weekend: weekend, Holidays: calendar.NewDates(dates(t, "2025-12-25", "2025-12-26", "2026-01-01", "2026-04-03", "2026-04-06")...)}
	tests := map[string]struct{ nominal, following, modified, preceding string }{
		"a business day":                    {"2025-12-24", "2025-12-24", "2025-12-24", "2025-12-24"},
		"Christmas and a weekend behind it": {"2025-12-25", "2025-12-29", "2025-12-29", "2025-12-24"},
		"a Sunday after holidays":           {"2025-12-28", "2025-12-29", "2025-12-29", "2025-12-24"},
		"the end of a month":                {"2026-01-31", "2026-02-02", "2026-01-30", "2026-01-30"},
		"the begin of a month":              {"2026-02-01", "2026-02-02", "2026-02-02", "2026-01-30"},
		"New Year":                          {"2026-01-01", "2026-01-02", "2026-01-02", "2025-12-31"},
		"Easter":                            {"2026-04-04", "2026-04-07", "2026-04-07", "2026-04-02"},
		"the last of February":              {"2026-02-28", "2026-03-02", "2026-02-27", "2026-02-27"},
	}
	for name, tt := range tests {
		for how, want := range map[calendar.Roll]string{
			calendar.RollNone: tt.nominal, calendar.RollFollowing: tt.following,
			calendar.RollModifiedFollowing: tt.modified, calendar.RollPreceding: tt.preceding,
		} {
			if got, err := days.Roll(date(t, tt.nominal), how); err != nil || got != date(t, want) {
				t.Errorf("%s, %s: %s goes to %s, %v; want %s", name, how, tt.nominal, got, err, want)
			}
		}
	}
}

// closedFor are business days with a run of holidays of n days from d on.
func closedFor(d calendar.Date, n int) calendar.Workdays {
	var holidays []calendar.Date
	for i := range n {
		holidays = append(holidays, d.AddDays(i))
	}
	return calendar.Workdays{Holidays: calendar.NewDates(holidays...)}
}

func TestRoll_EndsAfterAMonthOfHolidays(t *testing.T) {
	t.Parallel()
	d := date(t, "2026-08-01")
	if got, err := closedFor(d, calendar.MaxRoll).Roll(d, calendar.RollFollowing); err != nil || got != d.AddDays(calendar.MaxRoll) {
		t.Errorf("got %s, %v; want the day after the holidays", got, err)
	}
	closed := closedFor(d.AddDays(-calendar.MaxRoll), 2*calendar.MaxRoll+1)
	for _, how := range []calendar.Roll{calendar.RollFollowing, calendar.RollModifiedFollowing, calendar.RollPreceding} {
		if got, err := closed.Roll(d, how); !errors.Is(err, calendar.ErrNoBusinessDay) {
			t.Errorf("%s: got %s, %v; want ErrNoBusinessDay", how, got, err)
		}
	}
	// All of August is closed, so that modified following has to leave it.
	if got, err := closedFor(d, 31).Roll(d.AddDays(30), calendar.RollModifiedFollowing); err != nil || got != date(t, "2026-07-31") {
		t.Errorf("got %s, %v; want the last day of July", got, err)
	}
}

// workdays draws business days around 2026, with some holidays and long runs of them.
func workdays() *rapid.Generator[calendar.Workdays] {
	return rapid.Custom(func(t *rapid.T) calendar.Workdays {
		from := calendar.Date{Year: 2025, Month: 12, Day: 1}
		w := calendar.Workdays{Weekend: calendar.Weekdays(rapid.SampledFrom([]int{0, 0b1000001, 0b0110000, 0b0111111}).Draw(t, "weekend")), Holidays: calendar.Dates{}}
		for range rapid.IntRange(0, 6).Draw(t, "runs") {
			at := from.AddDays(rapid.IntRange(0, 500).Draw(t, "at"))
			for i := range rapid.SampledFrom([]int{1, 3, 10, 40, 90}).Draw(t, "long") {
				w.Holidays[at.AddDays(i)] = struct{}{}
			}
		}
		return w
	})
}

func TestRoll_FindsTheNearestBusinessDayAndKeepsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		days, how := workdays().Draw(t, "workdays"), rapid.SampledFrom(rolls[1:]).Draw(t, "roll")
		d := calendar.Date{Year: 2026, Month: 1, Day: 1}.AddDays(rapid.IntRange(0, 365).Draw(t, "day"))
		got, err := days.Roll(d, how)
		if err != nil {
			if days.Open(d) {
				t.Fatalf("%s is a business day: %v", d, err)
			}
			return
		}
		if !days.Open(got) || got.DaysUntil(d) > calendar.MaxRoll || d.DaysUntil(got) > calendar.MaxRoll {
			t.Fatalf("%s is no business day near %s", got, d)
		}
		step := 1
		if got.Before(d) {
			step = -1
		}
		for between := d; between != got; between = between.AddDays(step) {
			if days.Open(between) {
				t.Fatalf("%s: %s goes to %s, past %s", how, d, got, between)
			}
		}
		switch {
		case how == calendar.RollFollowing && step < 0, how == calendar.RollPreceding && got.After(d),
			how == calendar.RollModifiedFollowing && got.After(d) && got.Month != d.Month:
			t.Fatalf("%s: %s goes to %s", how, d, got)
		}
		if next, err := days.Roll(d.AddDays(1), how); err == nil && next.Before(got) {
			t.Fatalf("%s: %s goes to %s, and the next day back to %s", how, d, got, next)
		}
	})
}
