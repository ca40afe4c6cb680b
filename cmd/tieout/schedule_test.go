package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// scheduleDesk answers as schedules do, from what the test puts there, and keeps what it was asked to do, without keys.
type scheduleDesk struct {
	billingv1.UnimplementedScheduleServiceServer
	addr     string
	schedule *billingv1.Schedule

	mu    sync.Mutex
	asked []proto.Message
}

func newScheduleDesk(t *testing.T) *scheduleDesk {
	t.Helper()
	terms := newTerms()
	terms.CustomerId, terms.PaymentMethod, terms.Amount = "c-1", "pm_1", &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: 2500}
	terms.Grace = durationpb.New(3600e9)
	terms.Calendar.TimeOfDay, terms.Calendar.TimeZone = "06:00", "Europe/Berlin"
	terms.Calendar.Rule = &billingv1.RecurrenceRule{Frequency: billingv1.Frequency_FREQUENCY_MONTHLY, Every: 1, Day: 31, StartDate: "2026-12-01"}
	d := &scheduleDesk{schedule: &billingv1.Schedule{
		ScheduleId: "sch_1", State: billingv1.ScheduleState_SCHEDULE_STATE_ACTIVE, Terms: terms, NextDate: "2026-12-31",
	}}
	s := grpc.NewServer()
	billingv1.RegisterScheduleServiceServer(s, d)
	healthv1.RegisterHealthServer(s, health.NewServer())
	d.addr = nettest.ServeGRPC(t, s)
	return d
}

func (d *scheduleDesk) tieout(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return call(t, []string{envAddr + "=" + d.addr}, args...)
}

func (d *scheduleDesk) note(m proto.Message) {
	m = proto.Clone(m)
	if key := m.ProtoReflect().Descriptor().Fields().ByName("idempotency_key"); key != nil {
		m.ProtoReflect().Clear(key)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, m)
}

func (d *scheduleDesk) wantAsked(t *testing.T, want ...proto.Message) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if diff := cmp.Diff(want, d.asked, protocmp.Transform()); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	d.asked = nil
}

func (d *scheduleDesk) GetSchedule(_ context.Context, r *billingv1.GetScheduleRequest) (*billingv1.GetScheduleResponse, error) {
	if r.GetScheduleId() != d.schedule.GetScheduleId() {
		return nil, rpcerr.New(rpcerr.NotFound, "there is no schedule %s", r.GetScheduleId())
	}
	return &billingv1.GetScheduleResponse{Schedule: d.schedule}, nil
}

func (d *scheduleDesk) ListSchedules(_ context.Context, r *billingv1.ListSchedulesRequest) (*billingv1.ListSchedulesResponse, error) {
	d.note(r)
	return &billingv1.ListSchedulesResponse{Schedules: []*billingv1.Schedule{d.schedule}}, nil
}

func (d *scheduleDesk) ListScheduleOccurrences(_ context.Context, r *billingv1.ListScheduleOccurrencesRequest) (*billingv1.ListScheduleOccurrencesResponse, error) {
	d.note(r)
	return &billingv1.ListScheduleOccurrencesResponse{Occurrences: []*billingv1.ScheduleOccurrence{{
		ScheduleId: "sch_1", Date: "2026-12-31", State: billingv1.OccurrenceState_OCCURRENCE_STATE_SKIPPED, Reason: billingv1.OccurrenceReason_OCCURRENCE_REASON_PAUSED,
	}}}, nil
}

func (d *scheduleDesk) GetSchedulePreview(_ context.Context, r *billingv1.GetSchedulePreviewRequest) (*billingv1.GetSchedulePreviewResponse, error) {
	d.note(r)
	return &billingv1.GetSchedulePreviewResponse{Occurrences: []*billingv1.PreviewedOccurrence{{
		Date: "2027-01-31", DueDate: "2027-02-01", DueTime: timestamppb.Now(), Rolled: true, Number: 2,
	}}, End: "the rule has no more dates"}, nil
}

func (d *scheduleDesk) CreateSchedule(_ context.Context, r *billingv1.CreateScheduleRequest) (*billingv1.CreateScheduleResponse, error) {
	d.note(r)
	return &billingv1.CreateScheduleResponse{Schedule: d.schedule}, nil
}

