package calendar_test

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tieout/tieout/services/billing/calendar"
)

// zoneNames are all the zones of the time zone database that Go comes with, version 2025c.
//
//go:embed testdata/zones.txt
var zoneNames string

const quarter = 15 * time.Minute

func offsetAt(unix int64, loc *time.Location) int {
	_, offset := time.Unix(unix, 0).In(loc).Zone()
	return offset
}

// transitions are the instants from 2020 to 2035 at which the clocks of loc change, found by asking what they show.
func transitions(loc *time.Location) []time.Time {
	const step = 6 * 60 * 60
	var found []time.Time
	end := time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	for was := offsetAt(at, loc); at < end; at += step {
		is := offsetAt(at+step, loc)
		if is == was {
			continue
		}
		before, after := at, at+step
		for after-before > 1 {
			if mid := (before + after) / 2; offsetAt(mid, loc) == was {
				before = mid
			} else {
				after = mid
			}
		}
		found = append(found, time.Unix(after, 0).UTC())
		was = is
	}
	return found
}

// shown is what the clocks of loc show at t, as if it were UTC, so that it can be compared.
func shown(t time.Time, loc *time.Location) time.Time {
	return t.Add(time.Duration(offsetAt(t.Unix(), loc)) * time.Second)
}

// distinctZones are the zones that differ in their transitions, by name; most names are links to another.
func distinctZones(t *testing.T) map[string][]time.Time {
	t.Helper()
	zones, seen := map[string][]time.Time{}, map[string]bool{}
	for name := range strings.FieldsSeq(zoneNames) {
		loc := zone(t, name)
		changes := transitions(loc)
		offsets := []int{offsetAt(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), loc)}
		for _, at := range changes {
			offsets = append(offsets, offsetAt(at.Unix(), loc))
		}
		if key := fmt.Sprint(offsets, changes); !seen[key] {
			seen[key], zones[name] = true, changes
		}
	}
	return zones
}

// walk finds, for every quarter of an hour of five days around a transition, the first instant at which the clocks show
// it or later, by looking at them each minute from long before.
func walk(change time.Time, loc *time.Location) (from calendar.Date, first []time.Time) {
	from = calendar.DateOf(change.Add(-48 * time.Hour))
	wall := time.Date(from.Year, from.Month, from.Day, 0, 0, 0, 0, time.UTC)
	end := wall.Add(5 * 24 * time.Hour)
	for t := wall.Add(-26 * time.Hour); wall.Before(end); t = t.Add(time.Minute) {
		for now := shown(t, loc); wall.Before(end) && !now.Before(wall); wall = wall.Add(quarter) {
			first = append(first, t)
		}
	}
	return from, first
}

func TestAt_IsTheFirstInstantTheClocksShowInAllZones(t *testing.T) {
	t.Parallel()
	zones := distinctZones(t)
	changes, gaps, overlaps := 0, 0, 0
	for name, all := range zones {
		loc := zone(t, name)
		for _, change := range all {
			changes++
			from, want := walk(change, loc)
			for n, first := range want {
				d, c := from.AddDays(n/96), calendar.TimeOfDay{Hour: n % 96 / 4, Minute: n % 4 * 15}
				got := calendar.At(d, c, loc)
				if !got.Equal(first) {
					t.Fatalf("%s: %s %s is at %s, want %s", name, d, c, got, first)
				}
				if n > 0 && got.Before(want[n-1]) {
					t.Fatalf("%s: %s %s is at %s, before the quarter of an hour ahead of it", name, d, c, got)
				}
				switch wall := time.Date(d.Year, d.Month, d.Day, c.Hour, c.Minute, 0, 0, time.UTC); {
				case !shown(got, loc).Equal(wall):
					gaps++
					if !got.Equal(change) {
						t.Fatalf("%s: %s %s does not exist, and is at %s instead of right after the gap, %s", name, d, c, got, change)
					}
				case shown(got.Add(time.Hour), loc).Equal(wall):
					overlaps++
				}
			}
		}
	}
	t.Logf("%d zones, %d transitions, %d times in gaps, %d that exist twice", len(zones), changes, gaps, overlaps)
	if len(zones) < 50 || changes < 1000 || gaps < 1000 || overlaps < 1000 {
		t.Errorf("too few: the zones were not loaded")
	}
}

func TestOccurrences_AreNeitherSkippedNorDoubledInAnyZone(t *testing.T) {
	t.Parallel()
	for name, changes := range distinctZones(t) {
		for _, at := range []calendar.TimeOfDay{{}, {Hour: 0, Minute: 30}, {Hour: 1}, {Hour: 2, Minute: 30}, {Hour: 6}, {Hour: 23, Minute: 59}} {
			s := spec(t, calendar.Rule{Frequency: calendar.Daily, Every: 1, Start: date(t, "2020-01-01"), Until: date(t, "2035-12-31")})
			s.At, s.Zone = at, zone(t, name)
			daily := schedule(t, s)
			for _, change := range changes {
				from, to := change.Add(-72*time.Hour), change.Add(72*time.Hour)
				var due []calendar.Occurrence
				for since := from; since.Before(to); since = since.Add(9 * time.Hour) { // as one who looks every nine hours
					due = append(due, rolled(t, daily.Due(since, since.Add(9*time.Hour)))...)
				}
				if n := len(due); n < 5 || n > 7 {
					t.Fatalf("%s at %s around %s: %d days in six: %v", name, at, change, n, due)
				}
				for i, o := range due[1:] {
					if o.Date != due[i].Date.AddDays(1) || !o.DueAt.After(due[i].DueAt) {
						t.Fatalf("%s at %s: %v comes after %v", name, at, o, due[i])
					}
				}
			}
		}
	}
}

