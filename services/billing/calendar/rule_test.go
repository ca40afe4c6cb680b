package calendar_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tieout/tieout/services/billing/calendar"
)

func TestDates_ReckonFromTheAnchorAndNeverDrift(t *testing.T) {
	t.Parallel()
	on := func(text string) calendar.Date { return date(t, text) }
	tests := map[string]struct {
		rule calendar.Rule
		want []string
	}{
		"the 31st": {calendar.Rule{Frequency: calendar.Monthly, Every: 1, Day: 31, Start: on("2027-12-01")},
			[]string{"2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"}},
		"the 30th": {calendar.Rule{Frequency: calendar.Monthly, Every: 1, Day: 30, Start: on("2026-12-31")},
			[]string{"2027-01-30", "2027-02-28", "2027-03-30", "2027-04-30"}},
		"a start behind the anchor": {calendar.Rule{Frequency: calendar.Monthly, Every: 3, Day: 15, Start: on("2026-01-16")},
			[]string{"2026-02-15", "2026-05-15", "2026-08-15"}},
		"a start on a clamped anchor": {calendar.Rule{Frequency: calendar.Monthly, Every: 1, Day: 31, Start: on("2026-02-28")},
			[]string{"2026-02-28", "2026-03-31"}},
		"every quarter to the end of the month": {calendar.Rule{Frequency: calendar.Monthly, Every: 3, Day: 31, Start: on("2026-11-01")},
			[]string{"2026-11-30", "2027-02-28", "2027-05-31", "2027-08-31"}},
		"29 February": {calendar.Rule{Frequency: calendar.Yearly, Every: 1, Month: time.February, Day: 29, Start: on("2026-03-01")},
			[]string{"2027-02-28", "2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"}},
		"29 February of a century": {calendar.Rule{Frequency: calendar.Yearly, Every: 4, Month: time.February, Day: 29, Start: on("2096-01-01")},
			[]string{"2096-02-29", "2100-02-28", "2104-02-29"}},
		"every other Friday": {calendar.Rule{Frequency: calendar.Weekly, Every: 2, Weekday: time.Friday, Start: on("2026-11-21")},
			[]string{"2026-11-27", "2026-12-11", "2026-12-25"}},
		"a start on the weekday": {calendar.Rule{Frequency: calendar.Weekly, Every: 1, Weekday: time.Sunday, Start: on("2026-11-22")},
			[]string{"2026-11-22", "2026-11-29"}},
		"every ten days": {calendar.Rule{Frequency: calendar.Daily, Every: 10, Start: on("2028-02-20")},
			[]string{"2028-02-20", "2028-03-01", "2028-03-11"}},
		"three times": {calendar.Rule{Frequency: calendar.Daily, Every: 1, Start: on("2026-12-30"), Count: 3},
			[]string{"2026-12-30", "2026-12-31", "2027-01-01"}},
		"until the last": {calendar.Rule{Frequency: calendar.Monthly, Every: 1, Day: 31, Start: on("2026-01-01"), Until: on("2026-02-28")},
			[]string{"2026-01-31", "2026-02-28"}},
		"until the day before": {calendar.Rule{Frequency: calendar.Monthly, Every: 1, Day: 31, Start: on("2026-01-01"), Until: on("2026-02-27")},
			[]string{"2026-01-31"}},
		"to the end of the calendar": {calendar.Rule{Frequency: calendar.Monthly, Every: 1, Day: 31, Start: on("9999-11-01")},
			[]string{"9999-11-30", "9999-12-31"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := schedule(t, spec(t, tt.rule))
			want := dates(t, tt.want...)
			if got := first(len(want), s.Dates(calendar.Date{})); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			// What was asked for is all there is, if the rule ends.
			if _, more := s.Date(len(want) + 1); more && (tt.rule.Count > 0 || !tt.rule.Until.IsZero() || tt.rule.Start.Year == 9999) {
				t.Error("the rule does not end")
			}
		})
	}
}

func TestDates_ClampEveryAnchorAtEveryMonthsEnd(t *testing.T) {
	t.Parallel()
	lengths := []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for anchor := 1; anchor <= 31; anchor++ {
		for _, year := range []int{1900, 2000, 2020, 2024, 2026, 2032, 2035, 2100} {
			rule := calendar.Rule{Frequency: calendar.Monthly, Every: 1, Day: anchor, Start: calendar.Date{Year: year, Month: 1, Day: 1}, Count: 12}
			got := first(13, schedule(t, spec(t, rule)).Dates(rule.Start))
			for i, length := range lengths {
				if leap := year%4 == 0 && (year%100 != 0 || year%400 == 0); i == 1 && leap {
					length = 29
				}
				if want := (calendar.Date{Year: year, Month: time.Month(i + 1), Day: min(anchor, length)}); got[i] != want {
					t.Errorf("anchor %d is %s, want %s", anchor, got[i], want)
				}
			}
			if len(got) != 12 {
				t.Errorf("anchor %d in %d has %d dates", anchor, year, len(got))
			}
		}
	}
}