func (d *scheduleDesk) UpdateSchedule(_ context.Context, r *billingv1.UpdateScheduleRequest) (*billingv1.UpdateScheduleResponse, error) {
	d.note(r)
	return &billingv1.UpdateScheduleResponse{Schedule: d.schedule}, nil
}

func (d *scheduleDesk) PauseSchedule(_ context.Context, r *billingv1.PauseScheduleRequest) (*billingv1.PauseScheduleResponse, error) {
	d.note(r)
	return &billingv1.PauseScheduleResponse{Schedule: d.schedule}, nil
}

func (d *scheduleDesk) ResumeSchedule(_ context.Context, r *billingv1.ResumeScheduleRequest) (*billingv1.ResumeScheduleResponse, error) {
	d.note(r)
	return &billingv1.ResumeScheduleResponse{Schedule: d.schedule}, nil
}

func (d *scheduleDesk) EndSchedule(_ context.Context, r *billingv1.EndScheduleRequest) (*billingv1.EndScheduleResponse, error) {
	d.note(r)
	return &billingv1.EndScheduleResponse{Schedule: d.schedule}, nil
}

func (d *scheduleDesk) TriggerSchedule(_ context.Context, r *billingv1.TriggerScheduleRequest) (*billingv1.TriggerScheduleResponse, error) {
	d.note(r)
	return &billingv1.TriggerScheduleResponse{Occurrence: &billingv1.ScheduleOccurrence{
		ScheduleId: "sch_1", Date: "2026-12-02", State: billingv1.OccurrenceState_OCCURRENCE_STATE_RUN, BatchId: "bat_1", ItemState: billingv1.ItemState_ITEM_STATE_PLANNED,
	}}, nil
}

func (d *scheduleDesk) PutHolidayList(_ context.Context, r *billingv1.PutHolidayListRequest) (*billingv1.PutHolidayListResponse, error) {
	d.note(r)
	return &billingv1.PutHolidayListResponse{List: &billingv1.HolidayList{Name: r.GetName(), Dates: r.GetDates()}, SchedulesMoved: 3}, nil
}

func (d *scheduleDesk) GetHolidayList(_ context.Context, r *billingv1.GetHolidayListRequest) (*billingv1.GetHolidayListResponse, error) {
	return &billingv1.GetHolidayListResponse{List: &billingv1.HolidayList{Name: r.GetName(), Dates: []string{"2026-12-25"}}}, nil
}

func (d *scheduleDesk) ListHolidayLists(context.Context, *billingv1.ListHolidayListsRequest) (*billingv1.ListHolidayListsResponse, error) {
	return &billingv1.ListHolidayListsResponse{Lists: []*billingv1.HolidayList{{Name: "TARGET", Dates: []string{"2026-12-25"}}}}, nil
}

