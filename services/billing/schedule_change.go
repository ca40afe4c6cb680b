package billing

import (
	"context"
	"fmt"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/calendar"
)

const (
	methodCreateSchedule  = "CreateSchedule"
	methodUpdateSchedule  = "UpdateSchedule"
	methodPauseSchedule   = "PauseSchedule"
	methodResumeSchedule  = "ResumeSchedule"
	methodEndSchedule     = "EndSchedule"
	methodTriggerSchedule = "TriggerSchedule"
)

// createSchedule makes a schedule.
func (b *billing) createSchedule(ctx context.Context, from request, t terms) (*schedule, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	fields, err := t.fields()
	if err != nil {
		return nil, err
	}
	sid, err := idem.Once(ctx, b.pool, from.idem(methodCreateSchedule, b.keyTTL, fields...), func(ctx context.Context, tx *pg.Tx) (ScheduleID, string, error) {
		st := newStore(tx)
		made := &schedule{id: id.New[scheduleKind](), state: scheduleActive, terms: t, createdBy: from.caller}
		now, err := st.now(ctx, b.clock())
		if err != nil {
			return made.id, "", err
		}
		cal, err := st.calendarToCome(ctx, made)
		if err != nil {
			return made.id, "", err
		}
		made.begin(cal, now)
		if made.look(cal, nil) {
			return made.id, "", nothingToCome()
		}
		if err := st.insertSchedule(ctx, made, now); err != nil {
			return made.id, "", err
		}
		if err := st.insertAction(ctx, from.caller, "create", made.id.String(), ""); err != nil {
			return made.id, "", err
		}
		return made.id, made.id.String(), b.outbox.Write(ctx, tx, eventScheduleCreated(made))
	})
	if err != nil {
		return nil, err
	}
	return newStore(b.pool).getSchedule(ctx, sid)
}

func nothingToCome() error {
	return rpcerr.ForField(rpcerr.RequestInvalid, "terms.calendar.rule", "has no date that is due from now on")
}

// calendarToCome is the calendar that a schedule goes by from now on. Its holidays stay as they are to the end of the
// transaction. A list that there is not is refused.
func (s store) calendarToCome(ctx context.Context, of *schedule) (calendar.Schedule, error) {
	name := of.terms.When.HolidayList
	if err := s.q.HoldHolidays(ctx, name); err != nil {
		return calendar.Schedule{}, fmt.Errorf("holding holidays: %w", err)
	}
	lists, err := s.holidays(ctx, name)
	if err != nil {
		return calendar.Schedule{}, err
	}
	if lists[name] == nil && name != "" {
		return calendar.Schedule{}, rpcerr.ForField(rpcerr.RequestInvalid, "terms.calendar.holiday_list", "there is no list %q", name)
	}
	return of.calendar(lists[name])
}

// scheduleCommand is what a person wants done to a schedule.
type scheduleCommand struct {
	request
	scheduleID ScheduleID
	note       string
	terms      *terms // of an update
}

func (c scheduleCommand) idem(method string, b *billing) (idem.Request, error) {
	fields := []idem.Field{{Name: "schedule_id", Value: c.scheduleID.String()}, {Name: "note", Value: c.note}}
	if c.terms != nil {
		said, err := c.terms.fields()
		if err != nil {
			return idem.Request{}, err
		}
		fields = append(fields, said...)
	}
	return c.request.idem(method, b.keyTTL, fields...), nil
}

