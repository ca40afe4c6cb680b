package billing

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

// scheduling is a fixture in which the test says what time it is for schedules. Its times are years ahead, so that no
// invariant takes them for late.
type scheduling struct {
	*fixture
	process   *service.Process
	conn      *grpc.ClientConn
	schedules billingv1.ScheduleServiceClient

	mu  sync.Mutex
	now time.Time
	n   int // of keys
}

func setupScheduling(t *testing.T, now string) *scheduling {
	t.Helper()
	t.Parallel()
	f := &scheduling{fixture: &fixture{T: t, orchestrator: newOrchestrator(t), dsn: pgtest.DSN(t, Migrations()...)}}
	f.at(now)
	var err error
	if f.db, err = pgxpool.New(t.Context(), f.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.db.Close)
	f.process = servicetest.Start(t, f.orchestrator.service(), f.replica(&f.billing))
	f.conn = servicetest.Dial(t, f.process, "biller")
	f.batches, f.schedules = billingv1.NewBatchServiceClient(f.conn), billingv1.NewScheduleServiceClient(f.conn)
	return f
}

// replica is billing with the test's clock.
func (f *scheduling) replica(b **billing) service.Service {
	return service.Service{
		Name: "billing", Postgres: service.Postgres{DSN: f.dsn, MaxConns: 10}, Migrations: Migrations(),
		Run: func(_ context.Context, env *service.Env) (err error) {
			cfg := DefaultConfig()
			cfg.clock = f.clock
			*b, err = wire(env, cfg)
			return err
		},
	}
}

func (f *scheduling) clock() *time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now
	return &now
}

// at says what time it is.
func (f *scheduling) at(now string) {
	f.Helper()
	t, err := time.Parse(time.RFC3339, now)
	if err != nil {
		f.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = t
}

// decide says what time it is, and has all decided on that is due by then.
func (f *scheduling) decide(now string) {
	f.Helper()
	f.at(now)
	waittest.Until(f.T, "all that is due is decided on", func() bool {
		if _, err := f.billing.scheduleOnce(f.Context()); err != nil {
			f.Fatal(err)
		}
		left, err := newStore(f.db).dueSchedules(f.Context(), f.clock())
		if err != nil {
			f.Fatal(err)
		}
		return len(left) == 0
	})
}

func (f *scheduling) key() string {
	f.n++
	return fmt.Sprintf("key-%06d", f.n)
}

// rule reads "monthly 31 from 2030-01-01", "daily from 2030-01-01", "weekly 5 from 2030-01-01", with the number being
// the day.
func rule(text string) *billingv1.RecurrenceRule {
	words := strings.Fields(text)
	r := &billingv1.RecurrenceRule{
		Frequency: billingv1.Frequency(billingv1.Frequency_value["FREQUENCY_"+strings.ToUpper(words[0])]), Every: 1, StartDate: words[len(words)-1],
	}
	day := 0
	_, _ = fmt.Sscan(words[1], &day) // "from" is no number, and leaves it
	if r.GetFrequency() == billingv1.Frequency_FREQUENCY_WEEKLY {
		r.Weekday = billingv1.Weekday(day)
	} else {
		r.Day = int32(day)
	}
	return r
}

// dues are terms of 25.00 EUR that are due at 06:00 in Berlin, with changes.
func dues(text string, changes ...func(*billingv1.ScheduleTerms)) *billingv1.ScheduleTerms {
	t := &billingv1.ScheduleTerms{
		CustomerId: "c-1", PaymentMethod: "pm_ok", Amount: &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: 2500}, Description: "dues",
		Calendar: &billingv1.ScheduleCalendar{Rule: rule(text), TimeOfDay: "06:00", TimeZone: "Europe/Berlin"},
		Missed:   billingv1.MissedPolicy_MISSED_POLICY_RUN_LATEST, Grace: durationpb.New(time.Hour), Overlap: billingv1.OverlapPolicy_OVERLAP_POLICY_QUEUE,
	}
	for _, change := range changes {
		change(t)
	}
	return t
}

func missed(p billingv1.MissedPolicy) func(*billingv1.ScheduleTerms) {
	return func(t *billingv1.ScheduleTerms) { t.Missed = p }
}

