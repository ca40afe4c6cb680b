package billing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/calendar"
	"github.com/tieout/tieout/services/billing/dunning"
)

const (
	// dunEvery is how often is looked for items whose time to be tried again has come.
	dunEvery = 10 * time.Second
	// dunPiece is how many items of a batch are tried again together.
	dunPiece = 500
)

// policy is how declined items of a batch are tried again by themselves, as it was uploaded.
type policy struct {
	Delays       []int              `json:"delays"`
	LastDay      int                `json:"last_day"`
	Zone         string             `json:"zone"`
	From         calendar.TimeOfDay `json:"from"`
	To           calendar.TimeOfDay `json:"to"`
	BusinessDays bool               `json:"business_days,omitempty"`
}

// dunning is the policy for the pure package. It does not check it.
func (p policy) dunning() dunning.Policy {
	return dunning.Policy{Delays: p.Delays, UnknownRetries: 1, LastDay: p.LastDay, From: p.From, To: p.To}
}

// policyFields are the names that the contract has for what may be wrong with a policy.
var policyFields = map[string]string{
	"delays": "delay_days", "last_day": "give_up_after_days", "from": "earliest_time", "to": "latest_time",
}

// check refuses a policy that nobody can follow; path is where it stands in the request.
func (p policy) check(path string) error {
	if _, err := time.LoadLocation(p.Zone); err != nil || p.Zone == "Local" { // the machine's own
		return rpcerr.ForField(rpcerr.RequestInvalid, path+"time_zone", "%q is no IANA time zone", p.Zone)
	}
	invalid, ok := errors.AsType[calendar.Invalid](p.dunning().Validate())
	if !ok {
		return nil
	}
	var fields []rpcerr.Field
	for _, v := range invalid {
		fields = append(fields, rpcerr.Field{Path: path + policyFields[v.Field], Description: v.Problem})
	}
	return rpcerr.ForFields(rpcerr.RequestInvalid, fields...)
}

// workdays are the days on which items are tried again.
func (p policy) workdays() calendar.Workdays {
	if !p.BusinessDays {
		return calendar.Workdays{}
	}
	return calendar.Workdays{Weekend: calendar.NewWeekdays(time.Saturday, time.Sunday)}
}

// dunned is a failed item on which it is decided, and what was decided.
type dunned struct {
	billingdb.ListDunnedRow
	decision dunning.Decision
}

// decline is an attempt that a provider has declined.
type decline struct {
	batchID uuid.UUID
	line    int64
	attempt int32
	method  string
	code    string
}

// dun writes down declines, whose batches are held, and decides of each item whether and when it is tried again, where
// its batch has a policy. It gives the events of those that are not.
func (b *billing) dun(ctx context.Context, st store, declines []decline) ([]bus.Event, error) {
	if len(declines) == 0 {
		return nil, nil
	}
	var p billingdb.InsertDeclinesParams
	lines := map[BatchID][]int64{}
	for _, d := range declines {
		p.BatchIds, p.Lines, p.Attempts = append(p.BatchIds, d.batchID), append(p.Lines, d.line), append(p.Attempts, d.attempt)
		p.PaymentMethods, p.Codes = append(p.PaymentMethods, d.method), append(p.Codes, d.code)
		lines[BatchID(d.batchID)] = append(lines[BatchID(d.batchID)], d.line)
	}
	if err := st.q.InsertDeclines(ctx, p); err != nil {
		return nil, fmt.Errorf("writing declines: %w", err)
	}
	var events []bus.Event
	for bid, of := range lines {
		held, err := st.batch(ctx, bid)
		if err != nil {
			return nil, err
		}
		if held.header.Dunning == nil || !held.cancelledAt.IsZero() {
			continue
		}
		decided, err := st.decide(ctx, *held.header.Dunning, bid, of, time.Now())
		if err != nil {
			return nil, err
		}
		ended, err := st.schedule(ctx, bid, decided, 0)
		if err != nil {
			return nil, err
		}
		events = append(events, ended...)
	}
	return events, nil
}

// decide decides on failed items of a batch, by line, as of now. Items that are not failed, or were never declined, are
// left out.
func (s store) decide(ctx context.Context, p policy, bid BatchID, lines []int64, now time.Time) ([]dunned, error) {
	ids := slices.Repeat([]uuid.UUID{bid.UUID()}, len(lines))
	rows, err := s.q.ListDunned(ctx, billingdb.ListDunnedParams{BatchIds: ids, Lines: lines})
	if err != nil {
		return nil, fmt.Errorf("reading declines: %w", err)
	}
	var methods []string
	for _, r := range rows {
		methods = append(methods, r.PaymentMethod)
	}
	slices.Sort(methods)
	declines, err := s.q.ListDeclines(ctx, billingdb.ListDeclinesParams{
		PaymentMethods: slices.Compact(methods), Since: now.Add(-dunning.AttemptsWithin), N: dunning.MaxAttempts,
	})
	if err != nil {
		return nil, fmt.Errorf("reading declines: %w", err)
	}
	attempts := map[string][]time.Time{}
	for _, d := range declines {
		attempts[d.PaymentMethod] = append(attempts[d.PaymentMethod], d.DeclinedAt)
	}
	zone, err := time.LoadLocation(p.Zone)
	if err != nil {
		return nil, fmt.Errorf("loading time zone: %w", err)
	}
	decided := make([]dunned, len(rows))
	for i, r := range rows {
		history := dunning.History{
			Scheme: dunning.ParseScheme(r.CardScheme), Attempts: attempts[r.PaymentMethod], Zone: zone, Workdays: p.workdays(),
		}
		for n, at := range r.DeclinedAts {
			history.Declines = append(history.Declines, dunning.Decline{At: at, Code: r.Codes[n]})
		}
		decided[i].ListDunnedRow = r
		if decided[i].decision, err = p.dunning().Decide(history, now); err != nil {
			return nil, fmt.Errorf("deciding on line %d of batch %s: %w", r.Line, bid, err)
		}
	}
	return decided, nil
}

