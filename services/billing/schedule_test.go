package billing

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func (f *scheduling) pause(s *billingv1.Schedule) {
	f.Helper()
	answer, err := f.schedules.PauseSchedule(f.Context(), &billingv1.PauseScheduleRequest{IdempotencyKey: f.key(), ScheduleId: s.GetScheduleId(), Note: "on holiday"})
	if err != nil {
		f.Fatalf("pausing: %v", err)
	}
	if got := answer.GetSchedule(); got.GetState() != billingv1.ScheduleState_SCHEDULE_STATE_PAUSED || got.GetNote() != "biller: on holiday" || got.GetPauseTime() == nil {
		f.Errorf("paused as %v", got)
	}
}

func (f *scheduling) resume(s *billingv1.Schedule) error {
	answer, err := f.schedules.ResumeSchedule(f.Context(), &billingv1.ResumeScheduleRequest{IdempotencyKey: f.key(), ScheduleId: s.GetScheduleId()})
	if got := answer.GetSchedule(); err == nil && (got.GetState() != billingv1.ScheduleState_SCHEDULE_STATE_ACTIVE || got.GetNote() != "" || got.GetPauseTime() != nil) {
		f.Errorf("resumed as %v", got)
	}
	return err
}

func (f *scheduling) end(s *billingv1.Schedule) error {
	_, err := f.schedules.EndSchedule(f.Context(), &billingv1.EndScheduleRequest{IdempotencyKey: f.key(), ScheduleId: s.GetScheduleId(), Note: "has left"})
	return err
}

func (f *scheduling) trigger(s *billingv1.Schedule) (*billingv1.ScheduleOccurrence, error) {
	answer, err := f.schedules.TriggerSchedule(f.Context(), &billingv1.TriggerScheduleRequest{IdempotencyKey: f.key(), ScheduleId: s.GetScheduleId(), Reason: "asked for it"})
	return answer.GetOccurrence(), err
}

func (f *scheduling) update(s *billingv1.Schedule, t *billingv1.ScheduleTerms) (*billingv1.Schedule, error) {
	answer, err := f.schedules.UpdateSchedule(f.Context(), &billingv1.UpdateScheduleRequest{IdempotencyKey: f.key(), ScheduleId: s.GetScheduleId(), Terms: t})
	return answer.GetSchedule(), err
}

func TestCreateSchedule_KeepsWhatWasSaid(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	f.putHolidays("TARGET", "2030-12-25")
	said := dues("yearly 29 from 2030-01-01", func(t *billingv1.ScheduleTerms) {
		t.CardScheme, t.ProviderAccount, t.Grace = "visa", "other", durationpb.New(90e9)
		t.Calendar.Rule.Month, t.Calendar.Rule.Every, t.Calendar.Rule.UntilDate = 2, 2, "2040-12-31"
		t.Calendar.HolidayList, t.Calendar.Roll = "TARGET", billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_PRECEDING
		t.Calendar.Weekend = []billingv1.Weekday{billingv1.Weekday_WEEKDAY_FRIDAY, billingv1.Weekday_WEEKDAY_SUNDAY}
	})
	request := &billingv1.CreateScheduleRequest{IdempotencyKey: "the-same-key", Terms: said}
	first, err := f.schedules.CreateSchedule(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.schedules.CreateSchedule(t.Context(), request)
	if err != nil || again.GetSchedule().GetScheduleId() != first.GetSchedule().GetScheduleId() {
		t.Errorf("asked again: %v, %v", again, err)
	}
	if diff := cmp.Diff(said, first.GetSchedule().GetTerms(), protocmp.Transform()); diff != "" {
		t.Errorf("terms (-said +kept):\n%s", diff)
	}
	if got := first.GetSchedule(); got.GetCreatedBy() != "biller" || got.GetNextDate() != "2030-02-28" {
		t.Errorf("made %v", got)
	}
	said.Amount.MinorUnits++
	_, err = f.schedules.CreateSchedule(t.Context(), request)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "terms")
	weekly := f.create(dues("weekly 7 from 2030-01-01"))
	if weekly.GetNextDate() != "2030-01-13" || weekly.GetTerms().GetCalendar().GetRule().GetWeekday() != billingv1.Weekday_WEEKDAY_SUNDAY {
		t.Errorf("a weekly one is %v", weekly)
	}
	f.wantClean()
}

