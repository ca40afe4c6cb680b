package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/payment/provider"
)

// edit is what was learnt of an operation, to be written if it still is as it was seen.
type edit struct {
	seen    operation
	finding finding
	said    provider.Outcome
	by      evidence
	call    *call // nil when the provider was not spoken to

	traceparent string // of what caused the work that it comes from
	sagaID      string // that the work is for; empty for none
}

// evidence is who found out what became of an operation.
type evidence string

const (
	byRequest  evidence = "request"
	byResolver evidence = "resolver"
	byWebhook  evidence = "webhook"
	byInquiry  evidence = "inquiry"
	// byStatement is a statement of the provider, where it says no more when it is asked.
	byStatement evidence = "statement"
)

// editOf is what the work that ctx belongs to has learnt of an operation.
func editOf(ctx context.Context, seen operation, f finding) edit {
	e := edit{seen: seen, finding: f, by: byRequest}
	e.traceparent, e.sagaID = telemetry.OriginOf(ctx), telemetry.SagaIn(ctx)
	return e
}

// told is an edit with what the provider was asked, and what it said.
func (e edit) told(ask string, at time.Time, said provider.Outcome) edit {
	c := call{At: at.UTC(), Ask: ask, Outcome: said.Kind.String(), Detail: said.Reason}
	if said.Err != nil {
		c.Detail = said.Err.Error()
	}
	c.Detail = c.Detail[:min(len(c.Detail), maxDetail)]
	e.said, e.call = said, &c
	return e
}

// agrees tells whether an operation has turned out as the edit says, by somebody else's finding.
func (e edit) agrees(with operation) bool {
	return e.finding == happened && with.State == opDone || e.finding == refusedIt && with.State == opDeclined
}

// settles tells whether the edit says what became of an operation, though somebody else has found out meanwhile that he
// does not know: it was not sent once more since.
func (e edit) settles(o operation) bool {
	return e.finding.definite() && o.State.open() && o.Seq == e.seen.Seq && o.Sends == e.seen.Sends
}

// ending is how the work on a request ends.
type ending struct {
	idem.Ending
	// edit is what was learnt; nil for nothing, and then payment is the answer.
	edit    *edit
	payment *payment // nil when there is none
	// refusal is what the request is refused with.
	refusal error
}

// Trace is the trace context that the write of it is part of.
func (e ending) Trace() string {
	if e.edit == nil {
		return ""
	}
	return e.edit.traceparent
}

// err is what the request is answered, when nothing comes in between.
func (e ending) err() error {
	if e.GiveBack != nil {
		return e.GiveBack
	}
	return e.refusal
}

// conclude writes how the work on requests ends.
func (s *payments) conclude(ctx context.Context, endings []ending) []groupcommit.Result[*payment] {
	results := s.outcomes.DoAll(ctx, endings)
	for i := range results {
		results[i].Err = superseded(results[i].Err)
	}
	return results
}

// end writes endings in one transaction. What was changed by another request in between stays as that one left it,
// and its claim is given back.
func (s *payments) end(ctx context.Context, tx *pg.Tx, batch []ending) ([]groupcommit.Result[*payment], error) {
	endings := make([]idem.Ending, len(batch))
	for i, e := range batch {
		endings[i] = e.Ending
	}
	return idem.EndAll(ctx, tx, endings, func(ctx context.Context, tx *pg.Tx, held []int) ([]idem.Outcome[*payment], error) {
		outcomes := make([]idem.Outcome[*payment], len(held))
		var edits []edit
		var edited []int // the outcome of each
		for n, i := range held {
			outcomes[n] = idem.Outcome[*payment]{Answer: batch[i].payment, Err: batch[i].refusal}
			if batch[i].edit != nil {
				edits, edited = append(edits, *batch[i].edit), append(edited, n)
			}
		}
		written, err := s.record(ctx, tx, edits)
		if err != nil {
			return nil, err
		}
		for k, n := range edited {
			outcomes[n].Answer = written[k]
			if written[k] == nil && batch[held[n]].GiveBack == nil { // what is given back knew nothing anyway
				outcomes[n].Err = errChanged
			}
		}
		return outcomes, nil
	})
}

