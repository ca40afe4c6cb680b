package dunning_test

import (
	"errors"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // zones do not depend on the machine

	"pgregory.net/rapid"

	"github.com/tieout/tieout/services/billing/calendar"
	"github.com/tieout/tieout/services/billing/dunning"
)

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

// declined is a history of declines of insufficient funds at these times, which are all the attempts there were.
func declined(t testing.TB, texts ...string) dunning.History {
	t.Helper()
	h := dunning.History{
		Scheme: dunning.Visa, Zone: zone(t, "Europe/London"),
		Workdays: calendar.Workdays{Weekend: calendar.NewWeekdays(time.Saturday, time.Sunday)},
	}
	for _, text := range texts {
		h.Declines = append(h.Declines, dunning.Decline{At: instant(t, text), Code: "insufficient_funds"})
		h.Attempts = append(h.Attempts, instant(t, text))
	}
	return h
}

// decided is a history, and what the default policy makes of it at an instant.
type decided struct {
	history dunning.History
	change  func(*dunning.History)
	now     string
	retry   string
	giveUp  dunning.GiveUp
}

func decisions(t *testing.T) map[string]decided {
	many := func(n int, text string) []time.Time { return slices.Repeat([]time.Time{instant(t, text)}, n) }
	first := "2026-11-02T08:00:00Z" // a Monday
	return map[string]decided{
		"the day after":                 {declined(t, first), nil, first, "2026-11-03T08:00:00Z", ""},
		"in the morning of summer time": {declined(t, "2026-07-06T20:00:00Z"), nil, "2026-07-06T20:00:00Z", "2026-07-07T07:00:00Z", ""},
		"three days after the second":   {declined(t, first, "2026-11-03T08:00:00Z"), nil, "2026-11-03T08:00:00Z", "2026-11-06T08:00:00Z", ""},
		"moved over a weekend":          {declined(t, "2026-11-06T08:00:00Z"), nil, "2026-11-06T08:00:00Z", "2026-11-09T08:00:00Z", ""},
		"moved over a holiday": {declined(t, first), func(h *dunning.History) {
			h.Workdays.Holidays = calendar.NewDates(calendar.Date{Year: 2026, Month: 11, Day: 3})
		}, first, "2026-11-04T08:00:00Z", ""},
		"late, within the hours":   {declined(t, first), nil, "2026-11-04T13:14:15Z", "2026-11-04T13:14:15Z", ""},
		"late, when the hours end": {declined(t, first), nil, "2026-11-04T20:00:00Z", "2026-11-05T08:00:00Z", ""},
		"late, before the hours":   {declined(t, first), nil, "2026-11-04T07:59:59Z", "2026-11-04T08:00:00Z", ""},
		"by the customer's date":   {declined(t, "2026-11-02T23:30:00Z"), func(h *dunning.History) { h.Zone = zone(t, "Pacific/Auckland") }, first, "2026-11-03T19:00:00Z", ""},
		"by the customer's last day": {declined(t, "2026-11-02T23:30:00Z"), func(h *dunning.History) { h.Zone = zone(t, "Pacific/Auckland") },
			"2026-11-23T22:00:00Z", "2026-11-23T22:00:00Z", ""},
		"the last hour of the last":   {declined(t, first), nil, "2026-11-23T19:59:59Z", "2026-11-23T19:59:59Z", ""},
		"after the last hour":         {declined(t, first), nil, "2026-11-23T20:00:00Z", "", dunning.TooLate},
		"a weekend to the last day":   {declined(t, "2026-10-31T08:00:00Z"), nil, "2026-11-20T20:00:00Z", "", dunning.TooLate},
		"holidays to the last day":    {declined(t, first), func(h *dunning.History) { h.Workdays.Weekend = 127 }, first, "", dunning.TooLate},
		"after four retries":          {declined(t, first, first, first, first, first), nil, first, "", dunning.AttemptsUsedUp},
		"a lost card":                 {declined(t, first), func(h *dunning.History) { h.Declines[0].Code = "lost_card" }, first, "", dunning.HardDecline},
		"a lost card some time ago":   {declined(t, first, first), func(h *dunning.History) { h.Declines[0].Code = "lost_card" }, first, "", dunning.HardDecline},
		"an expired card":             {declined(t, first), func(h *dunning.History) { h.Declines[0].Code = "expired_card" }, first, "", dunning.NeedsCorrection},
		"a code that is not known":    {declined(t, first), func(h *dunning.History) { h.Declines[0].Code = "" }, first, "2026-11-03T08:00:00Z", ""},
		"a second that is not known":  {declined(t, first, first), func(h *dunning.History) { h.Declines[0].Code, h.Declines[1].Code = "x", "y" }, first, "", dunning.AttemptsUsedUp},
		"one not known after a known": {declined(t, first, first), func(h *dunning.History) { h.Declines[1].Code = "x" }, first, "2026-11-05T08:00:00Z", ""},
		"a full budget of Visa": {declined(t, first), func(h *dunning.History) {
			h.Attempts = append(h.Attempts, many(14, "2026-10-10T10:00:00Z")...)
		}, first, "2026-11-09T10:00:00Z", ""},
		"a full budget of Visa too long": {declined(t, first), func(h *dunning.History) {
			h.Attempts = append(h.Attempts, many(14, "2026-10-24T20:00:00Z")...)
		}, first, "", dunning.BudgetUsedUp},
		"that of Mastercard is larger": {declined(t, first), func(h *dunning.History) {
			h.Scheme, h.Attempts = dunning.Mastercard, append(h.Attempts, many(14, "2026-10-24T20:00:00Z")...)
		}, first, "2026-11-03T08:00:00Z", ""},
		"ten of Mastercard in a day": {declined(t, first), func(h *dunning.History) {
			h.Scheme, h.Attempts = dunning.Mastercard, append(h.Attempts, many(9, "2026-11-02T19:00:00Z")...)
		}, "2026-11-02T20:00:00Z", "2026-11-03T08:00:00Z", ""},
		"ten of Mastercard in another": {declined(t, first), func(h *dunning.History) {
			h.Scheme, h.Attempts = dunning.Mastercard, many(10, "2026-11-02T19:00:00Z")
		}, "2026-11-02T20:00:00Z", "2026-11-03T19:00:00Z", ""},
	}
}