// rules draws rules of all kinds that have an occurrence.
func rules() *rapid.Generator[calendar.Rule] {
	return rapid.Custom(func(t *rapid.T) calendar.Rule {
		r := calendar.Rule{
			Frequency: rapid.SampledFrom([]calendar.Frequency{calendar.Daily, calendar.Weekly, calendar.Monthly, calendar.Yearly}).Draw(t, "frequency"),
			Every:     rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, calendar.MaxEvery)).Draw(t, "every"),
			Start:     anyDate().Draw(t, "start"),
		}
		switch r.Frequency {
		case calendar.Weekly:
			r.Weekday = time.Weekday(rapid.IntRange(0, 6).Draw(t, "weekday"))
		case calendar.Monthly:
			r.Day = rapid.IntRange(1, 31).Draw(t, "day")
		case calendar.Yearly:
			d := anyDate().Draw(t, "anniversary")
			r.Month, r.Day = d.Month, d.Day
			if r.Month == time.February && rapid.Bool().Draw(t, "leap day") {
				r.Day = 29
			}
		}
		switch rapid.IntRange(0, 2).Draw(t, "end") {
		case 0:
			r.Count = rapid.IntRange(1, 40).Draw(t, "count")
		case 1:
			r.Until = r.Start.AddDays(rapid.IntRange(400, 5000).Draw(t, "until"))
			if last := (calendar.Date{Year: 9999, Month: 12, Day: 31}); r.Until.After(last) {
				r.Until = last
			}
		}
		return r
	})
}

// naive walks the rule day by day, up to the year 10000 and at most n days, and says of each whether it is an occurrence by
// what the calendar shows and by how many units ago the last one was.
func naive(r calendar.Rule, n int) []calendar.Date {
	var found []calendar.Date
	units := 0 // days, weeks, months or years with a fitting date since the last occurrence
	for d := r.Start; n > 0 && d.Year < 10000; d, n = d.AddDays(1), n-1 {
		lastOfMonth := d.AddDays(1).Day == 1
		anchored := d.Day == r.Day || lastOfMonth && d.Day < r.Day
		fits := map[calendar.Frequency]bool{
			calendar.Daily:   true,
			calendar.Weekly:  d.Weekday() == r.Weekday,
			calendar.Monthly: anchored,
			calendar.Yearly:  anchored && d.Month == r.Month,
		}[r.Frequency]
		if !fits {
			continue
		}
		if !r.Until.IsZero() && d.After(r.Until) || r.Count > 0 && len(found) == r.Count {
			break
		}
		if units%r.Every == 0 {
			found = append(found, d)
		}
		units++
	}
	return found
}

func TestDates_AgreeWithWalkingDayByDay(t *testing.T) {
	t.Parallel()
	const span = 4000
	rapid.Check(t, func(t *rapid.T) {
		r := rules().Draw(t, "rule")
		want := naive(r, span)
		if len(want) == 0 {
			t.Skip("none within the walk")
		}
		s, err := calendar.New(calendar.Spec{Rule: r, Zone: time.UTC, Roll: calendar.RollNone})
		if err != nil {
			t.Fatal(err)
		}
		end := r.Start.AddDays(span - 1)
		inSpan := func(d calendar.Date) bool { return !d.After(end) }
		for i, d := range want {
			if got, ok := s.Date(i + 1); !ok || got != d {
				t.Fatalf("occurrence %d is on %s, %t; want %s", i+1, got, ok, d)
			}
		}
		if got, ok := s.Date(len(want) + 1); ok && inSpan(got) {
			t.Fatalf("one too many, on %s", got)
		}
		from := r.Start.AddDays(rapid.IntRange(-500, span-1).Draw(t, "from"))
		before, rest := 0, []calendar.Date{}
		for _, d := range want {
			if d.Before(from) {
				before++
			} else {
				rest = append(rest, d)
			}
		}
		if got := first(len(rest), s.Dates(from)); !slices.Equal(got, rest) {
			t.Fatalf("from %s: got %v, want %v", from, got, rest)
		}
		if got := s.CountThrough(from.AddDays(-1)); got != before {
			t.Fatalf("there are %d before %s, want %d", got, from, before)
		}
		next, ok, err := s.Next(from)
		if err != nil || len(rest) > 0 && (!ok || next.Date != rest[0] || next.Number != before+1) || len(rest) == 0 && ok && inSpan(next.Date) {
			t.Fatalf("next from %s is %v, %t, %v; want the first of %v, number %d", from, next, ok, err, rest, before+1)
		}
	})
}

func TestSchedule_HasNoOccurrencesOutsideTheCalendar(t *testing.T) {
	t.Parallel()
	far := []calendar.Date{{}, {Year: -5000, Month: 1, Day: 1}, {Year: -1 << 40, Month: 1, Day: 1}, {Year: 10000, Month: 1, Day: 1}, {Year: 1 << 40, Month: 1, Day: 1}, {Year: 2026, Month: 99, Day: -7}}
	rapid.Check(t, func(t *rapid.T) {
		s, err := calendar.New(calendar.Spec{Rule: rules().Draw(t, "rule"), Zone: time.UTC, Roll: calendar.RollNone})
		if err != nil {
			t.Skip(err)
		}
		for _, number := range []int{0, -1, -1 << 63, 1<<63 - 1, 3652060} {
			if d, ok := s.Date(number); ok {
				t.Fatalf("occurrence %d is on %s", number, d)
			}
		}
		for _, from := range far {
			for d := range s.Dates(from) {
				if !d.Valid() {
					t.Fatalf("from %v there is one on %v", from, d)
				}
				break
			}
			last, some := s.Date(s.CountThrough(from))
			if from.Year < 1 && some || from.Year >= 10000 && !some {
				t.Fatalf("the last through %v is on %v, %t", from, last, some)
			}
			if _, more := s.Date(s.CountThrough(from) + 1); more && from.Year >= 10000 {
				t.Fatalf("there is one more, behind %v", last)
			}
		}
	})
	var none calendar.Schedule
	if next, ok, err := none.Next(calendar.Date{}); ok || err != nil {
		t.Errorf("the zero schedule has %v, %v", next, err)
	}
	if n := none.CountThrough(date(t, "2026-01-01")); n != 0 {
		t.Errorf("the zero schedule has %d", n)
	}
}
