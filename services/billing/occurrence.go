package billing

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/calendar"
	"github.com/tieout/tieout/services/billing/paymentfile"
)

type occurrenceState int16

const (
	occurrenceRun     occurrenceState = 1
	occurrenceSkipped occurrenceState = 2
	occurrenceMissed  occurrenceState = 3
	occurrenceQueued  occurrenceState = 4
)

// String gives the state as people say it.
func (s occurrenceState) String() string {
	return map[occurrenceState]string{
		occurrenceRun: "run", occurrenceSkipped: "skipped", occurrenceMissed: "missed", occurrenceQueued: "queued",
	}[s]
}

// Why an occurrence is not run, besides what the calendar says.
const (
	skipPaused        calendar.Skip = "paused"
	skipEnded         calendar.Skip = "ended"
	skipNoBusinessDay calendar.Skip = "no_business_day"
)

// occurrence is what was decided on a date of a schedule.
type occurrence struct {
	schedule    *schedule
	date        calendar.Date
	state       occurrenceState
	why         calendar.Skip
	dueAt       time.Time
	decidedAt   time.Time
	triggeredBy string
	batchID     BatchID
	line        int64
	itemState   itemState
}

// reference is the name of its item.
func (o *occurrence) reference() string { return o.schedule.id.String() + "/" + o.date.String() }

// round is what is decided on schedules whose rows are held, at one moment.
type round struct {
	billing  *billing
	tx       *pg.Tx
	st       store
	now      time.Time
	held     []*schedule
	holidays map[string]calendar.Dates
	taken    map[ScheduleID]calendar.Dates // dates behind decidedThrough that have their occurrence
	going    map[ScheduleID]int            // runs without an outcome
	queued   map[ScheduleID][]*occurrence  // what waits for them, by date

	decided []*occurrence
	events  []bus.Event
}

// newRound reads what has to be known to decide on schedules, whose rows are held.
func (b *billing) newRound(ctx context.Context, tx *pg.Tx, held ...*schedule) (*round, error) {
	r := &round{
		billing: b, tx: tx, st: newStore(tx), held: held, taken: map[ScheduleID]calendar.Dates{}, going: map[ScheduleID]int{},
		queued: map[ScheduleID][]*occurrence{},
	}
	var err error
	if r.now, err = r.st.now(ctx, b.clock()); err != nil {
		return nil, err
	}
	ids, byID, lists := make([]uuid.UUID, len(held)), map[ScheduleID]*schedule{}, map[string]bool{}
	for i, s := range held {
		ids[i], byID[s.id], lists[s.terms.When.HolidayList] = s.id.UUID(), s, true
		r.taken[s.id] = calendar.Dates{}
	}
	if r.holidays, err = r.st.holidays(ctx, slices.Collect(maps.Keys(lists))...); err != nil {
		return nil, err
	}
	decided, err := r.st.q.ListDecided(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading occurrences: %w", err)
	}
	for _, d := range decided {
		r.taken[ScheduleID(d.ScheduleID)][dateFrom(d.CivilDate)] = struct{}{}
	}
	going, err := r.st.q.CountGoing(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("looking for runs under way: %w", err)
	}
	for _, g := range going {
		r.going[ScheduleID(g.ID)] = int(g.Going)
	}
	queued, err := r.st.q.ListQueued(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading what waits: %w", err)
	}
	for _, q := range queued {
		s := byID[ScheduleID(q.ScheduleID)]
		r.queued[s.id] = append(r.queued[s.id], &occurrence{schedule: s, date: dateFrom(q.CivilDate), dueAt: q.DueAt, triggeredBy: q.TriggeredBy})
	}
	return r, nil
}

// decide decides on all of a schedule that is due, and finds what is next.
func (r *round) decide(s *schedule) error {
	r.startQueued(s)
	if s.state == scheduleEnded {
		return nil
	}
	cal, err := s.calendar(r.holidays[s.terms.When.HolidayList])
	if err != nil {
		return err
	}
	var due []calendar.Occurrence
	for o, err := range cal.Occurrences(s.decidedThrough.AddDays(1)) {
		if o.DueAt.After(r.now) {
			break
		}
		s.decidedThrough = o.Date
		if r.mayRun(s, o, err) {
			due = append(due, o)
		}
	}
	r.runDue(s, due)
	if s.look(cal, r.taken[s.id]) {
		r.events = append(r.events, eventScheduleEnded(s))
	}
	return nil
}

