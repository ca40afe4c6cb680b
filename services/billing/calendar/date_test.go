package calendar_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tieout/tieout/services/billing/calendar"
)

func anyDate() *rapid.Generator[calendar.Date] {
	return rapid.Custom(func(t *rapid.T) calendar.Date {
		from := calendar.Date{Year: rapid.SampledFrom([]int{1, 1583, 1899, 1999, 2019, 2023, 9990}).Draw(t, "year"), Month: time.January, Day: 1}
		return from.AddDays(rapid.IntRange(0, 3650).Draw(t, "days"))
	})
}

func TestDate_TextIsISO8601(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]calendar.Date{
		"2024-02-29": {Year: 2024, Month: time.February, Day: 29},
		"0001-01-01": {Year: 1, Month: time.January, Day: 1},
		"9999-12-31": {Year: 9999, Month: time.December, Day: 31},
	} {
		if got := date(t, text); got != want || got.String() != text {
			t.Errorf("%s is read as %v, and written as %s", text, got, got)
		}
	}
	for _, text := range []string{"", "2023-02-29", "2100-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "2026-1-01", "0000-01-01", "10000-01-01", "2026-01-01T00:00:00Z", " 2026-01-01", "-001-01-01"} {
		if got, err := calendar.ParseDate(text); !errors.Is(err, calendar.ErrDate) {
			t.Errorf("%q is read as %v, %v; want ErrDate", text, got, err)
		}
	}
}

func TestDate_MarshalsThereAndBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.OneOf(anyDate(), rapid.Just(calendar.Date{})).Draw(t, "date")
		text, err := d.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		back := calendar.Date{Year: 1, Month: 1, Day: 1}
		if err := back.UnmarshalText(text); err != nil || back != d {
			t.Fatalf("%s came back as %s, %v", d, back, err)
		}
	})
	for _, d := range []calendar.Date{{Year: 2023, Month: 2, Day: 29}, {Year: 0, Month: 1, Day: 1}, {Year: 10000, Month: 1, Day: 1}, {Year: 2026, Month: 0, Day: 1}, {Year: 2026, Month: 13, Day: 1}, {Year: 2026, Month: 1, Day: 0}} {
		if text, err := d.MarshalText(); !errors.Is(err, calendar.ErrDate) || d.Valid() {
			t.Errorf("a date that does not exist is written: %s, %v", text, err)
		}
	}
	var d calendar.Date
	if err := d.UnmarshalText([]byte("tomorrow")); !errors.Is(err, calendar.ErrDate) {
		t.Errorf("tomorrow is read: %v, %v", d, err)
	}
}

func TestDate_CountsDaysAndOrders(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, n := anyDate().Draw(t, "date"), rapid.IntRange(-300, 300).Draw(t, "days")
		e := d.AddDays(n)
		if d.DaysUntil(e) != n || e.AddDays(-n) != d {
			t.Fatalf("%s and %d days are %s, %d days on", d, n, e, d.DaysUntil(e))
		}
		if d.Before(e) != (n > 0) || d.After(e) != (n < 0) || (d == e) != (n == 0) || d.Compare(e) != -e.Compare(d) {
			t.Fatalf("%s and %s are not in order", d, e)
		}
		if want := (int(d.Weekday()) + n + 700) % 7; int(e.Weekday()) != want {
			t.Fatalf("%s is a %s, %s a %s", d, d.Weekday(), e, e.Weekday())
		}
	})
	if got := date(t, "0001-01-01").DaysUntil(date(t, "9999-12-31")); got != 3652058 {
		t.Errorf("the calendar has %d days", got+1)
	}
	if got := date(t, "2026-11-22").Weekday(); got != time.Sunday {
		t.Errorf("2026-11-22 is a %s", got)
	}
}

func TestDate_IsTheOneOfTheZone(t *testing.T) {
	t.Parallel()
	at := instant(t, "2026-01-01T11:30:00Z")
	for name, want := range map[string]string{"Pacific/Kiritimati": "2026-01-02", "Etc/GMT+12": "2025-12-31", "UTC": "2026-01-01"} {
		if got := calendar.DateOf(at.In(zone(t, name))); got != date(t, want) {
			t.Errorf("in %s it is %s, want %s", name, got, want)
		}
	}
}

func TestTimeOfDay_TextIsOfTwentyFourHours(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]calendar.TimeOfDay{"00:00": {}, "06:05": {Hour: 6, Minute: 5}, "23:59": {Hour: 23, Minute: 59}} {
		if got, err := calendar.ParseTimeOfDay(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s is read as %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "6:00", "24:00", "12:60", "12:00:00", "noon", "1200", "-1:00"} {
		if got, err := calendar.ParseTimeOfDay(text); !errors.Is(err, calendar.ErrTimeOfDay) {
			t.Errorf("%q is read as %v, %v; want ErrTimeOfDay", text, got, err)
		}
	}
}