// changeSchedule does something to a schedule whose row it holds, with an audit row. What was due before is decided on
// before it, by what held until then.
func (b *billing) changeSchedule(ctx context.Context, c scheduleCommand, method, verb string,
	do func(context.Context, *round, *schedule) ([]bus.Event, error),
) (*schedule, error) {
	request, err := c.idem(method, b)
	if err != nil {
		return nil, err
	}
	_, err = idem.Once(ctx, b.pool, request, func(ctx context.Context, tx *pg.Tx) (ScheduleID, string, error) {
		st := newStore(tx)
		if c.terms != nil { // before the schedule's own row, as whoever changes a list does it
			if err := st.q.HoldHolidays(ctx, c.terms.When.HolidayList); err != nil {
				return c.scheduleID, "", fmt.Errorf("holding holidays: %w", err)
			}
		}
		held, err := st.lockSchedule(ctx, c.scheduleID)
		if err != nil {
			return c.scheduleID, "", err
		}
		r, err := b.newRound(ctx, tx, held)
		if err != nil {
			return c.scheduleID, "", err
		}
		if err := r.decide(held); err != nil {
			return c.scheduleID, "", err
		}
		events, err := do(ctx, r, held)
		if err != nil {
			return c.scheduleID, "", err
		}
		r.events = append(r.events, events...)
		if err := r.write(ctx); err != nil {
			return c.scheduleID, "", err
		}
		if err := st.q.Touch(ctx, billingdb.TouchParams{ID: c.scheduleID.UUID(), Now: r.now}); err != nil {
			return c.scheduleID, "", fmt.Errorf("writing schedule: %w", err)
		}
		return c.scheduleID, c.scheduleID.String(), st.insertAction(ctx, c.caller, verb, c.scheduleID.String(), c.note)
	})
	if err != nil {
		return nil, err
	}
	return newStore(b.pool).getSchedule(ctx, c.scheduleID)
}

// updateSchedule says all terms of a schedule anew.
func (b *billing) updateSchedule(ctx context.Context, c scheduleCommand) (*schedule, error) {
	if err := c.terms.check(); err != nil {
		return nil, err
	}
	return b.changeSchedule(ctx, c, methodUpdateSchedule, "update", func(ctx context.Context, r *round, held *schedule) ([]bus.Event, error) {
		if held.state == scheduleEnded {
			return nil, held.refuse("changed")
		}
		// What was decided just now goes by the terms from before: occurrences have a copy of them.
		before := *held
		for _, o := range r.decided {
			o.schedule = &before
		}
		held.terms = *c.terms
		if err := r.goBy(ctx, held, before); err != nil {
			return nil, err
		}
		return []bus.Event{eventScheduleUpdated(held)}, r.st.putTerms(ctx, held, r.now)
	})
}

// goBy has a schedule go by other terms than before. A date that both name, that had not come by those from before and
// has by these, is due now: it is neither lost nor made up for twice.
func (r *round) goBy(ctx context.Context, held *schedule, before schedule) error {
	old, err := before.calendar(r.holidays[before.terms.When.HolidayList])
	if err != nil {
		return err
	}
	cal, err := r.st.calendarToCome(ctx, held)
	if err != nil {
		return err
	}
	held.begin(cal, r.now)
	var due []calendar.Occurrence
	for o, err := range cal.Occurrences(before.decidedThrough.AddDays(1)) {
		if o.Date.After(held.decidedThrough) {
			break
		}
		if was, _, _ := old.Next(o.Date); was.Date == o.Date && r.mayRun(held, o, err) {
			due = append(due, o)
		}
	}
	r.runDue(held, due)
	taken, err := r.st.taken(ctx, held.id, held.decidedThrough)
	if err != nil {
		return err
	}
	for _, o := range r.decided {
		taken[o.date] = struct{}{}
	}
	if held.look(cal, taken) {
		return nothingToCome()
	}
	return nil
}

// pauseSchedule starts nothing more of a schedule until it is resumed.
func (b *billing) pauseSchedule(ctx context.Context, c scheduleCommand) (*schedule, error) {
	return b.changeSchedule(ctx, c, methodPauseSchedule, "pause", func(_ context.Context, _ *round, held *schedule) ([]bus.Event, error) {
		if held.state != scheduleActive {
			return nil, held.refuse("paused")
		}
		held.state, held.note = schedulePaused, c.caller+": "+c.note
		return []bus.Event{eventSchedulePaused(held)}, nil
	})
}