func TestCreateSchedule_RefusesWhatNobodyCanFollow(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	const calendarField, ruleField = "terms.calendar.", "terms.calendar.rule."
	for _, c := range []struct {
		name   string
		change func(*billingv1.ScheduleTerms, *billingv1.RecurrenceRule)
		reason rpcerr.Reason
		fields []string
	}{
		{"an unknown zone", func(t *billingv1.ScheduleTerms, _ *billingv1.RecurrenceRule) { t.Calendar.TimeZone = "Europe/Atlantis" }, rpcerr.RequestInvalid, []string{calendarField + "time_zone"}},
		{"the machine's zone", func(t *billingv1.ScheduleTerms, _ *billingv1.RecurrenceRule) { t.Calendar.TimeZone = "Local" }, rpcerr.RequestInvalid, []string{calendarField + "time_zone"}},
		{"the 32nd", func(_ *billingv1.ScheduleTerms, r *billingv1.RecurrenceRule) { r.Day = 32 }, rpcerr.RequestInvalid, []string{ruleField + "day"}},
		{"30 February", func(_ *billingv1.ScheduleTerms, r *billingv1.RecurrenceRule) {
			r.Frequency, r.Month, r.Day = billingv1.Frequency_FREQUENCY_YEARLY, 2, 30
		}, rpcerr.RequestInvalid, []string{ruleField + "day"}},
		{"an end before the start", func(_ *billingv1.ScheduleTerms, r *billingv1.RecurrenceRule) { r.UntilDate = "2029-01-01" }, rpcerr.RequestInvalid, []string{ruleField + "until_date"}},
		{"an end that is past", func(_ *billingv1.ScheduleTerms, r *billingv1.RecurrenceRule) {
			r.StartDate, r.UntilDate = "2029-01-01", "2029-12-31"
		}, rpcerr.RequestInvalid, []string{"terms.calendar.rule"}},
		{"an unknown list", func(t *billingv1.ScheduleTerms, _ *billingv1.RecurrenceRule) { t.Calendar.HolidayList = "NONE" }, rpcerr.RequestInvalid, []string{calendarField + "holiday_list"}},
		{"nothing to pay", func(t *billingv1.ScheduleTerms, _ *billingv1.RecurrenceRule) { t.Amount.MinorUnits = 0 }, rpcerr.AmountNotPositive, []string{"terms.amount"}},
		{"too much", func(t *billingv1.ScheduleTerms, _ *billingv1.RecurrenceRule) { t.Amount.MinorUnits = maxScheduled + 1 }, rpcerr.RequestInvalid, []string{"terms.amount"}},
		{"an unknown currency", func(t *billingv1.ScheduleTerms, _ *billingv1.RecurrenceRule) { t.Amount.CurrencyCode = "XQQ" }, rpcerr.CurrencyUnknown, []string{"terms.amount.currency_code"}},
		{"a weekly rule without its day", func(_ *billingv1.ScheduleTerms, r *billingv1.RecurrenceRule) {
			r.Frequency, r.Day = billingv1.Frequency_FREQUENCY_WEEKLY, 0
		}, rpcerr.RequestInvalid, []string{ruleField + "weekday"}},
		{"a monthly rule with a Sunday", func(_ *billingv1.ScheduleTerms, r *billingv1.RecurrenceRule) {
			r.Weekday = billingv1.Weekday_WEEKDAY_SUNDAY
		}, rpcerr.RequestInvalid, []string{ruleField + "weekday"}},
		{"no date and no time", func(t *billingv1.ScheduleTerms, r *billingv1.RecurrenceRule) {
			r.StartDate, t.Calendar.TimeOfDay = "2030-02-30", "24:00"
		}, rpcerr.RequestInvalid, []string{ruleField + "start_date", calendarField + "time_of_day"}},
		{"nothing said of what is missed and what overlaps", func(t *billingv1.ScheduleTerms, _ *billingv1.RecurrenceRule) {
			t.Missed, t.Overlap, t.Grace = 0, 0, durationpb.New(59e9)
		}, rpcerr.RequestInvalid, []string{"terms.missed", "terms.grace", "terms.overlap"}},
		{"a grace of parts of a second", func(t *billingv1.ScheduleTerms, _ *billingv1.RecurrenceRule) { t.Grace = durationpb.New(60e9 + 1) }, rpcerr.RequestInvalid, []string{"terms.grace"}},
		{"to be tried again after the last day", func(t *billingv1.ScheduleTerms, _ *billingv1.RecurrenceRule) {
			t.Dunning = &billingv1.DunningPolicy{DelayDays: []int32{9}, GiveUpAfterDays: 3}
		}, rpcerr.RequestInvalid, []string{"terms.dunning.give_up_after_days"}},
		{"a week without a business day", func(t *billingv1.ScheduleTerms, _ *billingv1.RecurrenceRule) {
			t.Calendar.Roll, t.Calendar.Weekend = billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_FOLLOWING, []billingv1.Weekday{1, 2, 3, 4, 5, 6, 7}
		}, rpcerr.RequestInvalid, []string{calendarField + "weekend"}},
	} {
		terms := dues("monthly 31 from 2030-01-01", func(t *billingv1.ScheduleTerms) { c.change(t, t.Calendar.Rule) })
		_, err := f.schedules.CreateSchedule(t.Context(), &billingv1.CreateScheduleRequest{IdempotencyKey: f.key(), Terms: terms})
		t.Log(c.name)
		rpcerrtest.Want(t, err, c.reason, c.fields...)
	}
	if n := pgtest.Column[int64](t, f.db, `SELECT count(*) FROM schedule`)[0]; n != 0 {
		t.Errorf("%d schedules were made", n)
	}
	_, err := f.schedules.GetSchedulePreview(t.Context(), &billingv1.GetSchedulePreviewRequest{Of: &billingv1.GetSchedulePreviewRequest_Calendar{
		Calendar: &billingv1.ScheduleCalendar{Rule: rule("monthly 32 from 2030-01-01"), TimeOfDay: "06:00", TimeZone: "Mars/Base"},
	}})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "calendar.rule.day", "calendar.time_zone")
}

