package billing

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// unless fails the test for an error that is none of these refusals.
func (f *scheduling) unless(err error, refusals ...rpcerr.Reason) {
	for _, r := range refusals {
		if rpcerr.Is(err, r) {
			return
		}
	}
	if err != nil {
		f.Error(err)
	}
}

// Whoever changes a schedule or its holidays, triggers it, or decides on it does so one after the other, and none of them
// stops another for good.
func TestSchedule_ChangesDecisionsAndHolidaysDoNotStopEachOther(t *testing.T) {
	f := setupScheduling(t, "2030-01-01T00:00:00Z")
	lists := []string{"A", "B"}
	for _, name := range lists {
		f.putHolidays(name, "2030-01-03")
	}
	going := func(n int) *billingv1.ScheduleTerms {
		return dues("daily from 2030-01-01", overlap(billingv1.OverlapPolicy_OVERLAP_POLICY_ALLOW), missed(billingv1.MissedPolicy_MISSED_POLICY_RUN_ALL),
			func(t *billingv1.ScheduleTerms) {
				t.Calendar.Roll, t.Calendar.HolidayList = billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_FOLLOWING, lists[n%2]
				t.Amount.MinorUnits = int64(1000 + n)
			})
	}
	var schedules []*billingv1.Schedule
	for n := range 6 {
		schedules = append(schedules, f.create(going(n)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const days = 12
	for day := 1; day <= days; day++ {
		f.at(fmt.Sprintf("2030-01-%02dT05:00:00Z", day))
		var all sync.WaitGroup
		for n, s := range schedules {
			key := fmt.Sprintf("race-%02d-%02d", day, n)
			all.Go(func() {
				_, err := f.schedules.UpdateSchedule(ctx, &billingv1.UpdateScheduleRequest{IdempotencyKey: key, ScheduleId: s.GetScheduleId(), Terms: going(n + day)})
				f.unless(err)
			})
			all.Go(func() {
				_, err := f.schedules.TriggerSchedule(ctx, &billingv1.TriggerScheduleRequest{IdempotencyKey: key, ScheduleId: s.GetScheduleId(), Reason: "now"})
				f.unless(err, rpcerr.OccurrenceExists)
			})
			all.Go(func() {
				_, err := f.billing.scheduleOnce(ctx)
				f.unless(err)
			})
		}
		for n, name := range lists {
			all.Go(func() {
				_, err := f.schedules.PutHolidayList(ctx, &billingv1.PutHolidayListRequest{
					IdempotencyKey: fmt.Sprintf("list-%02d-%02d", day, n), Name: name, Dates: []string{fmt.Sprintf("2030-01-%02d", day+n)}, Reason: "who knows",
				})
				f.unless(err)
			})
		}
		all.Wait()
	}
	f.decide("2030-02-11T05:00:00Z")
	f.endAll()
	for _, s := range schedules { // the days from 2030-01-01 to 2030-02-11, which is a Monday
		if n := len(strings.Split(f.history(s), " run")) - 1; n != 42 {
			t.Errorf("%d of 42 dates were run: %s", n, f.history(s))
		}
	}
	if items := pgtest.Column[int64](t, f.db, `SELECT count(*) FROM batch_item WHERE state = 3`)[0]; items != int64(42*len(schedules)) {
		t.Errorf("%d items were charged", items)
	}
}
