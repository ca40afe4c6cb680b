package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/payment/provider"
)

// What the provider is asked, as it is noted.
const (
	askDo     = "do"
	askLookUp = "look up"
)

// maxSteps is how many steps one request takes: it finds out about another operation, which leads to one of its own,
// which is sent. Another request may come in between each time.
const maxSteps = 6

// work has a command worked on, between its intent and its outcome.
func (s *payments) work(ctx context.Context, c *command, claim *idem.Claim) (ending, error) {
	ctx, span := rpc.StartItem(ctx, s.tracer, "payment."+string(c.method), c.traceparent)
	end, err := work{s, c, claim}.run(telemetry.WithSaga(ctx, telemetry.SagaOf(c.key)))
	rpc.EndItem(span, errors.Join(err, end.err()))
	return end, err
}

// work is the work on a command.
type work struct {
	*payments
	*command
	claim *idem.Claim
}

// run takes steps until the request has an end. What it asked for may have been sent by an earlier request under the
// key, or be decided already; another operation of the payment that is open is found out about first.
func (w work) run(ctx context.Context) (ending, error) {
	if w.payment == nil {
		return w.answer(nil), nil
	}
	for step := 0; ; step++ {
		p := *w.payment
		switch {
		case w.asked(p.Last): // whatever the step: what is marked as sent and is not sent keeps everybody waiting
			return w.own(ctx, p)
		case step == maxSteps:
			return w.notYet(p, errChanged), nil
		case p.Last.State.open():
			settled, why, err := w.settle(ctx, p, byRequest)
			if err != nil {
				return ending{}, err
			}
			if why != nil {
				return w.notYet(p, why), nil
			}
			w.payment = &settled
		default:
			if end, over, err := w.further(ctx, p); over || err != nil {
				return end, err
			}
		}
	}
}

// further takes the next step on a payment of which nothing is open; over tells that the request ends with it.
func (w work) further(ctx context.Context, p payment) (end ending, over bool, err error) {
	if w.claim.Resumed && undoes[w.method] == "" {
		all, err := newStore(w.pool).operations(ctx, "o.payment_id = $1", p.ID)
		if err != nil {
			return ending{}, true, err
		}
		if at := slices.IndexFunc(all, w.asked); at >= 0 && all[at].Seq != p.Last.Seq {
			return w.decided(p, all[at]), true, nil
		}
	}
	if opens[w.method] != "" { // its operation is there from the beginning
		return ending{}, true, fmt.Errorf("%s has no operation under its key", p.ID)
	}
	next := w.plan(p, w.provider.Capabilities())
	switch {
	case next.refusal != nil:
		end = w.answer(&p)
		end.refusal = next.refusal
		return end, true, nil
	case next.abandon:
		return w.ended(editOf(ctx, p.Last, abandoned)), true, nil
	case next.op == "":
		return w.answer(&p), true, nil
	}
	err = pg.InTx(ctx, w.pool, func(tx *pg.Tx) error {
		w.begun = time.Time{}
		_, err := w.advance(ctx, tx, []*command{w.command}) // what it finds refused is so in the next round
		return err
	})
	return ending{}, false, err
}

// own goes on with the operation that the command asks for.
func (w work) own(ctx context.Context, p payment) (ending, error) {
	switch {
	case p.Last.State == opDone || p.Last.State == opDeclined:
		return w.decided(p, p.Last), nil
	case !w.begun.IsZero():
		return w.send(ctx, p), nil
	}
	if end, over := w.resume(ctx, p); over {
		return end, nil
	}
	begun := time.Now()
	marked, err := w.record1(ctx, editOf(ctx, p.Last, sent))
	switch {
	case errors.Is(err, errChanged):
		return w.notYet(p, err), nil
	case err != nil:
		return ending{}, err
	}
	w.begun = begun
	return w.send(ctx, marked), nil
}

// resume finds out about an operation that an earlier request may have sent; over tells that it is not to be sent again:
// it is known, or the provider need not know it yet, or may have forgotten the key.
func (w work) resume(ctx context.Context, p payment) (end ending, over bool) {
	can := w.provider.Capabilities()
	if p.Last.State.open() {
		at := time.Now()
		said := w.provider.LookUp(ctx, p.Last.request(p))
		if f, _ := w.found(p, said); f != absent {
			return w.concluded(ctx, p, askLookUp, at, said), true
		}
	}
	if !p.Last.maySend(can, p.readAt) {
		return w.notYet(p, errKeyTooOld), true
	}
	return ending{}, false
}

