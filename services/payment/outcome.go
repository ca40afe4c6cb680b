package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/payment/provider"
)

// edit is what a payment becomes, if it still is as it was seen.
type edit struct {
	seen, becomes payment
	by            change // empty when only the time of sending changes, which nobody is told of

	traceparent, tracestate string // of the work that it comes from
}

// editOf is a change of a payment by the work that ctx belongs to.
func editOf(ctx context.Context, seen, becomes payment, by change) *edit {
	e := &edit{seen: seen, becomes: becomes, by: by}
	e.traceparent, e.tracestate = bus.TraceContext(ctx)
	return e
}

// answered is the edit for what the provider said about a charge: Succeeded, Declined or MethodUnknown.
func answered(ctx context.Context, seen payment, said provider.Outcome) *edit {
	becomes := seen
	becomes.ChargeID = said.ID
	if said.Kind == provider.Succeeded {
		return editOf(ctx, seen, becomes, changeCapture)
	}
	becomes.DeclineReason = said.Reason
	return editOf(ctx, seen, becomes, changeDecline)
}

// ending is how the work on a request ends.
type ending struct {
	idem.Ending
	// edit is what becomes of the payment; nil when it stays as it is, and then payment is the answer.
	edit    *edit
	payment *payment // nil when there is none
	// refusal is what the provider's no means to the caller.
	refusal error
}

// err is what the request is answered, when nothing comes in between.
func (e ending) err() error {
	if e.GiveBack != nil {
		return e.GiveBack
	}
	return e.refusal
}

// inDoubt ends a request whose charge may or may not have happened: PAYMENT_OUTCOME_UNKNOWN.
func (s *payments) inDoubt(ctx context.Context, claim *idem.Claim, seen payment, why error) ending {
	retryAfter := askAgain
	if errors.Is(why, errTooYoung) {
		retryAfter = seen.untilSettled(s.provider.Capabilities())
	}
	s.log.WarnContext(ctx, "payment is in doubt", slog.String("payment_id", seen.ID.String()), slog.Any("error", why))
	end := ending{Ending: idem.Ending{Claim: claim, GiveBack: outcomeUnknown(retryAfter)}}
	if seen.State == capturing { // else the world was told
		end.edit = editOf(ctx, seen, seen, changeLose)
	}
	return end
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
// and its claim ends with its lease.
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
			if outcomes[n].Answer = written[k]; written[k] == nil {
				outcomes[n].Err = errChanged
			}
		}
		return outcomes, nil
	})
}

// record changes payments as seen, with their journals and events, one statement a table. It gives what they are
// now, and nil for those that are not as they were seen any more.
func (s *payments) record(ctx context.Context, tx *pg.Tx, edits []edit) ([]*payment, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	for i, e := range edits {
		if e.by == "" {
			continue
		}
		var err error
		if edits[i].becomes.State, err = e.seen.State.after(e.by); err != nil {
			return nil, err
		}
	}
	st := newStore(tx)
	saved, err := st.save(ctx, edits)
	if err != nil {
		return nil, err
	}
	written := make([]*payment, len(edits))
	var bookings []booking
	var events []bus.Event
	for i, e := range edits {
		at, ok := saved[e.seen.ID]
		if !ok {
			continue
		}
		p := e.becomes
		p.UpdatedAt = at
		written[i] = &p
		if e.by == "" {
			continue
		}
		event := eventOf(e.by, p)
		event.Traceparent, event.Tracestate = e.traceparent, e.tracestate
		events = append(events, event)
		if book := bookingOf[e.by]; book != nil {
			b, err := book(p)
			if err != nil {
				return nil, fmt.Errorf("making journal: %w", err)
			}
			bookings = append(bookings, b)
		}
	}
	if err := st.post(ctx, bookings); err != nil {
		return nil, err
	}
	return written, s.outbox.Write(ctx, tx, events...)
}

// bookingOf is what changes mean in the ledger; the others move no money.
var bookingOf = map[change]func(payment) (booking, error){
	changeCapture: bookCapture,
	changeRefund:  bookRefund,
}