func TestDecide_RetriesAsThePolicySays(t *testing.T) {
	t.Parallel()
	for name, tt := range decisions(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.change != nil {
				tt.change(&tt.history)
			}
			got, err := dunning.DefaultPolicy().Decide(tt.history, instant(t, tt.now))
			want := dunning.Decision{GiveUp: tt.giveUp}
			if tt.retry != "" {
				want.RetryAt = instant(t, tt.retry)
			}
			if err != nil || got != want {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
	}
}

func TestDecide_RefusesWhatIsNoHistory(t *testing.T) {
	t.Parallel()
	now := instant(t, "2026-11-02T08:00:00Z")
	for name, h := range map[string]dunning.History{
		"no declines":  declined(t),
		"no zone":      {Declines: []dunning.Decline{{At: now}}},
		"out of order": declined(t, "2026-11-02T08:00:00Z", "2026-11-02T07:59:59Z"),
	} {
		if got, err := dunning.DefaultPolicy().Decide(h, now); !errors.Is(err, dunning.ErrHistory) {
			t.Errorf("%s: got %v, %v; want ErrHistory", name, got, err)
		}
	}
}

// drawn is a decision to be made, in which the last day is often near and the budget often full.
type drawn struct {
	policy  dunning.Policy
	history dunning.History
	now     time.Time
}

func draw(t *rapid.T, zones []*time.Location) drawn {
	hour := func(name string, from, to int) calendar.TimeOfDay {
		n := rapid.IntRange(from, to).Draw(t, name)
		return calendar.TimeOfDay{Hour: n / 4, Minute: n % 4 * 15}
	}
	p := dunning.Policy{Delays: rapid.SliceOfN(rapid.IntRange(1, 7), 0, 4).Draw(t, "delays")}
	for _, days := range p.Delays {
		p.LastDay += days
	}
	p.LastDay += rapid.IntRange(0, 10).Draw(t, "last day")
	p.UnknownRetries = rapid.IntRange(0, len(p.Delays)).Draw(t, "unknown retries")
	p.From = hour("from", 0, 94)
	if rapid.Bool().Draw(t, "to an hour") {
		p.To = hour("to", p.From.Hour*4+p.From.Minute/15+1, 95)
	}

	h := dunning.History{
		Scheme: rapid.SampledFrom([]dunning.Scheme{dunning.Visa, dunning.Mastercard, dunning.Other, "jcb"}).Draw(t, "scheme"),
		Zone:   rapid.SampledFrom(zones).Draw(t, "zone"),
		Workdays: calendar.Workdays{
			Weekend:  calendar.Weekdays(rapid.SampledFrom([]int{0, 0b1000001, 0b0111110, 127}).Draw(t, "weekend")),
			Holidays: calendar.Dates{},
		},
	}
	at := instantOf(rapid.SampledFrom([]string{"2026-03-01", "2026-10-20", "2011-12-20"}).Draw(t, "around")).
		Add(time.Duration(rapid.IntRange(0, 20*24*60).Draw(t, "minutes")) * time.Minute)
	for range rapid.IntRange(0, 8).Draw(t, "holidays") {
		h.Workdays.Holidays[calendar.DateOf(at).AddDays(rapid.IntRange(0, 20).Draw(t, "holiday"))] = struct{}{}
	}
	codes := rapid.SampledFrom([]string{"insufficient_funds", "insufficient_funds", "do_not_honor", "lost_card", "expired_card", "", "odd"})
	for range rapid.IntRange(1, 5).Draw(t, "declines") {
		h.Declines = append(h.Declines, dunning.Decline{At: at, Code: codes.Draw(t, "code")})
		h.Attempts = append(h.Attempts, at)
		at = at.Add(time.Duration(rapid.IntRange(0, 4*24*60).Draw(t, "until the next")) * time.Minute)
	}
	now := h.Declines[len(h.Declines)-1].At.Add(time.Duration(rapid.IntRange(0, 15*24*60).Draw(t, "until now")) * time.Minute)
	for range rapid.SampledFrom([]int{0, 0, 9, 14, 20, 40}).Draw(t, "others") {
		h.Attempts = append(h.Attempts, now.Add(-time.Duration(rapid.IntRange(0, 30*24*60).Draw(t, "ago"))*time.Minute))
	}
	return drawn{p, h, now}
}

func instantOf(date string) time.Time {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		panic(err)
	}
	return t
}