func TestAt_OfClocksThatChange(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zone, date string
		at         calendar.TimeOfDay
		want       string
	}{
		"an ordinary day":                 {"America/New_York", "2026-03-07", calendar.TimeOfDay{Hour: 2, Minute: 30}, "2026-03-07T02:30:00-05:00"},
		"in the gap":                      {"America/New_York", "2026-03-08", calendar.TimeOfDay{Hour: 2, Minute: 30}, "2026-03-08T03:00:00-04:00"},
		"the begin of the gap":            {"America/New_York", "2026-03-08", calendar.TimeOfDay{Hour: 2}, "2026-03-08T03:00:00-04:00"},
		"the end of the gap":              {"America/New_York", "2026-03-08", calendar.TimeOfDay{Hour: 3}, "2026-03-08T03:00:00-04:00"},
		"twice":                           {"America/New_York", "2026-11-01", calendar.TimeOfDay{Hour: 1, Minute: 30}, "2026-11-01T01:30:00-04:00"},
		"where the second time begins":    {"America/New_York", "2026-11-01", calendar.TimeOfDay{Hour: 1}, "2026-11-01T01:00:00-04:00"},
		"where the second time ends":      {"America/New_York", "2026-11-01", calendar.TimeOfDay{Hour: 2}, "2026-11-01T02:00:00-05:00"},
		"midnight in the gap":             {"America/Asuncion", "2023-10-01", calendar.TimeOfDay{}, "2023-10-01T01:00:00-03:00"},
		"twice, across midnight":          {"America/St_Johns", "2010-11-07", calendar.TimeOfDay{}, "2010-11-07T00:00:00-02:30"},
		"half an hour":                    {"Australia/Lord_Howe", "2026-10-04", calendar.TimeOfDay{Hour: 2, Minute: 15}, "2026-10-04T02:30:00+11:00"},
		"a day that Samoa skipped":        {"Pacific/Apia", "2011-12-30", calendar.TimeOfDay{Hour: 6}, "2011-12-31T00:00:00+14:00"},
		"the day after it":                {"Pacific/Apia", "2011-12-31", calendar.TimeOfDay{Hour: 6}, "2011-12-31T06:00:00+14:00"},
		"a day that Kwajalein skipped":    {"Pacific/Kwajalein", "1993-08-21", calendar.TimeOfDay{Hour: 23, Minute: 59}, "1993-08-22T00:00:00+12:00"},
		"a day that Kiritimati skipped":   {"Pacific/Kiritimati", "1994-12-31", calendar.TimeOfDay{Hour: 12}, "1995-01-01T00:00:00+14:00"},
		"a day that Alaska had twice":     {"America/Juneau", "1867-10-18", calendar.TimeOfDay{Hour: 12}, "1867-10-18T12:00:00+15:02"},
		"a fixed offset":                  {"Etc/GMT+12", "2026-07-01", calendar.TimeOfDay{Hour: 6}, "2026-07-01T06:00:00-12:00"},
		"beyond all tables":               {"Europe/Berlin", "9999-06-30", calendar.TimeOfDay{Hour: 6}, "9999-06-30T06:00:00+02:00"},
		"daylight saving with a negative": {"Europe/Dublin", "2026-03-29", calendar.TimeOfDay{Hour: 1, Minute: 30}, "2026-03-29T02:00:00+01:00"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := calendar.At(date(t, tt.date), tt.at, zone(t, tt.zone)).In(zone(t, tt.zone))
			if got.Format("2006-01-02T15:04:05Z07:00") != tt.want {
				t.Errorf("got %s, want %s", got.Format(time.RFC3339), tt.want)
			}
		})
	}
}

func TestAt_HoldsAtTheEndOfLeapYearsBeyondAllTables(t *testing.T) {
	t.Parallel()
	for name := range distinctZones(t) {
		loc := zone(t, name)
		for _, year := range []int{2035, 2036, 2040, 2048, 2096, 2100, 2400, 9996} {
			from := calendar.Date{Year: year, Month: time.December, Day: 28}
			for n := range 7 * 24 {
				d, c := from.AddDays(n/24), calendar.TimeOfDay{Hour: n % 24, Minute: 30}
				wall := time.Date(d.Year, d.Month, d.Day, c.Hour, c.Minute, 0, 0, time.UTC)
				if got := calendar.At(d, c, loc); !shown(got, loc).Equal(wall) {
					t.Fatalf("%s: %s %s is at %s, when clocks show %s", name, d, c, got, shown(got, loc))
				}
			}
		}
	}
}

func TestOccurrences_OfADayThatTheZoneSkipsAreDueOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		hour int
		want []string
	}{
		{6, []string{"2011-12-29T16:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T16:00:00Z"}},
		{0, []string{"2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"}}, // two at one instant
	} {
		s := spec(t, calendar.Rule{Frequency: calendar.Daily, Every: 1, Start: date(t, "2011-12-29"), Count: 3})
		s.Zone, s.At = zone(t, "Pacific/Apia"), calendar.TimeOfDay{Hour: tt.hour}
		var nominal []calendar.Date
		for i, o := range rolled(t, schedule(t, s).Occurrences(calendar.Date{})) {
			nominal = append(nominal, o.Date)
			if want := instant(t, tt.want[i]); !o.DueAt.Equal(want) {
				t.Errorf("at %d: %s is due at %s, want %s", tt.hour, o.Date, o.DueAt, want)
			}
		}
		if want := dates(t, "2011-12-29", "2011-12-30", "2011-12-31"); !slices.Equal(nominal, want) {
			t.Errorf("at %d: nominal dates %v, want %v", tt.hour, nominal, want)
		}
	}
}
