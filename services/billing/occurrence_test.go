package billing

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestSchedule_ChargesEachDateOnceAndNeverDrifts(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	s := f.create(dues("monthly 31 from 2030-01-01"))
	if s.GetNextDate() != "2030-01-31" || s.GetNextDueTime().AsTime().Format("2006-01-02T15:04Z07:00") != "2030-01-31T05:00Z" {
		t.Errorf("is next due on %s, at %s", s.GetNextDate(), s.GetNextDueTime().AsTime())
	}
	f.decide("2030-01-31T04:59:59Z")
	f.wantHistory(s, "")
	for _, now := range []string{"2030-01-31T05:00:00Z", "2030-02-28T05:00:01Z", "2030-03-31T04:30:00Z", "2030-04-30T04:10:00Z", "2030-04-30T04:20:00Z"} {
		f.decide(now)
		f.endAll()
	}
	f.wantHistory(s, "2030-01-31 run, 2030-02-28 run, 2030-03-31 run, 2030-04-30 run")
	if got := f.get(s).GetNextDate(); got != "2030-05-31" {
		t.Errorf("is next due on %s", got)
	}
	want := []string{"schedules 2030-01-31T05:00Z", "schedules 2030-02-28T05:00Z", "schedules 2030-03-31T04:30Z", "schedules 2030-04-30T04:10Z"}
	if diff := cmp.Diff(want, pgtest.Column[string](t, f.db, `SELECT name FROM batch ORDER BY id`)); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	items := pgtest.Column[string](t, f.db, `SELECT reference || ' ' || amount_minor || ' ' || state FROM batch_item ORDER BY reference`)
	if len(items) != 4 || items[1] != s.GetScheduleId()+"/2030-02-28 2500 3" {
		t.Errorf("items %q", items)
	}
}

