package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/calendar"
)

// dateTo makes a date a parameter; the zero date is NULL.
func dateTo(d calendar.Date) pgtype.Date {
	return pgtype.Date{Time: time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC), Valid: !d.IsZero()}
}

func dateFrom(d pgtype.Date) calendar.Date {
	if !d.Valid {
		return calendar.Date{}
	}
	return calendar.DateOf(d.Time)
}

// now is what time it is: what the database's clock says, which all replicas share, unless there is another one.
func (s store) now(ctx context.Context, clock *time.Time) (time.Time, error) {
	now, err := s.q.Now(ctx, clock)
	if err != nil {
		return now, fmt.Errorf("reading the clock: %w", err)
	}
	return now, nil
}

func (s store) lockSchedule(ctx context.Context, sid ScheduleID) (*schedule, error) {
	row, err := s.q.LockSchedule(ctx, sid.UUID())
	return oneSchedule(sid, billingdb.ClaimSchedulesRow(row), err)
}

func (s store) getSchedule(ctx context.Context, sid ScheduleID) (*schedule, error) {
	row, err := s.q.GetSchedule(ctx, sid.UUID())
	return oneSchedule(sid, billingdb.ClaimSchedulesRow(row), err)
}

func oneSchedule(sid ScheduleID, row billingdb.ClaimSchedulesRow, err error) (*schedule, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, noSchedule(sid)
	}
	if err != nil {
		return nil, fmt.Errorf("reading schedule: %w", err)
	}
	return scheduleOf(row)
}

func (s store) claimSchedules(ctx context.Context, ids []uuid.UUID) ([]*schedule, error) {
	rows, err := s.q.ClaimSchedules(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("claiming schedules: %w", err)
	}
	return schedulesOf(rows)
}

func schedulesOf(rows []billingdb.ClaimSchedulesRow) ([]*schedule, error) {
	all := make([]*schedule, len(rows))
	for i, row := range rows {
		var err error
		if all[i], err = scheduleOf(row); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func scheduleOf(row billingdb.ClaimSchedulesRow) (*schedule, error) {
	s := &schedule{
		id: ScheduleID(row.ID), state: scheduleState(row.State),
		terms: terms{
			CustomerID: row.CustomerID, PaymentMethod: row.PaymentMethod,
			Amount:      money.Amount{Currency: money.Currency(row.Currency), Minor: row.AmountMinor},
			Description: row.Description, CardScheme: row.CardScheme, Account: row.ProviderAccount,
			Missed: calendar.Missed(row.Missed), Grace: time.Duration(row.GraceSeconds) * time.Second, Overlap: calendar.Overlap(row.Overlap),
		},
		decidedThrough: dateFrom(row.DecidedThrough), nextDate: dateFrom(row.NextDate), nextDueAt: timeOf(row.NextDueAt),
		note: row.Note, createdBy: row.CreatedBy, createdAt: row.CreatedAt, updatedAt: row.UpdatedAt, pausedAt: timeOf(row.PausedAt),
		endedAt: timeOf(row.EndedAt),
	}
	err := json.Unmarshal(row.Rule, &s.terms.When)
	if err == nil && row.Dunning != nil {
		err = json.Unmarshal(row.Dunning, &s.terms.Dunning)
	}
	if err != nil {
		return nil, fmt.Errorf("decoding schedule %s: %w", s.id, err)
	}
	return s, nil
}

// stored are the parts of terms that are stored as they are; no dunning is NULL.
func (t terms) stored() (rule, dunning json.RawMessage, err error) {
	if rule, err = json.Marshal(t.When); err == nil && t.Dunning != nil {
		dunning, err = json.Marshal(t.Dunning)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("encoding terms: %w", err)
	}
	return rule, dunning, nil
}

func (s store) insertSchedule(ctx context.Context, made *schedule, now time.Time) error {
	t := made.terms
	rule, dunning, err := t.stored()
	if err != nil {
		return err
	}
	err = s.q.InsertSchedule(ctx, billingdb.InsertScheduleParams{
		ID: made.id.UUID(), CustomerID: t.CustomerID, PaymentMethod: t.PaymentMethod, Currency: string(t.Amount.Currency),
		AmountMinor: t.Amount.Minor, Description: t.Description, CardScheme: t.CardScheme, ProviderAccount: t.Account, Rule: rule, Dunning: dunning,
		HolidayList: t.When.HolidayList, Missed: string(t.Missed), GraceSeconds: int64(t.Grace / time.Second), Overlap: string(t.Overlap),
		DecidedThrough: dateTo(made.decidedThrough), NextDate: dateTo(made.nextDate), NextDueAt: &made.nextDueAt, CreatedBy: made.createdBy, Now: now,
	})
	if err != nil {
		return fmt.Errorf("writing schedule: %w", err)
	}
	return nil
}

func (s store) putTerms(ctx context.Context, changed *schedule, now time.Time) error {
	t := changed.terms
	rule, dunning, err := t.stored()
	if err != nil {
		return err
	}
	err = s.q.PutTerms(ctx, billingdb.PutTermsParams{
		ID: changed.id.UUID(), CustomerID: t.CustomerID, PaymentMethod: t.PaymentMethod, Currency: string(t.Amount.Currency),
		AmountMinor: t.Amount.Minor, Description: t.Description, CardScheme: t.CardScheme, ProviderAccount: t.Account, Rule: rule, Dunning: dunning,
		HolidayList: t.When.HolidayList, Missed: string(t.Missed), GraceSeconds: int64(t.Grace / time.Second), Overlap: string(t.Overlap), Now: now,
	})
	if err != nil {
		return fmt.Errorf("writing terms: %w", err)
	}
	return nil
}

// putStates writes how far schedules are, whose rows are held.
func (s store) putStates(ctx context.Context, schedules []*schedule, now time.Time) error {
	if len(schedules) == 0 {
		return nil
	}
	p := billingdb.PutScheduleStatesParams{Now: now}
	for _, c := range schedules {
		p.Ids, p.States, p.Notes = append(p.Ids, c.id.UUID()), append(p.States, int16(c.state)), append(p.Notes, c.note)
		p.DecidedThrough, p.NextDates = append(p.DecidedThrough, dateTo(c.decidedThrough)), append(p.NextDates, dateTo(c.nextDate))
		p.NextDueAts = append(p.NextDueAts, c.nextDueAt)
	}
	if err := s.q.PutScheduleStates(ctx, p); err != nil {
		return fmt.Errorf("writing schedules: %w", err)
	}
	return nil
}

// taken gives the dates of a schedule that have their occurrence, behind one.
func (s store) taken(ctx context.Context, sid ScheduleID, after calendar.Date) (calendar.Dates, error) {
	rows, err := s.q.ListOccurrencesFrom(ctx, billingdb.ListOccurrencesFromParams{ScheduleID: sid.UUID(), After: dateTo(after)})
	if err != nil {
		return nil, fmt.Errorf("reading occurrences: %w", err)
	}
	taken := calendar.Dates{}
	for _, d := range rows {
		taken[dateFrom(d)] = struct{}{}
	}
	return taken, nil
}

// holidays gives the dates of lists, by name.
func (s store) holidays(ctx context.Context, names ...string) (map[string]calendar.Dates, error) {
	rows, err := s.q.GetHolidays(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("reading holidays: %w", err)
	}
	lists := map[string]calendar.Dates{}
	for _, r := range rows {
		list := calendar.Dates{}
		for _, d := range r.Dates {
			list[dateFrom(d)] = struct{}{}
		}
		lists[r.Name] = list
	}
	return lists, nil
}