// mayRun says whether a date that has come may be run. Where it may not, it has its occurrence before, or has one now.
func (r *round) mayRun(s *schedule, o calendar.Occurrence, unrolled error) bool {
	switch {
	case r.taken[s.id].Has(o.Date):
	case s.state == schedulePaused:
		r.add(s, o, occurrenceSkipped, skipPaused)
	case unrolled != nil:
		r.add(s, o, occurrenceSkipped, skipNoBusinessDay)
	default:
		return true
	}
	return false
}

// runDue decides on what is due and may be run, as what was missed and what overlaps is to be dealt with.
func (r *round) runDue(s *schedule, due []calendar.Occurrence) {
	for _, v := range s.terms.misfire().Decide(due, r.now) {
		if v.Action == calendar.ActionSkip {
			r.add(s, v.Occurrence, occurrenceMissed, v.Skip)
			continue
		}
		r.run(s, v.Occurrence)
	}
}

// run has an occurrence run, as far as earlier ones let it.
func (r *round) run(s *schedule, o calendar.Occurrence) *occurrence {
	switch v := s.terms.Overlap.Decide(o, r.going[s.id]+len(r.queued[s.id])); v.Action {
	case calendar.ActionSkip:
		return r.add(s, o, occurrenceSkipped, v.Skip)
	case calendar.ActionWait:
		waits := r.add(s, o, occurrenceQueued, "")
		r.queued[s.id] = append(r.queued[s.id], waits)
		return waits
	default:
		r.going[s.id]++
		return r.add(s, o, occurrenceRun, "")
	}
}

func (r *round) add(s *schedule, o calendar.Occurrence, state occurrenceState, why calendar.Skip) *occurrence {
	added := &occurrence{schedule: s, date: o.Date, dueAt: o.DueAt, state: state, why: why}
	r.decided = append(r.decided, added)
	return added
}

// startQueued starts what waits, as far as what was ahead of it has ended. Of a paused schedule it goes on waiting.
func (r *round) startQueued(s *schedule) {
	for len(r.queued[s.id]) > 0 && s.state != schedulePaused {
		first := r.queued[s.id][0]
		switch v := s.terms.Overlap.Decide(calendar.Occurrence{Date: first.date, DueAt: first.dueAt}, r.going[s.id]); v.Action {
		case calendar.ActionWait:
			return
		case calendar.ActionSkip:
			first.state, first.why = occurrenceSkipped, v.Skip
		default:
			first.state = occurrenceRun
			r.going[s.id]++
		}
		r.queued[s.id] = r.queued[s.id][1:]
		r.decided = append(r.decided, first)
	}
}

// dropQueued skips what waits.
func (r *round) dropQueued(s *schedule, why calendar.Skip) {
	for _, o := range r.queued[s.id] {
		if o.state != occurrenceQueued { // that was decided in this round, and is among the others
			r.decided = append(r.decided, o)
		}
		o.state, o.why = occurrenceSkipped, why
	}
	delete(r.queued, s.id)
}

// write writes what was decided: the runs as batches, the occurrences, how far the schedules are, and the events.
func (r *round) write(ctx context.Context) error {
	slices.SortFunc(r.decided, func(a, b *occurrence) int {
		return cmp.Or(strings.Compare(a.schedule.id.String(), b.schedule.id.String()), a.date.Compare(b.date))
	})
	runs := map[string][]*occurrence{}
	for _, o := range r.decided {
		switch o.state {
		case occurrenceRun:
			group, err := o.schedule.terms.group()
			if err != nil {
				return err
			}
			runs[group] = append(runs[group], o)
		case occurrenceSkipped, occurrenceMissed:
			r.events = append(r.events, eventNotRun(o))
		}
	}
	for _, group := range slices.Sorted(maps.Keys(runs)) {
		if err := r.startBatch(ctx, runs[group]); err != nil {
			return err
		}
	}
	if err := r.st.putOccurrences(ctx, r.decided, r.now); err != nil {
		return err
	}
	if err := r.st.putStates(ctx, r.held, r.now); err != nil {
		return err
	}
	r.tx.AfterCommit(func() { r.billing.metrics.decidedOn(context.WithoutCancel(ctx), r.decided) })
	return r.billing.outbox.Write(ctx, r.tx, r.events...)
}