// What a rule had due before the schedule was made is not its; its numbers are the rule's.
func TestCreateSchedule_BeginsNow(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T05:00:00Z")
	s := f.create(dues("daily from 2030-01-01", func(t *billingv1.ScheduleTerms) { t.Calendar.Rule.Count = 12 }))
	if got := f.previewOf(s); got != "2030-01-11 2030-01-12 the rule has no more dates" {
		t.Errorf("preview %q", got)
	}
	f.decide("2030-01-10T05:00:00Z")
	f.wantHistory(s, "")
}

func TestPreview_ShowsWhatIsRolled(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T00:00:00Z")
	f.putHolidays("TARGET", "2030-04-01", "2030-05-01")
	c := dues("monthly 31 from 2030-01-01").GetCalendar()
	c.Roll, c.HolidayList = billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_MODIFIED_FOLLOWING, "TARGET"
	of := &billingv1.GetSchedulePreviewRequest{Of: &billingv1.GetSchedulePreviewRequest_Calendar{Calendar: c}}
	want := "2030-01-31 2030-02-28 2030-03-31>2030-03-29 2030-04-30 2030-05-31 2030-06-30>2030-06-28 2030-07-31 2030-08-31>2030-08-30 " +
		"2030-09-30 2030-10-31 2030-11-30>2030-11-29 2030-12-31"
	if got := f.preview(of); got != want {
		t.Errorf("preview\n got %s\nwant %s", got, want)
	}
	c.Roll = billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_FOLLOWING
	if got := f.preview(of); !strings.Contains(got, "2030-03-31>2030-04-02") {
		t.Errorf("preview %s", got)
	}
}

func TestTrigger_RunsTodayOnce(t *testing.T) {
	f := setupScheduling(t, "2030-01-30T23:30:00Z") // in Berlin it is the 31st
	s := f.create(dues("monthly 31 from 2030-01-01"))
	triggered, err := f.trigger(s)
	if err != nil {
		t.Fatal(err)
	}
	if triggered.GetDate() != "2030-01-31" || triggered.GetTriggeredBy() != "biller" || triggered.GetState() != billingv1.OccurrenceState_OCCURRENCE_STATE_RUN || triggered.GetBatchId() == "" {
		t.Errorf("triggered %v", triggered)
	}
	_, err = f.trigger(s)
	if e := rpcerrtest.Want(t, err, rpcerr.OccurrenceExists); e.Resource != s.GetScheduleId()+"/2030-01-31" {
		t.Errorf("names %q", e.Resource)
	}
	if got := f.get(s).GetNextDate(); got != "2030-02-28" {
		t.Errorf("is next due on %s", got)
	}
	if got := f.previewOf(s); !strings.HasPrefix(got, "2030-02-28 2030-03-31") {
		t.Errorf("preview %s", got)
	}
	f.endAll()
	f.decide("2030-01-31T06:00:00Z") // its date by the rule
	f.decide("2030-02-10T12:00:00Z")
	if _, err := f.trigger(s); err != nil {
		t.Errorf("on another day: %v", err)
	}
	f.endAll()
	f.decide("2030-02-28T05:00:00Z")
	f.wantHistory(s, "2030-01-31 run, 2030-02-10 run, 2030-02-28 run")
	_, err = f.trigger(s)
	rpcerrtest.Want(t, err, rpcerr.OccurrenceExists)
	f.endAll()
}

