package billing

import (
	"context"
	"fmt"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/calendar"
)

// readSchedule gives a schedule. NOT_FOUND when there is none.
func (b *billing) readSchedule(ctx context.Context, sid ScheduleID) (*schedule, error) {
	return newStore(b.pool).getSchedule(ctx, sid)
}

// listSchedules gives up to n schedules before one, newest first; of an empty customer and of state 0 all.
func (b *billing) listSchedules(ctx context.Context, before ScheduleID, customer string, state scheduleState, n int32) ([]*schedule, error) {
	rows, err := newStore(b.pool).q.ListSchedules(ctx, billingdb.ListSchedulesParams{
		Before: before.UUID(), CustomerID: customer, State: int16(state), N: n,
	})
	if err != nil {
		return nil, fmt.Errorf("listing schedules: %w", err)
	}
	all := make([]billingdb.ClaimSchedulesRow, len(rows))
	for i, r := range rows {
		all[i] = billingdb.ClaimSchedulesRow(r)
	}
	return schedulesOf(all)
}

// listOccurrences gives up to n occurrences of a schedule before a date, the latest first.
func (b *billing) listOccurrences(ctx context.Context, sid ScheduleID, before calendar.Date, n int32) ([]*occurrence, error) {
	st := newStore(b.pool)
	of, err := st.getSchedule(ctx, sid)
	if err != nil {
		return nil, err
	}
	rows, err := st.q.ListOccurrences(ctx, billingdb.ListOccurrencesParams{ScheduleID: sid.UUID(), Before: dateTo(before), N: n})
	if err != nil {
		return nil, fmt.Errorf("listing occurrences: %w", err)
	}
	all := make([]*occurrence, len(rows))
	for i, r := range rows {
		all[i] = occurrenceOf(of, billingdb.GetOccurrenceRow(r))
	}
	return all, nil
}

// occurrence gives an occurrence that there is.
func (s store) occurrence(ctx context.Context, sid ScheduleID, date calendar.Date) (*occurrence, error) {
	of, err := s.getSchedule(ctx, sid)
	if err != nil {
		return nil, err
	}
	row, err := s.q.GetOccurrence(ctx, billingdb.GetOccurrenceParams{ScheduleID: sid.UUID(), CivilDate: dateTo(date)})
	if err != nil {
		return nil, fmt.Errorf("reading occurrence: %w", err)
	}
	return occurrenceOf(of, row), nil
}

func occurrenceOf(s *schedule, row billingdb.GetOccurrenceRow) *occurrence {
	o := &occurrence{
		schedule: s, date: dateFrom(row.CivilDate), state: occurrenceState(row.State), why: calendar.Skip(row.Why), dueAt: row.DueAt,
		decidedAt: row.DecidedAt, triggeredBy: row.TriggeredBy, line: row.Line, itemState: itemState(row.ItemState),
	}
	if row.BatchID != nil {
		o.batchID = BatchID(*row.BatchID)
	}
	return o
}

// preview gives the next occurrences of a schedule, and why there are no more.
func (b *billing) preview(ctx context.Context, sid ScheduleID) (next []calendar.Occurrence, end string, err error) {
	st := newStore(b.pool)
	s, err := st.getSchedule(ctx, sid)
	if err != nil {
		return nil, "", err
	}
	if s.state == scheduleEnded {
		return nil, "the schedule has ended: " + s.note, nil
	}
	lists, err := st.holidays(ctx, s.terms.When.HolidayList)
	if err != nil {
		return nil, "", err
	}
	cal, err := s.calendar(lists[s.terms.When.HolidayList])
	if err != nil {
		return nil, "", err
	}
	taken, err := st.taken(ctx, sid, s.decidedThrough)
	if err != nil {
		return nil, "", err
	}
	next, end = s.upcoming(cal, taken)
	return next, end, nil
}

// previewOf gives the next occurrences of a schedule that is not made yet.
func (b *billing) previewOf(ctx context.Context, w when) (next []calendar.Occurrence, end string, err error) {
	if wrong := w.check("calendar."); len(wrong) > 0 {
		return nil, "", rpcerr.ForFields(rpcerr.RequestInvalid, wrong...)
	}
	st := newStore(b.pool)
	lists, err := st.holidays(ctx, w.HolidayList)
	if err != nil {
		return nil, "", err
	}
	if lists[w.HolidayList] == nil && w.HolidayList != "" {
		return nil, "", rpcerr.ForField(rpcerr.RequestInvalid, "calendar.holiday_list", "there is no list %q", w.HolidayList)
	}
	s := &schedule{terms: terms{When: w}}
	cal, err := s.calendar(lists[w.HolidayList])
	if err != nil {
		return nil, "", err
	}
	now, err := st.now(ctx, b.clock())
	if err != nil {
		return nil, "", err
	}
	s.begin(cal, now)
	next, end = s.upcoming(cal, nil)
	return next, end, nil
}
