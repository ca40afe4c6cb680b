package billing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/calendar"
)

const (
	methodPutHolidays = "PutHolidayList"
	// holidayPiece is how many schedules learn of a list together.
	holidayPiece = 1000
)

// holidayList is dates that are no business days.
type holidayList struct {
	Name      string          `json:"name"`
	Dates     []calendar.Date `json:"dates"` // in order, each once
	SetBy     string          `json:"set_by"`
	UpdatedAt time.Time       `json:"updated_at"`
}

// holidaysPut is a list after it was put.
type holidaysPut struct {
	List  holidayList `json:"list"`
	Moved int64       `json:"moved"` // schedules for which something else is next, or at another time
}

// putHolidays says all dates of a list anew. Whoever is about to go by the list waits for it, or is waited for.
func (b *billing) putHolidays(ctx context.Context, from request, list holidayList, reason string) (holidaysPut, error) {
	slices.SortFunc(list.Dates, calendar.Date.Compare)
	list.Dates = slices.Compact(list.Dates)
	var text strings.Builder
	for _, d := range list.Dates {
		text.WriteString(d.String() + " ")
	}
	r := from.idem(methodPutHolidays, b.keyTTL, idem.Field{Name: "name", Value: list.Name}, idem.Field{Name: "dates", Value: text.String()},
		idem.Field{Name: "reason", Value: reason})
	return idem.Once(ctx, b.pool, r, func(ctx context.Context, tx *pg.Tx) (holidaysPut, string, error) {
		st, put := newStore(tx), holidaysPut{List: list}
		if err := st.q.LockHolidays(ctx, list.Name); err != nil {
			return put, "", fmt.Errorf("locking holidays: %w", err)
		}
		put.List.SetBy = from.caller
		dates := make([]pgtype.Date, len(list.Dates))
		for i, d := range list.Dates {
			dates[i] = dateTo(d)
		}
		var err error
		put.List.UpdatedAt, err = st.q.PutHolidays(ctx, billingdb.PutHolidaysParams{Name: list.Name, Dates: dates, SetBy: from.caller})
		if err != nil {
			return put, "", fmt.Errorf("writing holidays: %w", err)
		}
		if put.Moved, err = b.lookAgain(ctx, tx, list); err != nil {
			return put, "", err
		}
		return put, list.Name, st.insertAction(ctx, from.caller, "put holidays", list.Name, reason)
	})
}

// lookAgain finds anew what is next for the schedules that go by a list. What falls into the past by that is due at once.
func (b *billing) lookAgain(ctx context.Context, tx *pg.Tx, list holidayList) (moved int64, err error) {
	st, holidays := newStore(tx), calendar.NewDates(list.Dates...)
	for after := uuid.Nil; ; {
		rows, err := st.q.LockSchedulesOfHolidays(ctx, billingdb.LockSchedulesOfHolidaysParams{Name: list.Name, After: after, N: holidayPiece})
		if err != nil {
			return moved, fmt.Errorf("locking schedules: %w", err)
		}
		if len(rows) == 0 {
			return moved, nil
		}
		held := make([]billingdb.ClaimSchedulesRow, len(rows))
		for i, row := range rows {
			held[i], after = billingdb.ClaimSchedulesRow(row), row.ID
		}
		schedules, err := schedulesOf(held)
		if err != nil {
			return moved, err
		}
		r, err := b.newRound(ctx, tx, schedules...)
		if err != nil {
			return moved, err
		}
		var changed []*schedule
		for _, s := range schedules {
			cal, err := s.calendar(holidays)
			if err != nil {
				return moved, err
			}
			before := s.nextDueAt
			s.look(cal, r.taken[s.id]) // a list moves what is due, and leaves the dates: there is something still
			if !s.nextDueAt.Equal(before) {
				changed = append(changed, s)
			}
		}
		if err := st.putStates(ctx, changed, r.now); err != nil {
			return moved, err
		}
		moved += int64(len(changed))
	}
}

// getHolidays gives a list. NOT_FOUND when there is none.
func (b *billing) getHolidays(ctx context.Context, name string) (holidayList, error) {
	rows, err := newStore(b.pool).q.GetHolidays(ctx, []string{name})
	if err != nil {
		return holidayList{}, fmt.Errorf("reading holidays: %w", err)
	}
	if len(rows) == 0 {
		return holidayList{}, rpcerr.ForField(rpcerr.NotFound, "name", "there is no list %q", name)
	}
	return holidayListOf(rows[0]), nil
}

// listHolidays gives up to n lists behind a name.
func (b *billing) listHolidays(ctx context.Context, after string, n int32) ([]holidayList, error) {
	rows, err := newStore(b.pool).q.ListHolidays(ctx, billingdb.ListHolidaysParams{AfterName: after, N: n})
	if err != nil {
		return nil, fmt.Errorf("listing holidays: %w", err)
	}
	all := make([]holidayList, len(rows))
	for i, r := range rows {
		all[i] = holidayListOf(r)
	}
	return all, nil
}

func holidayListOf(row billingdb.HolidayList) holidayList {
	list := holidayList{Name: row.Name, SetBy: row.SetBy, UpdatedAt: row.UpdatedAt}
	for _, d := range row.Dates {
		list.Dates = append(list.Dates, dateFrom(d))
	}
	return list
}