// schedule writes when items of a batch are tried again, of which so many waited for it before. It gives the events of
// those that are not.
func (s store) schedule(ctx context.Context, bid BatchID, decided []dunned, waited int64) ([]bus.Event, error) {
	var p billingdb.SetRetriesParams
	var events []bus.Event
	waiting := int64(0)
	for _, d := range decided {
		p.BatchIds, p.Lines, p.Ats = append(p.BatchIds, d.BatchID), append(p.Lines, d.Line), append(p.Ats, d.decision.RetryAt.UTC())
		if d.decision.GiveUp == "" {
			waiting++
			continue
		}
		events = append(events, eventDunningEnded(bid, d.Reference, d.CustomerID, d.Attempt, string(d.decision.GiveUp)))
	}
	if err := s.q.SetRetries(ctx, p); err != nil {
		return nil, fmt.Errorf("writing retries: %w", err)
	}
	err := s.q.AddRetrying(ctx, billingdb.AddRetryingParams{Ids: []uuid.UUID{bid.UUID()}, Ns: []int64{waiting - waited}})
	if err != nil {
		return nil, fmt.Errorf("counting retries: %w", err)
	}
	return events, nil
}

// dunOnce tries the items of one batch again whose time has come. It is decided anew first: other payments with the same
// card may have been declined since.
func (b *billing) dunOnce(ctx context.Context) (again bool, err error) {
	due, err := newStore(b.pool).q.ListDueRetries(ctx, dunPiece)
	if err != nil {
		return false, fmt.Errorf("looking for items to be tried again: %w", err)
	}
	if len(due) == 0 {
		return false, nil
	}
	bid, lines := BatchID(due[0].BatchID), make([]int64, len(due))
	for i, d := range due {
		lines[i] = d.Line
	}
	err = pg.InTx(ctx, b.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		held, err := st.lock(ctx, bid)
		if err != nil {
			return err
		}
		events, err := b.tryAgain(ctx, st, held, lines)
		if err != nil {
			return err
		}
		tx.AfterCommit(func() { b.changed(bid) })
		return b.outbox.Write(ctx, tx, events...)
	})
	return true, err
}

// tryAgain reopens those items of a held batch that wait to be tried again and still may be.
func (b *billing) tryAgain(ctx context.Context, st store, held *batch, lines []int64) ([]bus.Event, error) {
	now := time.Now()
	lines, err := st.q.LockWaiting(ctx, billingdb.LockWaitingParams{BatchID: held.id.UUID(), Lines: lines})
	if err != nil || len(lines) == 0 {
		return nil, err // somebody else was faster
	}
	decided, err := st.decide(ctx, *held.header.Dunning, held.id, lines, now)
	if err != nil {
		return nil, err
	}
	var open []int64
	later := decided[:0:0]
	for _, d := range decided {
		if d.decision.GiveUp == "" && !d.decision.RetryAt.After(now) {
			open = append(open, d.Line)
		} else {
			later = append(later, d)
		}
	}
	events, err := st.schedule(ctx, held.id, later, int64(len(later)))
	if err != nil || len(open) == 0 {
		return events, err
	}
	slices.Sort(open)
	return append(events, eventResumed(held.id)), st.reopen(ctx, held.id, open, int64(len(open)))
}

// stopRetries has no item of a held batch tried again by itself any more.
func (s store) stopRetries(ctx context.Context, bid BatchID) ([]bus.Event, error) {
	rows, err := s.q.StopRetries(ctx, bid.UUID())
	if err != nil {
		return nil, fmt.Errorf("stopping retries: %w", err)
	}
	var events []bus.Event
	for _, r := range rows {
		events = append(events, eventDunningEnded(bid, r.Reference, r.CustomerID, r.Attempt, "batch_cancelled"))
	}
	err = s.q.AddRetrying(ctx, billingdb.AddRetryingParams{Ids: []uuid.UUID{bid.UUID()}, Ns: []int64{-int64(len(rows))}})
	if err != nil {
		return nil, fmt.Errorf("counting retries: %w", err)
	}
	return events, nil
}
