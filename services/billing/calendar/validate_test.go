package calendar_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tieout/tieout/services/billing/calendar"
)

// badSpec is a change to a spec that is in order, and the fields that are wrong then.
type badSpec struct {
	rule   calendar.Rule
	change func(*calendar.Spec)
	want   []string
}

func badSpecs(t *testing.T) map[string]badSpec {
	start := date(t, "2026-01-15")
	daily := calendar.Rule{Frequency: calendar.Daily, Every: 1, Start: start}
	weekly := calendar.Rule{Frequency: calendar.Weekly, Every: 1, Weekday: time.Friday, Start: start}
	monthly := calendar.Rule{Frequency: calendar.Monthly, Every: 1, Day: 31, Start: start}
	yearly := calendar.Rule{Frequency: calendar.Yearly, Every: 1, Month: time.February, Day: 29, Start: start}
	return map[string]badSpec{
		"daily":                       {daily, func(*calendar.Spec) {}, nil},
		"weekly":                      {weekly, func(*calendar.Spec) {}, nil},
		"monthly":                     {monthly, func(*calendar.Spec) {}, nil},
		"yearly":                      {yearly, func(*calendar.Spec) {}, nil},
		"no frequency":                {daily, func(s *calendar.Spec) { s.Rule.Frequency = "" }, []string{"rule.frequency"}},
		"every 0":                     {daily, func(s *calendar.Spec) { s.Rule.Every = 0 }, []string{"rule.every"}},
		"every 1001":                  {daily, func(s *calendar.Spec) { s.Rule.Every = calendar.MaxEvery + 1 }, []string{"rule.every"}},
		"no day of the week":          {weekly, func(s *calendar.Spec) { s.Rule.Weekday = 7 }, []string{"rule.weekday"}},
		"a weekday in another rule":   {monthly, func(s *calendar.Spec) { s.Rule.Weekday = time.Monday }, []string{"rule.weekday"}},
		"day 0":                       {monthly, func(s *calendar.Spec) { s.Rule.Day = 0 }, []string{"rule.day"}},
		"day 32":                      {monthly, func(s *calendar.Spec) { s.Rule.Day = 32 }, []string{"rule.day"}},
		"a day in another rule":       {weekly, func(s *calendar.Spec) { s.Rule.Day = 1 }, []string{"rule.day"}},
		"no month":                    {yearly, func(s *calendar.Spec) { s.Rule.Month = 0 }, []string{"rule.month"}},
		"a month in another rule":     {monthly, func(s *calendar.Spec) { s.Rule.Month = 1 }, []string{"rule.month"}},
		"a month in a daily rule":     {daily, func(s *calendar.Spec) { s.Rule.Month = 1 }, []string{"rule.month"}},
		"30 February":                 {yearly, func(s *calendar.Spec) { s.Rule.Day = 30 }, []string{"rule.day"}},
		"31 April":                    {yearly, func(s *calendar.Spec) { s.Rule.Month, s.Rule.Day = time.April, 31 }, []string{"rule.day"}},
		"no start":                    {daily, func(s *calendar.Spec) { s.Rule.Start = calendar.Date{} }, []string{"rule.start"}},
		"a start that does not exist": {daily, func(s *calendar.Spec) { s.Rule.Start.Day = 32 }, []string{"rule.start"}},
		"a start at the end of time": {monthly, func(s *calendar.Spec) { s.Rule.Day, s.Rule.Start = 1, date(t, "9999-12-02") },
			[]string{"rule.start"}},
		"until before the start":           {daily, func(s *calendar.Spec) { s.Rule.Until = start.AddDays(-1) }, []string{"rule.until"}},
		"until the start":                  {daily, func(s *calendar.Spec) { s.Rule.Until = start }, nil},
		"until before the first":           {monthly, func(s *calendar.Spec) { s.Rule.Until = date(t, "2026-01-30") }, []string{"rule.until"}},
		"until the first":                  {monthly, func(s *calendar.Spec) { s.Rule.Until = date(t, "2026-01-31") }, nil},
		"until what does not exist":        {daily, func(s *calendar.Spec) { s.Rule.Until = calendar.Date{Year: 2027} }, []string{"rule.until"}},
		"a count below 0":                  {daily, func(s *calendar.Spec) { s.Rule.Count = -1 }, []string{"rule.count"}},
		"until and count":                  {daily, func(s *calendar.Spec) { s.Rule.Until, s.Rule.Count = start, 1 }, []string{"rule.count"}},
		"25:00":                            {daily, func(s *calendar.Spec) { s.At.Hour = 25 }, []string{"at"}},
		"00:60":                            {daily, func(s *calendar.Spec) { s.At.Minute = 60 }, []string{"at"}},
		"no zone":                          {daily, func(s *calendar.Spec) { s.Zone = nil }, []string{"zone"}},
		"the zone of this machine":         {daily, func(s *calendar.Spec) { s.Zone = time.Local }, []string{"zone"}},
		"no roll":                          {daily, func(s *calendar.Spec) { s.Roll = "" }, []string{"roll"}},
		"a weekend of seven days":          {daily, func(s *calendar.Spec) { s.Roll, s.Workdays.Weekend = calendar.RollFollowing, 127 }, []string{"workdays.weekend"}},
		"a weekend that nothing looks at":  {daily, func(s *calendar.Spec) { s.Workdays.Weekend = 127 }, nil},
		"several":                          {daily, func(s *calendar.Spec) { s.Rule.Every, s.Zone, s.At.Hour = 0, nil, -1 }, []string{"rule.every", "at", "zone"}},
		"nothing but what does not matter": {calendar.Rule{}, func(*calendar.Spec) {}, []string{"rule.frequency", "rule.every", "rule.start"}},
	}
}

func TestNew_NamesTheFieldsThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range badSpecs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec(t, tt.rule)
			tt.change(&s)
			made, err := calendar.New(s)
			if got := fields(t, err); !slices.Equal(got, tt.want) {
				t.Fatalf("got %v (%v), want %v", got, err, tt.want)
			}
			if _, ok := made.Date(1); ok != (err == nil) {
				t.Errorf("a schedule of %v has a first occurrence: %t", err, ok)
			}
		})
	}
}

func TestInvalid_SaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	var v calendar.Invalid
	if v.Err() != nil {
		t.Error("nothing is wrong, and it is an error")
	}
	v.Require(false, "rule.every", "must be from %d to %d", 1, 2)
	v.Require(true, "at", "must be")
	v.Require(false, "zone", "must be known")
	if got, want := v.Err().Error(), "rule.every: must be from 1 to 2; zone: must be known"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