// limits are the rules of the schemes, written down once more.
func limits(s dunning.Scheme) map[time.Duration]int {
	switch s {
	case dunning.Visa:
		return map[time.Duration]int{30 * 24 * time.Hour: 15}
	case dunning.Mastercard:
		return map[time.Duration]int{24 * time.Hour: 10, 30 * 24 * time.Hour: 35}
	}
	return map[time.Duration]int{24 * time.Hour: 10, 30 * 24 * time.Hour: 15}
}

// inBudget counts the attempts within each span that ends with one more at t.
func inBudget(h dunning.History, t time.Time) bool {
	for within, most := range limits(h.Scheme) {
		n := 1
		for _, a := range h.Attempts {
			if t.Sub(a) < within {
				n++
			}
		}
		if n > most {
			return false
		}
	}
	return true
}

// inHours walks the minutes of the customer's day up to t, and says whether clocks have shown From and not yet To.
func (d drawn) inHours(t time.Time) bool {
	local := t.In(d.history.Zone)
	today := calendar.DateOf(local)
	if d.history.Workdays.Weekend.Has(today.Weekday()) || d.history.Workdays.Holidays.Has(today) {
		return false
	}
	begun := false
	for m := local.Truncate(time.Minute).Add(-26 * time.Hour); !m.After(local); m = m.Add(time.Minute) {
		if calendar.DateOf(m) != today {
			continue
		}
		shown := calendar.TimeOfDay{Hour: m.Hour(), Minute: m.Minute()}.String()
		begun = begun || shown >= d.policy.From.String()
		if d.policy.To != (calendar.TimeOfDay{}) && shown >= d.policy.To.String() {
			return false
		}
	}
	return begun
}