// resumeSchedule goes on, from what is due next.
func (b *billing) resumeSchedule(ctx context.Context, c scheduleCommand) (*schedule, error) {
	return b.changeSchedule(ctx, c, methodResumeSchedule, "resume", func(_ context.Context, _ *round, held *schedule) ([]bus.Event, error) {
		if held.state != schedulePaused {
			return nil, held.refuse("resumed")
		}
		held.state, held.note = scheduleActive, ""
		return []bus.Event{eventScheduleResumed(held)}, nil
	})
}

// endSchedule ends a schedule for ever.
func (b *billing) endSchedule(ctx context.Context, c scheduleCommand) (*schedule, error) {
	return b.changeSchedule(ctx, c, methodEndSchedule, "end", func(_ context.Context, r *round, held *schedule) ([]bus.Event, error) {
		if held.state == scheduleEnded {
			return nil, held.refuse("ended")
		}
		held.end(c.caller + ": " + c.note)
		r.dropQueued(held, skipEnded)
		return []bus.Event{eventScheduleEnded(held)}, nil
	})
}

// triggerSchedule has an occurrence dated today run at once.
func (b *billing) triggerSchedule(ctx context.Context, c scheduleCommand) (*occurrence, error) {
	request, err := c.idem(methodTriggerSchedule, b)
	if err != nil {
		return nil, err
	}
	today, err := idem.Once(ctx, b.pool, request, func(ctx context.Context, tx *pg.Tx) (calendar.Date, string, error) {
		st := newStore(tx)
		held, err := st.lockSchedule(ctx, c.scheduleID)
		if err != nil {
			return calendar.Date{}, "", err
		}
		r, err := b.newRound(ctx, tx, held)
		if err != nil {
			return calendar.Date{}, "", err
		}
		if err := r.decide(held); err != nil {
			return calendar.Date{}, "", err
		}
		triggered, err := r.trigger(ctx, held, c.caller)
		if err != nil {
			return calendar.Date{}, "", err
		}
		if err := r.write(ctx); err != nil {
			return triggered.date, "", err
		}
		return triggered.date, triggered.reference(), st.insertAction(ctx, c.caller, "trigger", c.scheduleID.String(), triggered.date.String()+": "+c.note)
	})
	if err != nil {
		return nil, err
	}
	return newStore(b.pool).occurrence(ctx, c.scheduleID, today)
}

// trigger adds the occurrence of today, and refuses where there is one.
func (r *round) trigger(ctx context.Context, s *schedule, by string) (*occurrence, error) {
	if s.state != scheduleActive {
		return nil, s.refuse("triggered")
	}
	cal, err := s.calendar(r.holidays[s.terms.When.HolidayList])
	if err != nil {
		return nil, err
	}
	today := calendar.DateOf(r.now.In(cal.Spec().Zone))
	taken, err := r.st.taken(ctx, s.id, today.AddDays(-1))
	if err != nil {
		return nil, err
	}
	for _, o := range r.decided {
		taken[o.date] = struct{}{}
	}
	if taken.Has(today) {
		e := rpcerr.New(rpcerr.OccurrenceExists, "the occurrence of %s is there already: %s/%s", today, s.id, today)
		e.Resource = s.id.String() + "/" + today.String()
		return nil, e
	}
	triggered := r.run(s, calendar.Occurrence{Date: today, DueAt: r.now})
	if triggered.triggeredBy = by; triggered.state == occurrenceSkipped {
		e := rpcerr.New(rpcerr.ScheduleStateRefused, "an earlier run of schedule %s is still going, and it is to skip what overlaps", s.id)
		e.Resource = s.id.String()
		return nil, e
	}
	r.taken[s.id][today] = struct{}{}
	if s.look(cal, r.taken[s.id]) {
		r.events = append(r.events, eventScheduleEnded(s))
	}
	return triggered, nil
}
