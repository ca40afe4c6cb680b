package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/provider"
)

const methodRefund = "Refund"

// refundCommand asks to undo the charge of the same key; the answer is nil when there was none. From then on that
// charge is refused. A charge in doubt is looked up first: if it happened it is given back, if it certainly did not it
// is voided, and else it is PAYMENT_OUTCOME_UNKNOWN, and the next request finds out.
type refundCommand struct {
	request
	// payment is what was charged, as it was when the refund began; nil when nothing was. It is of the transaction
	// that begins the refund, until it has answered; then of the work on it.
	payment *payment
}

// beginRefunds writes the intents of refunds: their charges are buried.
func (s *payments) beginRefunds(ctx context.Context, tx *pg.Tx, batch []*refundCommand) ([]begun, error) {
	openings := make([]idem.Opening, len(batch))
	for i, c := range batch {
		openings[i] = idem.Opening{Request: c.idem(methodRefund), Of: c.idem(methodCharge), Token: c.token}
	}
	results, err := idem.BeginUndoAll[*payment](ctx, tx, openings, s.lease())
	if err != nil {
		return nil, err
	}
	charged, err := newStore(tx).payments(ctx, resources(results, func(_ int, c *idem.Claim) bool { return c.Resource != "" }))
	if err != nil {
		return nil, err
	}
	for i, r := range results {
		batch[i].payment = nil
		if r.Value.Claim == nil || r.Value.Claim.Resource == "" {
			continue
		}
		p, ok := charged[r.Value.Claim.Resource]
		if !ok {
			return nil, fmt.Errorf("there is no payment %q", r.Value.Claim.Resource)
		}
		batch[i].payment = &p
	}
	return results, nil
}

// refund sees to it that no money is held.
func (s *payments) refund(ctx context.Context, c *refundCommand, claim *idem.Claim) (ending, error) {
	ctx, span := rpc.StartItem(ctx, s.tracer, "payment.Refund", c.traceparent)
	end, err := refunding{s, claim}.undo(ctx, c.payment)
	rpc.EndItem(span, errors.Join(err, end.err()))
	return end, err
}

// refunding is the work on a refund, between its intent and its outcome. Its charge is buried, so nobody sends it
// any more but a request that has overslept its lease, and whose send the void would notice.
type refunding struct {
	*payments
	claim *idem.Claim
}

func (w refunding) undo(ctx context.Context, p *payment) (ending, error) {
	if p != nil {
		switch p.State {
		case capturing, unknown:
			return w.clearUp(ctx, *p)
		case captured:
			return w.giveBack(ctx, *p), nil
		}
	}
	return ending{Ending: idem.Ending{Claim: w.claim}, payment: p}, nil // no money is held
}

// done ends the request with a change.
func (w refunding) done(e *edit) ending { return ending{Ending: idem.Ending{Claim: w.claim}, edit: e} }

// clearUp finds out what became of a charge in doubt, and undoes it.
func (w refunding) clearUp(ctx context.Context, p payment) (ending, error) {
	said := provider.Outcome{Kind: provider.NotFound} // one that never left
	if p.LastSentAt != nil {
		said = w.provider.LookUp(ctx, p.charge())
	}
	switch said.Kind {
	case provider.Succeeded:
		return w.captureThenGiveBack(ctx, p, said)
	case provider.Declined:
		return w.done(answered(ctx, p, said)), nil
	case provider.NotFound:
		if p.untilSettled(w.provider.Capabilities()) > 0 {
			return w.inDoubt(ctx, w.claim, p, errTooYoung), nil
		}
		return w.done(editOf(ctx, p, p, changeVoid)), nil
	}
	return w.inDoubt(ctx, w.claim, p, said.Err), nil
}

// captureThenGiveBack makes it durable that the charge turned out to have happened, before the money goes back.
func (w refunding) captureThenGiveBack(ctx context.Context, p payment, said provider.Outcome) (ending, error) {
	var taken []*payment
	err := pg.InTx(ctx, w.pool, func(tx *pg.Tx) (err error) {
		taken, err = w.record(ctx, tx, []edit{*answered(ctx, p, said)})
		return err
	})
	if err != nil {
		return ending{}, err
	}
	if taken[0] == nil {
		return ending{}, superseded(errChanged)
	}
	return w.giveBack(ctx, *taken[0]), nil
}

// giveBack has the provider give back what was captured. If an earlier request may have asked for it, that is
// looked up first; asking again under the same key gives nothing twice, and neither does asking under another
// one for all of a charge that has been given back.
func (w refunding) giveBack(ctx context.Context, p payment) ending {
	said := provider.Outcome{Kind: provider.NotFound}
	if w.claim.Resumed {
		said = w.provider.LookUp(ctx, p.refund())
	}
	if said.Kind == provider.NotFound {
		said = w.provider.Do(ctx, p.refund())
	}
	if said.Kind != provider.Succeeded {
		return ending{Ending: idem.Ending{Claim: w.claim, GiveBack: w.notGivenBack(ctx, p, said)}}
	}
	becomes := p
	becomes.RefundID = said.ID
	return w.done(editOf(ctx, p, becomes, changeRefund))
}

// notGivenBack is what a request is answered whose money did not go back, as far as is known.
func (w refunding) notGivenBack(ctx context.Context, p payment, said provider.Outcome) error {
	if said.Kind == provider.Declined {
		return rpcerr.New(rpcerr.RefundRefused, "the payment provider does not refund %s: %s", p.ID, said.Reason)
	}
	w.log.WarnContext(ctx, "refund is in doubt", slog.String("payment_id", p.ID.String()), slog.Any("error", said.Err))
	if said.Kind == provider.NotSent && !w.claim.Resumed {
		return providerDown()
	}
	return outcomeUnknown(askAgain)
}
