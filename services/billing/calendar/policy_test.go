package calendar_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/billing/calendar"
)

// missedDays are occurrences at 06:00 UTC from 1 March to 5 March 2026.
func missedDays(t testing.TB) []calendar.Occurrence {
	t.Helper()
	s := spec(t, calendar.Rule{Frequency: calendar.Daily, Every: 1, Start: date(t, "2026-03-01"), Count: 5})
	return rolled(t, schedule(t, s).Occurrences(calendar.Date{}))
}

func TestMisfire_DecidesOnEveryOccurrenceThatIsDue(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		missed calendar.Missed
		now    string
		want   []string
	}{
		"run all":                           {calendar.MissedRunAll, "2026-03-04T12:00:00Z", []string{"run", "run", "run", "run"}},
		"run the latest":                    {calendar.MissedRunLatest, "2026-03-04T12:00:00Z", []string{"superseded", "superseded", "superseded", "run"}},
		"run the latest, which is in grace": {calendar.MissedRunLatest, "2026-03-04T06:59:59Z", []string{"superseded", "superseded", "superseded", "run"}},
		"skip all":                          {calendar.MissedSkipAll, "2026-03-03T12:00:00Z", []string{"missed", "missed", "missed"}},
		"skip all but what is in grace":     {calendar.MissedSkipAll, "2026-03-03T06:59:59Z", []string{"missed", "missed", "run"}},
		"grace is over":                     {calendar.MissedSkipAll, "2026-03-03T07:00:00Z", []string{"missed", "missed", "missed"}},
		"at the instant":                    {calendar.MissedSkipAll, "2026-03-01T06:00:00Z", []string{"run"}},
		"not due yet":                       {calendar.MissedRunAll, "2026-03-01T05:59:59Z", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := calendar.Misfire{Missed: tt.missed, Grace: time.Hour}
			due := missedDays(t)
			var got []string
			for i, v := range policy.Decide(due, instant(t, tt.now)) {
				if v.Occurrence != due[i] {
					t.Errorf("verdict %d is on %s", i, v.Occurrence.Date)
				}
				if (v.Action == calendar.ActionSkip) != (v.Skip != "") {
					t.Errorf("%s because of %q", v.Action, v.Skip)
				}
				got = append(got, string(v.Skip))
				if v.Skip == "" {
					got[i] = string(v.Action)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMisfire_OfTwoThatRolledToOneDayTheLaterDateIsTheLatest(t *testing.T) {
	t.Parallel()
	s := spec(t, calendar.Rule{Frequency: calendar.Daily, Every: 1, Start: date(t, "2026-02-28"), Count: 2})
	s.Roll, s.Workdays.Weekend = calendar.RollFollowing, weekend
	due := rolled(t, schedule(t, s).Occurrences(calendar.Date{}))
	if !due[0].DueAt.Equal(due[1].DueAt) {
		t.Fatalf("%v and %v are not due together", due[0], due[1])
	}
	slices.Reverse(due)
	got := calendar.Misfire{Missed: calendar.MissedRunLatest, Grace: time.Minute}.Decide(due, due[0].DueAt.Add(time.Hour))
	want := []calendar.Verdict{
		{Occurrence: due[0], Action: calendar.ActionRun},
		{Occurrence: due[1], Action: calendar.ActionSkip, Skip: calendar.SkipSuperseded},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOverlap_DecidesWhileAnotherRunIsGoing(t *testing.T) {
	t.Parallel()
	o := missedDays(t)[0]
	for _, tt := range []struct {
		policy calendar.Overlap
		ahead  int
		action calendar.Action
		skip   calendar.Skip
	}{
		{calendar.OverlapQueue, 0, calendar.ActionRun, ""},
		{calendar.OverlapSkip, 0, calendar.ActionRun, ""},
		{calendar.OverlapAllow, 0, calendar.ActionRun, ""},
		{calendar.OverlapQueue, 1, calendar.ActionWait, ""},
		{calendar.OverlapSkip, 1, calendar.ActionSkip, calendar.SkipOverlap},
		{calendar.OverlapAllow, 2, calendar.ActionRun, ""},
	} {
		want := calendar.Verdict{Occurrence: o, Action: tt.action, Skip: tt.skip}
		if got := tt.policy.Decide(o, tt.ahead); got != want {
			t.Errorf("%s with %d ahead: got %v, want %v", tt.policy, tt.ahead, got, want)
		}
	}
}

func TestPolicies_NameTheFieldsThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want []string
	}{
		{calendar.Misfire{Missed: calendar.MissedSkipAll, Grace: calendar.MinGrace}.Validate(), nil},
		{calendar.Misfire{Missed: calendar.MissedRunAll, Grace: time.Hour}.Validate(), nil},
		{calendar.Misfire{Missed: calendar.MissedRunLatest, Grace: time.Hour}.Validate(), nil},
		{calendar.Misfire{}.Validate(), []string{"missed", "grace"}},
		{calendar.Misfire{Missed: calendar.MissedRunAll, Grace: calendar.MinGrace - 1}.Validate(), []string{"grace"}},
		{calendar.OverlapQueue.Validate(), nil},
		{calendar.OverlapSkip.Validate(), nil},
		{calendar.OverlapAllow.Validate(), nil},
		{calendar.Overlap("").Validate(), []string{"overlap"}},
	} {
		if got := fields(t, tt.err); !slices.Equal(got, tt.want) {
			t.Errorf("got %v (%v), want %v", got, tt.err, tt.want)
		}
	}
}