// send asks the provider for the operation, which is marked as sent. It is never asked later than the call timeout
// behind begun, which is before the mark; see the package comment.
func (w work) send(ctx context.Context, p payment) ending {
	callCtx, cancel := context.WithDeadline(ctx, w.begun.Add(w.provider.Capabilities().CallTimeout))
	defer cancel()
	at := time.Now()
	said := w.provider.Do(callCtx, p.Last.request(p))
	if said.Kind != provider.NotSent {
		return w.concluded(ctx, p, askDo, at, said)
	}
	w.log.WarnContext(ctx, "operation could not be sent", slog.String("payment_id", p.ID.String()),
		slog.String("operation", string(p.Last.Op)), slog.Any("error", said.Err))
	end := w.ended(editOf(ctx, p.Last, unsent).told(askDo, at, said))
	end.GiveBack = providerDown()
	return end
}

// found is what the provider's word means for the payment's open operation, and why it is none.
func (s *payments) found(p payment, said provider.Outcome) (f finding, why error) {
	switch f = findingOf(said.Kind); {
	case f == absent && p.Last.untilSettled(s.provider.Capabilities(), p.readAt) > 0:
		return lost, errTooYoung
	case f == lost:
		return lost, said.Err
	}
	return f, nil
}

// concluded ends the request with what the provider said of an operation that may have left.
func (w work) concluded(ctx context.Context, p payment, ask string, at time.Time, said provider.Outcome) ending {
	f, why := w.found(p, said)
	end := w.ended(editOf(ctx, p.Last, f).told(ask, at, said))
	switch f {
	case lost:
		end.Ending = w.notYet(p, why).Ending
	case refusedIt:
		declined := p.Last
		declined.DeclineReason = said.Reason
		end.refusal = refusalOf(declined, said.Kind == provider.MethodUnknown)
	}
	return end
}

// answer ends the request with a payment as it is.
func (w work) answer(p *payment) ending {
	return ending{Ending: idem.Ending{Claim: w.claim}, payment: p}
}

// ended ends the request with what was learnt.
func (w work) ended(e edit) ending { return ending{Ending: idem.Ending{Claim: w.claim}, edit: &e} }

// decided ends the request with what became of its operation earlier.
func (w work) decided(p payment, o operation) ending {
	end := w.answer(&p)
	if o.State == opDeclined {
		end.refusal = refusalOf(o, false)
	}
	return end
}

// notYet has a request asked again, as what becomes of the payment is not known yet: PAYMENT_OUTCOME_UNKNOWN, or
// PAYMENT_BUSY when what is not known is another request's.
func (w work) notYet(p payment, why error) ending {
	retryAfter := askAgain
	if errors.Is(why, errTooYoung) {
		retryAfter = p.Last.untilSettled(w.provider.Capabilities(), p.readAt)
	}
	w.log.Warn("payment is in doubt", slog.String("payment_id", p.ID.String()),
		slog.String("operation", string(p.Last.Op)), slog.Any("error", why))
	answer := outcomeUnknown(retryAfter)
	if undoes[w.method] == "" && !w.asked(p.Last) {
		answer = busy(p)
	}
	return ending{Ending: idem.Ending{Claim: w.claim, GiveBack: answer}}
}

// settle asks the provider what became of the payment's open operation and writes that down. Why says that it is still
// not known here: errChanged when somebody else was quicker.
func (s *payments) settle(ctx context.Context, p payment, by evidence) (now payment, why, err error) {
	at := time.Now()
	said := s.provider.LookUp(ctx, p.Last.request(p))
	if said.Kind == provider.NotSent {
		return p, fmt.Errorf("%w: %w", errNotAsked, said.Err), nil
	}
	f, why := s.found(p, said)
	e := editOf(ctx, p.Last, f).told(askLookUp, at, said)
	e.by = by
	now, err = s.record1(ctx, e)
	if errors.Is(err, errChanged) {
		return now, err, nil
	}
	return now, why, err
}

// record1 writes one edit in a transaction of its own. Errors: errChanged.
func (s *payments) record1(ctx context.Context, e edit) (payment, error) {
	var written []*payment
	err := pg.InTx(ctx, s.pool, func(tx *pg.Tx) (err error) {
		written, err = s.record(ctx, tx, []edit{e})
		return err
	})
	if err != nil {
		return payment{}, err
	}
	if written[0] == nil {
		return payment{}, errChanged
	}
	return *written[0], nil
}