func TestTrigger_KeepsToOverlapAndState(t *testing.T) {
	f := setupScheduling(t, "2030-01-10T12:00:00Z")
	skips := f.create(dues("daily from 2030-01-01", paidWith("pm_held"), overlap(billingv1.OverlapPolicy_OVERLAP_POLICY_SKIP)))
	queues := f.create(dues("daily from 2030-01-01", paidWith("pm_held")))
	for _, s := range []*billingv1.Schedule{skips, queues} {
		if _, err := f.trigger(s); err != nil {
			t.Fatal(err)
		}
	}
	f.at("2030-01-11T00:00:00Z")
	_, err := f.trigger(skips)
	rpcerrtest.Want(t, err, rpcerr.ScheduleStateRefused)
	f.wantHistory(skips, "2030-01-10 run")
	if got, err := f.trigger(queues); err != nil || got.GetState() != billingv1.OccurrenceState_OCCURRENCE_STATE_QUEUED {
		t.Errorf("triggered %v: %v", got, err)
	}
	f.pause(queues)
	_, err = f.trigger(queues)
	rpcerrtest.Want(t, err, rpcerr.ScheduleStateRefused)
	if err := f.end(skips); err != nil {
		t.Fatal(err)
	}
	_, err = f.trigger(skips)
	rpcerrtest.Want(t, err, rpcerr.ScheduleStateRefused)
	_, err = f.trigger(&billingv1.Schedule{ScheduleId: "sch_00000000-0000-7000-8000-000000000001"})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "schedule_id")
	f.wantClean()
}

func TestPause_SkipsWhatFallsDueAndKeepsWhatWaits(t *testing.T) {
	f := setupScheduling(t, "2030-01-09T12:00:00Z")
	s := f.create(dues("daily from 2030-01-01", paidWith("pm_held")))
	f.decide("2030-01-10T05:00:00Z")
	f.decide("2030-01-11T05:00:00Z")
	waittest.Until(t, "the first is under way", func() bool { _, held, _ := f.orchestrator.count(); return held == 1 })
	f.at("2030-01-12T05:00:00Z") // nobody has decided on this one yet: it is due before the pause
	f.pause(s)
	f.orchestrator.release("pm_ok")
	waittest.Until(t, "the first has ended", func() bool {
		return pgtest.Column[int64](t, f.db, `SELECT count(*) FROM batch_item WHERE state = 3`)[0] == 1
	})
	f.decide("2030-01-14T05:00:00Z")
	f.wantHistory(s, "2030-01-10 run, 2030-01-11 queued, 2030-01-12 queued, 2030-01-13 skipped paused, 2030-01-14 skipped paused")
	_, err := f.schedules.PauseSchedule(t.Context(), &billingv1.PauseScheduleRequest{IdempotencyKey: f.key(), ScheduleId: s.GetScheduleId(), Note: "again"})
	rpcerrtest.Want(t, err, rpcerr.ScheduleStateRefused)
	f.at("2030-01-15T12:00:00Z") // and this one before it was resumed
	if err := f.resume(s); err != nil {
		t.Fatal(err)
	}
	rpcerrtest.Want(t, f.resume(s), rpcerr.ScheduleStateRefused)
	f.decide("2030-01-15T12:00:00Z")
	f.wantHistory(s, "2030-01-10 run, 2030-01-11 run, 2030-01-12 queued, 2030-01-13 skipped paused, 2030-01-14 skipped paused, 2030-01-15 skipped paused")
	actions := pgtest.Column[string](t, f.db, `SELECT actor || ' ' || verb || ' ' || reason FROM operator_action WHERE target LIKE 'sch%' ORDER BY id`)
	if diff := cmp.Diff([]string{"biller create ", "biller pause on holiday", "biller resume "}, actions); diff != "" {
		t.Errorf("audit rows (-want +got):\n%s", diff)
	}
	f.wantClean()
}