// What is due at one moment is one batch for each provider account.
func TestSchedule_RunsTogetherWhatIsDueTogether(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	for i := range 6 {
		f.create(dues("daily from 2030-01-11", func(t *billingv1.ScheduleTerms) {
			t.CustomerId, t.Amount.CurrencyCode = fmt.Sprintf("c-%d", i), []string{"EUR", "GBP"}[i/2%2]
			t.ProviderAccount = []string{"", "other"}[i%2]
		}))
	}
	f.decide("2030-01-11T05:00:00Z")
	f.endAll()
	got := pgtest.Column[string](t, f.db, `
SELECT b.provider_account || ' ' || b.items || ' by ' || b.created_by || ': ' || string_agg(s.items || ' ' || s.currency || ' ' || s.collected_minor, ', ' ORDER BY s.currency)
  FROM batch b JOIN batch_sum s ON s.batch_id = b.id GROUP BY b.id ORDER BY 1`)
	if diff := cmp.Diff([]string{"default 3 by schedules: 2 EUR 5000, 1 GBP 2500", "other 3 by schedules: 2 EUR 5000, 1 GBP 2500"}, got); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

// What is declined is tried again as its schedule says: what has another policy is another batch.
func TestSchedule_TriesAgainWhatWasDeclinedAsItSays(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	dunned := func(t *billingv1.ScheduleTerms) {
		t.Dunning = &billingv1.DunningPolicy{DelayDays: []int32{2}, GiveUpAfterDays: 5, EarliestTime: "09:00"}
	}
	patient := f.create(dues("daily from 2030-01-11", paidWith("pm_declined"), dunned))
	f.create(dues("daily from 2030-01-11", paidWith("pm_declined")))
	if p := f.get(patient).GetTerms().GetDunning(); p.GetTimeZone() != "Europe/Berlin" || p.GetLatestTime() != "00:00" || p.GetDelayDays()[0] != 2 {
		t.Errorf("the policy is kept as %v", p)
	}
	f.decide("2030-01-11T05:00:00Z")
	f.endAll()
	got := pgtest.Column[string](t, f.db, `
SELECT i.reference || ' ' || (i.retry_at - i.known_at > '1 day')::text || ' ' || to_char(i.retry_at AT TIME ZONE 'Europe/Berlin', 'HH24:MI')
  FROM batch_item i JOIN batch b ON b.id = i.batch_id WHERE b.retrying = 1`)
	if want := patient.GetScheduleId() + "/2030-01-11 true 09:00"; len(got) != 1 || got[0] != want {
		t.Errorf("tried again: got %q, want %q", got, want)
	}
	if n := pgtest.Column[int64](t, f.db, `SELECT count(*) FROM batch`)[0]; n != 2 {
		t.Errorf("%d batches, want one for each policy", n)
	}
	f.wantClean()
}

func TestSchedule_DaylightSavingNeitherSkipsNorDoublesADay(t *testing.T) {
	f := setupScheduling(t, "2030-03-29T12:00:00Z")
	s := f.create(dues("daily from 2030-01-01", func(t *billingv1.ScheduleTerms) { t.Calendar.TimeOfDay = "02:30" }))
	for _, day := range []string{"03-30", "03-31", "04-01"} {
		for _, hour := range []string{"00:30", "01:00", "01:30", "02:30"} { // the clocks go from 02:00 to 03:00
			f.decide("2030-" + day + "T" + hour + ":00Z")
		}
	}
	f.decide("2030-10-26T00:00:00Z")
	for _, day := range []string{"10-26", "10-27", "10-28"} {
		for _, hour := range []string{"00:30", "01:30", "02:30"} { // 02:30 comes twice
			f.decide("2030-" + day + "T" + hour + ":00Z")
		}
	}
	f.endAll()
	got := pgtest.Column[string](t, f.db, `
SELECT civil_date || ' ' || to_char(due_at AT TIME ZONE 'UTC', 'DD HH24:MI') FROM occurrence
 WHERE civil_date BETWEEN '2030-03-30' AND '2030-04-01' OR civil_date BETWEEN '2030-10-26' AND '2030-10-28' ORDER BY civil_date`)
	want := []string{
		"2030-03-30 30 01:30", "2030-03-31 31 01:00", "2030-04-01 01 00:30", "2030-10-26 26 00:30", "2030-10-27 27 00:30", "2030-10-28 28 01:30",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("due (-want +got):\n%s", diff)
	}
	if n := len(strings.Split(f.history(s), ", ")); n != 213 { // the days from 2030-03-30 to 2030-10-28
		t.Errorf("%d occurrences", n)
	}
}

func TestSchedule_DecidesOnDowntimeAsDeclared(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	const term = "monthly 15 from 2030-01-01"
	all := f.create(dues(term, missed(billingv1.MissedPolicy_MISSED_POLICY_RUN_ALL)))
	latest := f.create(dues(term, missed(billingv1.MissedPolicy_MISSED_POLICY_RUN_LATEST)))
	none := f.create(dues(term, missed(billingv1.MissedPolicy_MISSED_POLICY_SKIP_ALL)))
	beside := f.create(dues(term, missed(billingv1.MissedPolicy_MISSED_POLICY_RUN_ALL), overlap(billingv1.OverlapPolicy_OVERLAP_POLICY_ALLOW)))
	over := f.create(dues(term, missed(billingv1.MissedPolicy_MISSED_POLICY_RUN_ALL), overlap(billingv1.OverlapPolicy_OVERLAP_POLICY_SKIP)))

	f.at("2030-03-20T00:00:00Z") // three of them were missed
	waittest.Until(t, "what waits for what was missed is run, too", func() bool {
		if _, err := f.billing.scheduleOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f.history(all) == "2030-01-15 run, 2030-02-15 run, 2030-03-15 run"
	})
	f.wantHistory(latest, "2030-01-15 missed superseded, 2030-02-15 missed superseded, 2030-03-15 run")
	f.wantHistory(none, "2030-01-15 missed missed, 2030-02-15 missed missed, 2030-03-15 missed missed")
	f.wantHistory(beside, "2030-01-15 run, 2030-02-15 run, 2030-03-15 run")
	f.wantHistory(over, "2030-01-15 run, 2030-02-15 skipped overlap, 2030-03-15 skipped overlap")
	f.endAll()
	events := pgtest.Column[string](t, f.db, `SELECT name || ' ' || count(*) FROM outbox WHERE entity = 'schedule' AND name LIKE 'occurrence%' GROUP BY name ORDER BY 1`)
	if diff := cmp.Diff([]string{"occurrence_missed 5", "occurrence_skipped 2"}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	metrics := f.metrics()
	for labels, n := range map[string]int{
		`reason="missed",state="missed"`: 3, `reason="superseded",state="missed"`: 2, `reason="overlap",state="skipped"`: 2,
	} {
		if !slices.ContainsFunc(strings.Split(metrics, "\n"), func(line string) bool {
			return strings.HasPrefix(line, "tieout_billing_occurrences_total{") && strings.Contains(line, labels) && strings.HasSuffix(line, fmt.Sprintf("} %d", n))
		}) {
			t.Errorf("no metric says %d of %s", n, labels)
		}
	}
}

func TestSchedule_OnTimeIsNotMissed(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	s := f.create(dues("daily from 2030-01-01", missed(billingv1.MissedPolicy_MISSED_POLICY_SKIP_ALL)))
	f.decide("2030-01-10T05:59:59Z") // within an hour
	f.decide("2030-01-11T06:00:00Z")
	f.wantHistory(s, "2030-01-10 run, 2030-01-11 missed missed")
}

func TestSchedule_OverlapQueuesInOrder(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	s := f.create(dues("daily from 2030-01-01", paidWith("pm_held")))
	f.decide("2030-01-10T05:00:00Z")
	waittest.Until(t, "the first is under way", func() bool { _, held, _ := f.orchestrator.count(); return held == 1 })
	f.decide("2030-01-11T05:00:00Z")
	f.decide("2030-01-12T05:00:00Z")
	f.wantHistory(s, "2030-01-10 run, 2030-01-11 queued, 2030-01-12 queued")
	f.orchestrator.release("pm_parked") // in doubt is still going
	waittest.Until(t, "the first is in doubt", func() bool {
		return pgtest.Column[int64](t, f.db, `SELECT count(*) FROM batch_item WHERE state = 5`)[0] == 1
	})
	f.decide("2030-01-13T05:00:00Z")
	f.wantHistory(s, "2030-01-10 run, 2030-01-11 queued, 2030-01-12 queued, 2030-01-13 queued")
	reference := pgtest.Column[string](t, f.db, `SELECT 'bat_' || batch_id || '/' || line || '/' || attempt FROM batch_item`)[0]
	f.orchestrator.mu.Lock()
	f.orchestrator.tell(f.orchestrator.started[reference], "pm_ok") // a person has found out
	f.orchestrator.mu.Unlock()
	for _, want := range []string{
		"2030-01-10 run, 2030-01-11 run, 2030-01-12 queued, 2030-01-13 queued",
		"2030-01-10 run, 2030-01-11 run, 2030-01-12 run, 2030-01-13 queued",
		"2030-01-10 run, 2030-01-11 run, 2030-01-12 run, 2030-01-13 run",
	} {
		waittest.Until(t, want, func() bool {
			if _, err := f.billing.scheduleOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			return f.history(s) == want
		})
		waittest.Until(t, "the next is under way", func() bool { _, held, most := f.orchestrator.count(); return held == 1 && most == 1 })
		f.orchestrator.release("pm_ok")
	}
	f.endAll()
}

func TestSchedule_OverlapSkipsOrAllows(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	skips := f.create(dues("daily from 2030-01-01", paidWith("pm_held"), overlap(billingv1.OverlapPolicy_OVERLAP_POLICY_SKIP)))
	allows := f.create(dues("daily from 2030-01-01", paidWith("pm_held"), overlap(billingv1.OverlapPolicy_OVERLAP_POLICY_ALLOW)))
	f.decide("2030-01-10T05:00:00Z")
	f.decide("2030-01-11T05:00:00Z")
	f.wantHistory(skips, "2030-01-10 run, 2030-01-11 skipped overlap")
	f.wantHistory(allows, "2030-01-10 run, 2030-01-11 run")
	waittest.Until(t, "all are under way", func() bool { _, held, _ := f.orchestrator.count(); return held == 3 })
	f.orchestrator.release("pm_declined") // refused is an end
	f.endAll()
	f.decide("2030-01-12T05:00:00Z")
	f.wantHistory(skips, "2030-01-10 run, 2030-01-11 skipped overlap, 2030-01-12 run")
}

func TestSchedule_TwoReplicasDoubleNothing(t *testing.T) {
	f := setupScheduling(t, "2030-01-01T00:00:00Z")
	const n, days = 40, 5
	for range n {
		f.create(dues("daily from 2030-01-01", overlap(billingv1.OverlapPolicy_OVERLAP_POLICY_ALLOW)))
	}
	var other *billing
	servicetest.Start(t, f.orchestrator.service(), f.replica(&other))
	for day := 1; day <= days; day++ {
		f.at(fmt.Sprintf("2030-01-%02dT05:00:00Z", day))
		var deciding sync.WaitGroup
		for i := range 8 {
			deciding.Go(func() {
				for range 5 {
					if _, err := []*billing{f.billing, other}[i%2].scheduleOnce(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		deciding.Wait()
		f.decide(fmt.Sprintf("2030-01-%02dT05:00:00Z", day))
	}
	f.endAll()
	if started, _, _ := f.orchestrator.count(); started != n*days {
		t.Errorf("%d payments were started, want %d", started, n*days)
	}
	if got := pgtest.Column[int64](t, f.db, `SELECT count(*) FROM occurrence WHERE state = 1`)[0]; got != n*days {
		t.Errorf("%d occurrences were run, want %d", got, n*days)
	}
}

// A process that dies right after it has decided tells nobody of its batch.
func TestSchedule_WhatNobodyWasToldOfIsCharged(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	s := f.create(dues("daily from 2030-01-01"))
	dead := *f.billing
	deadFeeder := &feeder{wake: make(chan struct{}, 1), nats: f.billing.feeder.nats, log: f.billing.log}
	dead.feeder, dead.prove = deadFeeder, make(chan struct{}, 1)
	f.at("2030-01-10T05:00:00Z")
	if _, err := dead.scheduleOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantHistory(s, "2030-01-10 run")
	f.endAll()
	if started, _, _ := f.orchestrator.count(); started != 1 {
		t.Errorf("%d payments were started", started)
	}
}

func TestSchedule_EndsWithItsRule(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	s := f.create(dues("daily from 2030-01-01", func(t *billingv1.ScheduleTerms) { t.Calendar.Rule.Count = 11 }))
	f.decide("2030-01-10T05:00:00Z")
	f.endAll()
	f.decide("2030-01-11T05:00:00Z")
	f.decide("2030-01-12T05:00:00Z")
	f.wantHistory(s, "2030-01-10 run, 2030-01-11 run")
	if got := f.get(s); got.GetState() != billingv1.ScheduleState_SCHEDULE_STATE_ENDED || got.GetEndTime() == nil || got.GetNextDate() != "" || got.GetNote() == "" {
		t.Errorf("ended as %v", got)
	}
	if got := f.previewOf(s); !strings.Contains(got, "has ended") {
		t.Errorf("preview %q", got)
	}
	f.endAll()
}

func TestSchedule_WithoutABusinessDayIsSkippedAndToldOf(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	var closed []string
	for day := range 31 {
		closed = append(closed, fmt.Sprintf("2030-03-%02d", day+1))
	}
	for day := range 30 {
		closed = append(closed, fmt.Sprintf("2030-04-%02d", day+1))
	}
	f.putHolidays("SHUT", closed...)
	s := f.create(dues("monthly 15 from 2030-02-01", func(t *billingv1.ScheduleTerms) {
		t.Calendar.Roll, t.Calendar.HolidayList = billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_MODIFIED_FOLLOWING, "SHUT"
	}))
	if got := f.previewOf(s); !strings.HasPrefix(got, "2030-02-15 2030-03-15>2030-02-28 on 2030-04-15: no business day") {
		t.Errorf("preview %q", got)
	}
	f.decide("2030-02-15T05:00:00Z")
	f.endAll()
	f.decide("2030-02-28T05:00:00Z")
	f.decide("2030-04-15T04:00:00Z")
	f.wantHistory(s, "2030-02-15 run, 2030-03-15 run, 2030-04-15 skipped no_business_day")
	if got := f.get(s).GetNextDate(); got != "2030-05-15" {
		t.Errorf("is next due on %s", got)
	}
	f.endAll()
}