// planned says whether t is on the planned day or later, and not after the last.
func (d drawn) planned(t time.Time) bool {
	dateOf := func(t time.Time) calendar.Date { return calendar.DateOf(t.In(d.history.Zone)) }
	declines := d.history.Declines
	since := dateOf(declines[len(declines)-1].At).DaysUntil(dateOf(t))
	return since >= d.policy.Delays[len(declines)-1] && dateOf(declines[0].At).DaysUntil(dateOf(t)) <= d.policy.LastDay
}

// first walks from now on in quarters of an hour – at which hours begin and end – to the first instant that is allowed by
// all but the budget, or by all; false when there is none.
func (d drawn) first(budget bool) (time.Time, bool) {
	frees := []time.Time{d.now}
	for _, a := range d.history.Attempts {
		for within := range limits(d.history.Scheme) {
			frees = append(frees, a.Add(within))
		}
	}
	for t := d.now.Truncate(15 * time.Minute); t.Before(d.now.Add(45 * 24 * time.Hour)); t = t.Add(15 * time.Minute) {
		frees = append(frees, t)
	}
	slices.SortFunc(frees, time.Time.Compare)
	for _, t := range frees {
		if !t.Before(d.now) && d.planned(t) && (!budget || inBudget(d.history, t)) && d.inHours(t) {
			return t, true
		}
	}
	return time.Time{}, false
}

func TestDecide_GivesTheEarliestInstantThatAllRulesAllow(t *testing.T) {
	t.Parallel()
	var zones []*time.Location
	for _, name := range []string{"UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"} {
		zones = append(zones, zone(t, name))
	}
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t, zones)
		if err := d.policy.Validate(); err != nil {
			t.Fatal(err)
		}
		got, err := d.policy.Decide(d.history, d.now)
		if err != nil {
			t.Fatal(err)
		}
		want := dunning.Decision{GiveUp: final(d)}
		if want.GiveUp == "" {
			at, ok := d.first(true)
			_, unlimited := d.first(false)
			switch {
			case ok:
				want.RetryAt = at.UTC()
			case unlimited:
				want.GiveUp = dunning.BudgetUsedUp
			default:
				want.GiveUp = dunning.TooLate
			}
		}
		if got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
		if got.GiveUp != "" {
			return
		}
		// Who asks again when the time has come is told the same.
		if again, err := d.policy.Decide(d.history, got.RetryAt); err != nil || again != got {
			t.Fatalf("got %v, and at that time %v, %v", got, again, err)
		}
	})
}

// final is the end that the declines by themselves are, as the words of the policy say it.
func final(d drawn) dunning.GiveUp {
	var codes []string
	for _, decline := range d.history.Declines {
		codes = append(codes, decline.Code)
	}
	last := codes[len(codes)-1]
	unknown := len(slices.DeleteFunc(slices.Clone(codes), func(c string) bool { return c != "" && c != "odd" }))
	switch {
	case slices.Contains(codes, "lost_card"):
		return dunning.HardDecline
	case last == "expired_card":
		return dunning.NeedsCorrection
	case len(codes) > len(d.policy.Delays), (last == "" || last == "odd") && unknown > d.policy.UnknownRetries:
		return dunning.AttemptsUsedUp
	}
	return ""
}
