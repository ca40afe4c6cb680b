package calendar

import (
	"errors"
	"fmt"
	"time"
)

// ErrTimeOfDay means that text is no time of day.
var ErrTimeOfDay = errors.New("no time from 00:00 to 23:59")

// TimeOfDay is what the clocks of a zone show, to the minute. The zero TimeOfDay is midnight, with which a day begins.
type TimeOfDay struct{ Hour, Minute int }

// ParseTimeOfDay reads a time of day of 24 hours: "06:00". The error is ErrTimeOfDay.
func ParseTimeOfDay(text string) (TimeOfDay, error) {
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return TimeOfDay{}, fmt.Errorf("%w: %.20q", ErrTimeOfDay, text)
	}
	return TimeOfDay{t.Hour(), t.Minute()}, nil
}

// Valid says whether clocks show it.
func (c TimeOfDay) Valid() bool {
	return c.Hour >= 0 && c.Hour < 24 && c.Minute >= 0 && c.Minute < 60
}

// String is the time of day as "06:00".
func (c TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", c.Hour, c.Minute) }

// maxOffset is more than any zone is ahead of UTC or behind it: RFC 8536 allows 26 hours ahead and 25 behind.
const maxOffset = 26 * time.Hour

// At is the first instant at which the clocks in zone show c on date d, or later. So a time that exists twice is the
// first, and one that does not exist is the first instant after the gap – on the next day, if the gap is all that was
// left of d, or all of it. The instant is in UTC. It never goes back as (d, c) goes on.
func At(d Date, c TimeOfDay, zone *time.Location) time.Time {
	wall := time.Date(d.Year, d.Month, d.Day, c.Hour, c.Minute, 0, 0, time.UTC)
	// From before anybody's clock can show it, through the spans in which the zone keeps its offset.
	t := wall.Add(-maxOffset).In(zone)
	for {
		_, offset := t.Zone()
		shown := wall.Add(-time.Duration(offset) * time.Second)
		if !shown.After(t) {
			return t.UTC() // the clocks were put forward past it, to what t begins with
		}
		_, end := t.ZoneBounds()
		if end.IsZero() {
			return shown
		}
		if !end.After(t) {
			// Beyond a zone's table, package time lets each year end after 365 days, which is before the last of a leap
			// year. No zone changes its clocks on that one.
			end = t.Truncate(24 * time.Hour).Add(24 * time.Hour)
		}
		if shown.Before(end) {
			return shown
		}
		t = end
	}
}