// schedulesActor is who starts the batches of what schedules have due.
const schedulesActor = "schedules"

// group names the batch of a round that runs of a schedule go into: a batch is charged at one account, and has one policy
// for what is declined.
func (t terms) group() (string, error) {
	_, dunning, err := t.stored()
	return t.Account + " " + string(dunning), err
}

// startBatch makes a batch of occurrences of one group, that runs from the start.
func (r *round) startBatch(ctx context.Context, runs []*occurrence) error {
	p := plan{id: id.New[batchKind](), items: int64(len(runs))}
	common := runs[0].schedule.terms
	h := header{Name: "schedules " + r.now.UTC().Format("2006-01-02T15:04Z"), Account: common.Account, Dunning: common.Dunning}
	if err := r.st.beginUpload(ctx, p.id, h, schedulesActor, originSchedules); err != nil {
		return err
	}
	items, sums, hash := make([]paymentfile.Payment, len(runs)), map[money.Currency]sum{}, sha256.New()
	for i, o := range runs {
		t := o.schedule.terms
		o.batchID, o.line = p.id, int64(i+1)
		items[i] = paymentfile.Payment{
			Line: i + 1, Reference: o.reference(), CustomerID: t.CustomerID, PaymentMethod: t.PaymentMethod, Amount: t.Amount,
			Description: t.Description, CardScheme: t.CardScheme,
		}
		hashItem(hash, o.line, o.reference(), t.CustomerID, t.PaymentMethod, t.Amount, t.Description)
		if err := into(sums, t.Amount); err != nil {
			return err
		}
	}
	p.hash = hash.Sum(nil)
	p.sums = byCurrency(sums)
	if _, _, err := r.st.insertItems(ctx, p.id, items); err != nil {
		return err
	}
	if err := r.st.insertSums(ctx, p.id, p.sums); err != nil {
		return err
	}
	if err := r.st.plan(ctx, p); err != nil {
		return err
	}
	if err := r.st.setState(ctx, &batch{id: p.id}, batchRunning, schedulesActor, ""); err != nil {
		return err
	}
	if err := r.st.insertAction(ctx, schedulesActor, "start", p.id.String(), "what schedules have due"); err != nil {
		return err
	}
	r.events = append(r.events, eventPlanned(p), eventStarted(p.id))
	r.tx.AfterCommit(func() { r.billing.changed(p.id) })
	return nil
}

// putOccurrences writes what was decided on occurrences of schedules whose rows are held.
func (s store) putOccurrences(ctx context.Context, decided []*occurrence, now time.Time) error {
	if len(decided) == 0 {
		return nil
	}
	p := billingdb.PutOccurrencesParams{DecidedAt: now}
	for _, o := range decided {
		p.ScheduleIds, p.CivilDates = append(p.ScheduleIds, o.schedule.id.UUID()), append(p.CivilDates, dateTo(o.date))
		p.States, p.Whys, p.DueAts = append(p.States, int16(o.state)), append(p.Whys, string(o.why)), append(p.DueAts, o.dueAt)
		p.TriggeredBys, p.BatchIds, p.Lines = append(p.TriggeredBys, o.triggeredBy), append(p.BatchIds, o.batchID.UUID()), append(p.Lines, o.line)
	}
	written, err := s.q.PutOccurrences(ctx, p)
	if err != nil {
		return fmt.Errorf("writing occurrences: %w", err)
	}
	if len(written) != len(decided) {
		return fmt.Errorf("writing occurrences: of %d that were decided on, %d had been before", len(decided), len(decided)-len(written))
	}
	return nil
}