// record writes what was learnt, and later journals and events, one statement a table. It gives what the payments are now,
// and nil for those whose operation is not as it was seen any more.
func (s *payments) record(ctx context.Context, tx *pg.Tx, edits []edit) ([]*payment, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	ids := make([]PaymentID, len(edits))
	for i, e := range edits {
		ids[i] = e.seen.Payment
	}
	st := newLater(tx)
	held, err := st.lock(ctx, ids)
	if err != nil {
		return nil, err
	}
	r := recording{lease: s.lease(), now: map[PaymentID]*payment{}}
	written := make([]*payment, len(edits))
	for i, e := range edits {
		p, there := r.now[e.seen.Payment]
		if !there {
			was := held[e.seen.Payment]
			p = &was
		}
		if written[i], err = r.take(*p, e); err != nil {
			return nil, err
		}
	}
	if err := st.update(ctx, r.changed); err != nil {
		return nil, err
	}
	if err := st.post(ctx, r.bookings); err != nil {
		return nil, err
	}
	s.countBooked(ctx, tx, r.bookings)
	return written, s.outbox.Write(ctx, tx, r.events()...)
}

// recording gathers what a transaction writes.
type recording struct {
	lease    time.Duration          // of a request
	now      map[PaymentID]*payment // those that were changed
	changed  []*payment
	bookings []booking
	learnt   []learning
}

// learning is what was learnt of a payment: what happened to it, and how it was before and is after.
type learning struct {
	by           change
	edit         edit
	was, becomes payment
	written      *payment // as it is in the end, with its time
}

// events tell of what was learnt. They say when it was booked, which is known when it is written.
func (r *recording) events() []bus.Event {
	var all []bus.Event
	for _, l := range r.learnt {
		l.becomes.UpdatedAt = l.written.UpdatedAt
		events := eventsOf(l.by, l.edit, l.was, l.becomes)
		for i := range events {
			events[i].Traceparent, events[i].SagaID = l.edit.traceparent, l.edit.sagaID
		}
		all = append(all, events...)
	}
	return all
}

// take takes in one edit, and gives the payment after it; nil when its operation is not as it was seen, so that the edit
// may not hold any more.
func (r *recording) take(p payment, e edit) (*payment, error) {
	if p.Last.Seq != e.seen.Seq || p.Last.State != e.seen.State || p.Last.Sends != e.seen.Sends {
		if p.Last.Seq == e.seen.Seq && e.agrees(p.Last) {
			return &p, nil
		}
		if !e.settles(p.Last) {
			return nil, nil
		}
	}
	becomes, by, err := p.learn(e.finding, e.said)
	if err != nil {
		return nil, err
	}
	if e.call != nil {
		becomes.Last = becomes.Last.noted(*e.call)
	}
	if e.by == byResolver {
		becomes.Last.Looks++
	}
	becomes.Last.lookIn = r.lookIn(e, becomes.Last)
	if book := bookingOf[by]; book != nil {
		b, err := book(becomes)
		if err != nil {
			return nil, fmt.Errorf("making journal: %w", err)
		}
		r.bookings = append(r.bookings, b)
	}
	written := r.put(becomes)
	r.learnt = append(r.learnt, learning{by, e, p, becomes, written})
	return written, nil
}

// put takes in what a payment becomes; of two changes of one, the last is written.
func (r *recording) put(p payment) *payment {
	if there, ok := r.now[p.ID]; ok {
		*there = p
		return there
	}
	r.now[p.ID] = &p
	r.changed = append(r.changed, &p)
	return &p
}

// lookIn is when the resolver asks about an operation that stays open: at first not before the request itself must be
// through with it.
func (r *recording) lookIn(e edit, o operation) time.Duration {
	switch {
	case e.finding == sent:
		return r.lease
	case o.State.open():
		return waitToLook(o.Looks)
	}
	return 0
}

// bookingOf is what changes mean in the ledger; the others move no money.
var bookingOf = map[change]func(payment) (booking, error){
	changeCapture:    bookCapture,
	changeRefundPart: bookRefund,
	changeRefundAll:  bookRefund,
}