func overlap(p billingv1.OverlapPolicy) func(*billingv1.ScheduleTerms) {
	return func(t *billingv1.ScheduleTerms) { t.Overlap = p }
}

func paidWith(method string) func(*billingv1.ScheduleTerms) {
	return func(t *billingv1.ScheduleTerms) { t.PaymentMethod = method }
}

func (f *scheduling) create(t *billingv1.ScheduleTerms) *billingv1.Schedule {
	f.Helper()
	answer, err := f.schedules.CreateSchedule(f.Context(), &billingv1.CreateScheduleRequest{IdempotencyKey: f.key(), Terms: t})
	if err != nil {
		f.Fatalf("creating: %v", err)
	}
	return answer.GetSchedule()
}

func (f *scheduling) get(s *billingv1.Schedule) *billingv1.Schedule {
	f.Helper()
	answer, err := f.schedules.GetSchedule(f.Context(), &billingv1.GetScheduleRequest{ScheduleId: s.GetScheduleId()})
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetSchedule()
}

// history tells the occurrences of a schedule, the earliest first: "2030-01-31 run, 2030-02-28 missed superseded".
func (f *scheduling) history(s *billingv1.Schedule) string {
	f.Helper()
	var told []string
	for token := ""; ; {
		page, err := f.schedules.ListScheduleOccurrences(f.Context(), &billingv1.ListScheduleOccurrencesRequest{
			ScheduleId: s.GetScheduleId(), PageSize: 2, PageToken: token,
		})
		if err != nil {
			f.Fatal(err)
		}
		for _, o := range page.GetOccurrences() {
			words := o.GetDate() + " " + strings.ToLower(strings.TrimPrefix(o.GetState().String(), "OCCURRENCE_STATE_"))
			if o.GetReason() != 0 {
				words += " " + strings.ToLower(strings.TrimPrefix(o.GetReason().String(), "OCCURRENCE_REASON_"))
			}
			told = append([]string{words}, told...)
		}
		if token = page.GetNextPageToken(); token == "" {
			return strings.Join(told, ", ")
		}
	}
}

func (f *scheduling) wantHistory(s *billingv1.Schedule, want string) {
	f.Helper()
	if got := f.history(s); got != want {
		f.Errorf("occurrences\n got %s\nwant %s", got, want)
	}
}

// endAll waits until all batches have ended, each proven.
func (f *scheduling) endAll() {
	f.Helper()
	waittest.Until(f.T, "all batches have ended", func() bool {
		return pgtest.Column[int64](f.T, f.db, `SELECT count(*) FROM batch WHERE state <> 4`)[0] == 0
	})
	f.wantClean()
}

// preview tells the dates to come: "2030-01-31", or "2030-01-31>2030-02-01" for one that is rolled; then the end.
func (f *scheduling) preview(r *billingv1.GetSchedulePreviewRequest) string {
	f.Helper()
	answer, err := f.schedules.GetSchedulePreview(f.Context(), r)
	if err != nil {
		f.Fatal(err)
	}
	var told []string
	for _, o := range answer.GetOccurrences() {
		words := o.GetDate()
		if o.GetRolled() {
			words += ">" + o.GetDueDate()
		}
		told = append(told, words)
	}
	return strings.TrimSpace(strings.Join(told, " ") + " " + answer.GetEnd())
}

func (f *scheduling) previewOf(s *billingv1.Schedule) string {
	f.Helper()
	return f.preview(&billingv1.GetSchedulePreviewRequest{Of: &billingv1.GetSchedulePreviewRequest_ScheduleId{ScheduleId: s.GetScheduleId()}})
}

func (f *scheduling) putHolidays(name string, dates ...string) *billingv1.PutHolidayListResponse {
	f.Helper()
	answer, err := f.schedules.PutHolidayList(f.Context(), &billingv1.PutHolidayListRequest{
		IdempotencyKey: f.key(), Name: name, Dates: dates, Reason: "the bank says so",
	})
	if err != nil {
		f.Fatalf("putting holidays: %v", err)
	}
	return answer
}

// metrics are those of the process.
func (f *scheduling) metrics() string {
	f.Helper()
	answer, err := http.Get("http://" + f.process.HTTPAddr() + "/metrics")
	if err != nil {
		f.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		f.Fatal(err)
	}
	return string(text)
}