func TestSchedule_ShowsAndLists(t *testing.T) {
	t.Parallel()
	d := newScheduleDesk(t)
	code, stdout, stderr := d.tieout(t, "schedule", "get", "sch_1")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	wantLines(t, stdout, "schedule id sch_1", "state active", "amount 25.00 EUR", "rule every month on day 31 from 2026-12-01", "next date 2026-12-31",
		"time 06:00 Europe/Berlin", "missed run_latest, when more than 1h0m0s late", "overlap queue")
	if code, _, stderr := d.tieout(t, "schedule", "get", "sch_2"); code != exitNotFound {
		t.Errorf("unknown: exit %d, %s", code, stderr)
	}
	if code, stdout, stderr := d.tieout(t, "schedule", "list", "--state", "active", "--customer", "c-1"); code != exitOK || !strings.Contains(stdout, "sch_1") {
		t.Errorf("list: exit %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := d.tieout(t, "schedule", "list", "--state", "asleep"); code != exitUsage || !strings.Contains(stderr, "paused") {
		t.Errorf("a state that there is not: exit %d, %s", code, stderr)
	}
	if code, stdout, stderr := d.tieout(t, "schedule", "occurrences", "--schedule", "sch_1", "-o", "csv"); code != exitOK || !strings.Contains(stdout, "2026-12-31,skipped,paused") {
		t.Errorf("occurrences: exit %d, %s%s", code, stdout, stderr)
	}
	if code, _, _ := d.tieout(t, "schedule", "occurrences"); code != exitUsage {
		t.Errorf("occurrences of nothing: exit %d", code)
	}
	d.wantAsked(t, &billingv1.ListSchedulesRequest{PageSize: 50, State: 1, CustomerId: "c-1"}, &billingv1.ListScheduleOccurrencesRequest{ScheduleId: "sch_1", PageSize: 50})
}

func TestScheduleNext_OfOneThatIsOrOfFlags(t *testing.T) {
	t.Parallel()
	d := newScheduleDesk(t)
	code, stdout, stderr := d.tieout(t, "schedule", "next", "sch_1", "-o", "csv")
	if code != exitOK || !strings.Contains(stdout, "2027-01-31,2027-02-01") || !strings.Contains(stderr, "no more: the rule") {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := d.tieout(t, "schedule", "next", "--frequency", "weekly", "--weekday", "friday", "--every", "2", "--start", "2026-12-01", "--until", "2027-12-31",
		"--at", "06:00", "--zone", "Europe/Berlin", "--roll", "following", "--weekend", "friday,saturday", "--holidays", "TARGET"); code != exitOK {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if code, _, stderr := d.tieout(t, "schedule", "next", "--frequency", "hourly"); code != exitUsage || !strings.Contains(stderr, "daily, weekly") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	d.wantAsked(t, &billingv1.GetSchedulePreviewRequest{Of: &billingv1.GetSchedulePreviewRequest_ScheduleId{ScheduleId: "sch_1"}},
		&billingv1.GetSchedulePreviewRequest{Of: &billingv1.GetSchedulePreviewRequest_Calendar{Calendar: &billingv1.ScheduleCalendar{
			Rule: &billingv1.RecurrenceRule{
				Frequency: billingv1.Frequency_FREQUENCY_WEEKLY, Every: 2, Weekday: billingv1.Weekday_WEEKDAY_FRIDAY, StartDate: "2026-12-01", UntilDate: "2027-12-31",
			},
			TimeOfDay: "06:00", TimeZone: "Europe/Berlin", Roll: billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_FOLLOWING,
			Weekend: []billingv1.Weekday{billingv1.Weekday_WEEKDAY_FRIDAY, billingv1.Weekday_WEEKDAY_SATURDAY}, HolidayList: "TARGET",
		}}})
}

func TestScheduleCreateAndUpdate_SayWhatTheFlagsSay(t *testing.T) {
	t.Parallel()
	d := newScheduleDesk(t)
	whole := proto.CloneOf(d.schedule.GetTerms())
	whole.Description, whole.CardScheme, whole.ProviderAccount = "dues", "visa", "other"
	whole.Missed, whole.Overlap = billingv1.MissedPolicy_MISSED_POLICY_SKIP_ALL, billingv1.OverlapPolicy_OVERLAP_POLICY_ALLOW
	whole.Calendar.Rule.Count = 12
	code, stdout, stderr := d.tieout(t, "schedule", "create", "--customer", "c-1", "--payment-method", "pm_1", "--amount", "25.00 EUR", "--description", "dues",
		"--card-scheme", "visa", "--account", "other", "--frequency", "monthly", "--day", "31", "--start", "2026-12-01", "--count", "12", "--at", "06:00",
		"--zone", "Europe/Berlin", "--missed", "skip_all", "--grace", "1h", "--overlap", "allow")
	if code != exitOK || !strings.Contains(stdout, "sch_1") || !strings.Contains(stderr, "the key of this schedule is schedule/") {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
	d.wantAsked(t, &billingv1.CreateScheduleRequest{Terms: whole})
	if code, _, stderr := d.tieout(t, "schedule", "create", "--amount", "25.001 EUR"); code != exitUsage || !strings.Contains(stderr, "--amount") {
		t.Errorf("exit %d, %s", code, stderr)
	}

	code, stdout, stderr = d.tieout(t, "schedule", "update", "sch_1", "--amount", "30.00 EUR")
	if code != exitOK || !strings.Contains(stdout, "30.00 EUR") || !strings.Contains(stderr, "nothing was done") {
		t.Errorf("plan: exit %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := d.tieout(t, "schedule", "update", "sch_1", "--amount", "25.00 EUR", "--yes"); code != exitUsage {
		t.Errorf("nothing to change: exit %d, %s", code, stderr)
	}
	d.wantAsked(t)
	changed := proto.CloneOf(d.schedule.GetTerms())
	changed.Amount.MinorUnits, changed.Calendar.Rule.Day = 3000, 15
	if code, _, stderr := d.tieout(t, "schedule", "update", "sch_1", "--amount", "30.00 EUR", "--day", "15", "--yes"); code != exitOK {
		t.Errorf("exit %d, %s", code, stderr)
	}
	d.wantAsked(t, &billingv1.UpdateScheduleRequest{ScheduleId: "sch_1", Terms: changed})
}

func TestScheduleVerbs_ArePlansUntilYesAndNeedAReason(t *testing.T) {
	t.Parallel()
	d := newScheduleDesk(t)
	for _, c := range []struct {
		verb, flag string
		want       proto.Message
	}{
		{"pause", "--note", &billingv1.PauseScheduleRequest{ScheduleId: "sch_1", Note: "why"}},
		{"resume", "", &billingv1.ResumeScheduleRequest{ScheduleId: "sch_1"}},
		{"trigger", "--reason", &billingv1.TriggerScheduleRequest{ScheduleId: "sch_1", Reason: "why"}},
		{"delete", "--note", &billingv1.EndScheduleRequest{ScheduleId: "sch_1", Note: "why"}},
	} {
		args := []string{"schedule", c.verb, "sch_1"}
		if c.flag != "" {
			if code, _, stderr := d.tieout(t, append(args, "--yes")...); code != exitUsage || !strings.Contains(stderr, c.flag) {
				t.Errorf("%s without a reason: exit %d, %s", c.verb, code, stderr)
			}
			args = append(args, c.flag, "why")
		}
		if code, stdout, stderr := d.tieout(t, args...); code != exitOK || !strings.Contains(stderr, "do it with --yes") || !strings.Contains(stdout, "sch_1") {
			t.Errorf("plan to %s: exit %d, %s%s", c.verb, code, stdout, stderr)
		}
		d.wantAsked(t)
		if code, _, stderr := d.tieout(t, append(args, "--yes")...); code != exitOK {
			t.Errorf("%s: exit %d, %s", c.verb, code, stderr)
		}
		d.wantAsked(t, c.want)
	}
}

func TestHolidays_PutGetAndList(t *testing.T) {
	t.Parallel()
	d := newScheduleDesk(t)
	file := filepath.Join(t.TempDir(), "days")
	if err := os.WriteFile(file, []byte("# 2026\n2026-12-25  Christmas\n\n2026-12-26\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	put := []string{"holidays", "put", "TARGET", "-f", file, "--reason", "new year"}
	if code, stdout, stderr := d.tieout(t, put...); code != exitOK || !strings.Contains(stderr, "nothing was done") || !strings.Contains(stdout, "2026-12-25 2026-12-26") {
		t.Errorf("plan: exit %d, %s%s", code, stdout, stderr)
	}
	d.wantAsked(t)
	if code, _, stderr := d.tieout(t, append(put, "--yes")...); code != exitOK || !strings.Contains(stderr, "moved for 3 schedules") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	d.wantAsked(t, &billingv1.PutHolidayListRequest{Name: "TARGET", Dates: []string{"2026-12-25", "2026-12-26"}, Reason: "new year"})
	if code, _, _ := d.tieout(t, "holidays", "put", "TARGET", "--reason", "new year"); code != exitUsage {
		t.Errorf("without a file: exit %d", code)
	}
	if code, stdout, _ := d.tieout(t, "holidays", "get", "TARGET"); code != exitOK || !strings.Contains(stdout, "2026-12-25") {
		t.Errorf("get: exit %d, %s", code, stdout)
	}
	if code, stdout, _ := d.tieout(t, "holidays", "list", "-o", "csv"); code != exitOK || !strings.Contains(stdout, "TARGET,1,") {
		t.Errorf("list: exit %d, %s", code, stdout)
	}
}