func TestEnd_StartsNothingMore(t *testing.T) {
	f := setupScheduling(t, "2030-01-09T12:00:00Z")
	s := f.create(dues("daily from 2030-01-01", paidWith("pm_held")))
	f.decide("2030-01-10T05:00:00Z")
	f.decide("2030-01-11T05:00:00Z")
	f.at("2030-01-12T05:00:00Z")
	if err := f.end(s); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the first is under way", func() bool { _, held, _ := f.orchestrator.count(); return held == 1 })
	f.orchestrator.release("pm_ok")
	f.endAll()
	f.decide("2030-01-20T05:00:00Z")
	f.wantHistory(s, "2030-01-10 run, 2030-01-11 skipped ended, 2030-01-12 skipped ended")
	rpcerrtest.Want(t, f.end(s), rpcerr.ScheduleStateRefused)
	_, err := f.update(s, dues("daily from 2030-01-01"))
	rpcerrtest.Want(t, err, rpcerr.ScheduleStateRefused)
	var m eventv1.ScheduleOccurrenceSkipped
	if err := proto.Unmarshal(pgtest.Column[[]byte](t, f.db, `SELECT data FROM outbox WHERE name = 'occurrence_skipped' ORDER BY seq LIMIT 1`)[0], &m); err != nil {
		t.Fatal(err)
	}
	if m.GetDate() != "2030-01-11" || m.GetReason() != "ended" || m.GetCustomerId() != "c-1" || m.GetAmount().GetMinorUnits() != 2500 {
		t.Errorf("was told of as %v", &m)
	}
}

func TestUpdate_NeverGivesADateASecondOccurrence(t *testing.T) {
	f := setupScheduling(t, "2030-01-09T12:00:00Z")
	s := f.create(dues("daily from 2030-01-01", overlap(billingv1.OverlapPolicy_OVERLAP_POLICY_ALLOW)))
	f.decide("2030-01-10T05:00:00Z")
	f.at("2030-01-11T05:00:00Z") // due by the terms from before, at their amount
	later := dues("daily from 2030-01-01", overlap(billingv1.OverlapPolicy_OVERLAP_POLICY_ALLOW), func(t *billingv1.ScheduleTerms) {
		t.Amount.MinorUnits, t.Calendar.TimeOfDay = 3000, "23:00" // by this rule the 11th is still to come
	})
	after, err := f.update(s, later)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(later.GetAmount(), after.GetTerms().GetAmount(), protocmp.Transform()); diff != "" || after.GetNextDate() != "2030-01-12" {
		t.Errorf("updated to %v", after)
	}
	f.decide("2030-01-11T23:00:00Z")
	f.decide("2030-01-12T22:00:00Z")
	f.wantHistory(s, "2030-01-10 run, 2030-01-11 run, 2030-01-12 run")
	// A rule that had dates before does not make up for them.
	if _, err := f.update(s, dues("weekly 4 from 2029-01-01")); err != nil {
		t.Fatal(err)
	}
	f.decide("2030-01-16T12:00:00Z")
	f.endAll()
	f.decide("2030-01-17T05:00:00Z")
	f.wantHistory(s, "2030-01-10 run, 2030-01-11 run, 2030-01-12 run, 2030-01-17 run")
	f.endAll()
	amounts := pgtest.Column[int64](t, f.db, `SELECT amount_minor FROM batch_item ORDER BY reference`)
	if diff := cmp.Diff([]int64{2500, 2500, 3000, 2500}, amounts); diff != "" {
		t.Errorf("amounts (-want +got):\n%s", diff)
	}
	_, err = f.update(s, dues("monthly 32 from 2030-01-01"))
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "terms.calendar.rule.day")
}

// A date that was still to come by the terms from before, and is past by the new ones, is not lost.
func TestUpdate_LosesNoDate(t *testing.T) {
	f := setupScheduling(t, "2030-01-09T12:00:00Z")
	late := func(t *billingv1.ScheduleTerms) { t.Calendar.TimeOfDay = "23:00" }
	allow := overlap(billingv1.OverlapPolicy_OVERLAP_POLICY_ALLOW)
	runs, misses := f.create(dues("daily from 2030-01-01", allow, late)), f.create(dues("daily from 2030-01-01", allow, late))
	f.at("2030-01-10T12:00:00Z") // the 9th was due meanwhile, and the 10th is at 22:00
	if _, err := f.update(runs, dues("daily from 2030-01-01", allow)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.update(misses, dues("daily from 2030-01-01", missed(billingv1.MissedPolicy_MISSED_POLICY_SKIP_ALL))); err != nil {
		t.Fatal(err)
	}
	f.wantHistory(runs, "2030-01-09 run, 2030-01-10 run")
	f.wantHistory(misses, "2030-01-09 run, 2030-01-10 missed missed")
	f.decide("2030-01-10T23:00:00Z")
	f.wantHistory(runs, "2030-01-09 run, 2030-01-10 run")
	f.endAll()
}

func TestHolidays_MoveWhatIsDue(t *testing.T) {
	f := setupScheduling(t, "2030-01-09T12:00:00Z")
	if put := f.putHolidays("TARGET"); put.GetSchedulesMoved() != 0 {
		t.Errorf("moved %d", put.GetSchedulesMoved())
	}
	rolls := func(t *billingv1.ScheduleTerms) {
		t.Calendar.Roll, t.Calendar.HolidayList = billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_FOLLOWING, "TARGET"
	}
	s := f.create(dues("monthly 15 from 2030-01-01", rolls))
	other := f.create(dues("monthly 20 from 2030-01-01", rolls))
	put := f.putHolidays("TARGET", "2030-01-16", "2030-01-15", "2030-01-16")
	if diff := cmp.Diff([]string{"2030-01-15", "2030-01-16"}, put.GetList().GetDates()); diff != "" || put.GetSchedulesMoved() != 1 {
		t.Errorf("moved %d; dates (-want +got):\n%s", put.GetSchedulesMoved(), diff)
	}
	f.decide("2030-01-16T12:00:00Z")
	f.wantHistory(s, "")
	if got := f.get(s); got.GetNextDate() != "2030-01-15" || got.GetNextDueTime().AsTime().Day() != 17 {
		t.Errorf("is next due at %s", got.GetNextDueTime().AsTime())
	}
	f.putHolidays("TARGET") // by this it was due yesterday
	f.decide("2030-01-16T12:00:00Z")
	f.wantHistory(s, "2030-01-15 run")
	f.putHolidays("TARGET", "2030-01-15") // what was decided stays
	f.decide("2030-01-16T13:00:00Z")
	f.wantHistory(s, "2030-01-15 run")
	f.wantHistory(other, "")
	f.endAll()

	_, err := f.schedules.PutHolidayList(t.Context(), &billingv1.PutHolidayListRequest{IdempotencyKey: f.key(), Name: "X", Dates: []string{"2030-02-30", ""}, Reason: "r"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "dates[0]", "dates[1]")
	_, err = f.schedules.GetHolidayList(t.Context(), &billingv1.GetHolidayListRequest{Name: "X"})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "name")
	f.putHolidays("FED", "2030-07-04")
	lists, err := f.schedules.ListHolidayLists(t.Context(), &billingv1.ListHolidayListsRequest{PageSize: 1})
	if err != nil || len(lists.GetLists()) != 1 || lists.GetLists()[0].GetName() != "FED" || lists.GetNextPageToken() == "" {
		t.Errorf("lists %v: %v", lists, err)
	}
}

func TestListSchedules_PagesAndFilters(t *testing.T) {
	f := setupScheduling(t, "2030-01-09T12:00:00Z")
	var made []string
	for i := range 5 {
		s := f.create(dues("daily from 2030-01-01", func(t *billingv1.ScheduleTerms) { t.CustomerId = fmt.Sprintf("c-%d", i%2) }))
		made = append(made, s.GetScheduleId())
		if i == 4 {
			f.pause(s)
		}
	}
	slices.Reverse(made)
	list := func(r *billingv1.ListSchedulesRequest) (ids []string) {
		for r.PageSize = 2; ; {
			page, err := f.schedules.ListSchedules(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page.GetSchedules() {
				ids = append(ids, s.GetScheduleId())
			}
			if r.PageToken = page.GetNextPageToken(); r.GetPageToken() == "" {
				return ids
			}
		}
	}
	for _, c := range []struct {
		r    *billingv1.ListSchedulesRequest
		want []string
	}{
		{&billingv1.ListSchedulesRequest{}, made},
		{&billingv1.ListSchedulesRequest{CustomerId: "c-1"}, []string{made[1], made[3]}},
		{&billingv1.ListSchedulesRequest{State: billingv1.ScheduleState_SCHEDULE_STATE_PAUSED}, made[:1]},
		{&billingv1.ListSchedulesRequest{CustomerId: "nobody"}, nil},
	} {
		if diff := cmp.Diff(c.want, list(c.r)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.r, diff)
		}
	}
	_, err := f.schedules.ListScheduleOccurrences(t.Context(), &billingv1.ListScheduleOccurrencesRequest{ScheduleId: made[0], PageToken: "eA"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
}
