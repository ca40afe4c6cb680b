package payment

import (
	"context"
	"log/slog"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/provider"
)

const methodRefund = "Refund"

// refund undoes the charge of the same key; nil when there was none. From then on that charge is refused. A
// charge in doubt is looked up first: if it happened it is given back, if it certainly did not it is voided, and
// else it is PAYMENT_OUTCOME_UNKNOWN, and the next request finds out.
func (s *payments) refund(ctx context.Context, r request) (*payment, error) {
	claim, answer, err := idem.Begin[*payment](ctx, s.pool, r.idem(methodRefund), s.lease(),
		func(ctx context.Context, tx *pg.Tx) (string, error) {
			charged, _, err := idem.Bury(ctx, tx, r.idem(methodCharge))
			return charged, err
		})
	if err != nil || claim == nil {
		return answer, err
	}
	ctx, cancel := s.outlive(ctx)
	defer cancel()
	w := refunding{s, claim}
	if claim.Resource == "" {
		return w.finish(ctx, func(context.Context, *pg.Tx) (*payment, error) { return nil, nil })
	}
	p, err := newStore(s.pool).payment(ctx, claim.Resource)
	if err != nil {
		return nil, err
	}
	switch p.State {
	case capturing, unknown:
		return w.clearUp(ctx, p)
	case captured:
		return w.giveBack(ctx, p)
	}
	return w.finish(ctx, func(context.Context, *pg.Tx) (*payment, error) { return &p, nil }) // no money is held
}

// refunding is the work on a refund, between its intent and its outcome. Its charge is buried, so nobody sends it
// any more but a request that has overslept its lease, and whose send the void would notice.
type refunding struct {
	*payments
	claim *idem.Claim[*payment]
}

// finish ends the request with an outcome.
func (w refunding) finish(ctx context.Context, write func(context.Context, *pg.Tx) (*payment, error)) (*payment, error) {
	done, err := w.claim.Finish(ctx, func(ctx context.Context, tx *pg.Tx) (*payment, *rpcerr.Error, error) {
		done, err := write(ctx, tx)
		return done, nil, err
	})
	return done, superseded(err)
}

// clearUp finds out what became of a charge in doubt, and undoes it.
func (w refunding) clearUp(ctx context.Context, p payment) (*payment, error) {
	said := provider.Outcome{Kind: provider.NotFound} // one that never left
	if p.LastSentAt != nil {
		said = w.provider.LookupCharge(ctx, p.charge())
	}
	switch said.Kind {
	case provider.Succeeded:
		return w.captureThenGiveBack(ctx, p, said)
	case provider.Declined:
		return w.finish(ctx, func(ctx context.Context, tx *pg.Tx) (*payment, error) {
			done, err := w.recordAnswer(ctx, tx, p, said)
			return &done, err
		})
	case provider.NotFound:
		if p.untilSettled(w.provider.Capabilities()) > 0 {
			return nil, w.inDoubt(ctx, w.claim.Abandon, p, errTooYoung)
		}
		return w.finish(ctx, func(ctx context.Context, tx *pg.Tx) (*payment, error) {
			done, err := w.record(ctx, tx, p, p, changeVoid)
			return &done, err
		})
	}
	return nil, w.inDoubt(ctx, w.claim.Abandon, p, said.Err)
}

// captureThenGiveBack makes it durable that the charge turned out to have happened, before the money goes back.
func (w refunding) captureThenGiveBack(ctx context.Context, p payment, said provider.Outcome) (*payment, error) {
	var taken payment
	err := pg.InTx(ctx, w.pool, func(tx *pg.Tx) (err error) {
		taken, err = w.recordAnswer(ctx, tx, p, said)
		return err
	})
	if err != nil {
		return nil, superseded(err)
	}
	return w.giveBack(ctx, taken)
}

// giveBack has the provider give back what was captured. If an earlier request may have asked for it, that is
// looked up first; asking again under the same key gives nothing twice, and neither does asking under another
// one for all of a charge that has been given back.
func (w refunding) giveBack(ctx context.Context, p payment) (*payment, error) {
	said := provider.Outcome{Kind: provider.NotFound}
	if w.claim.Resumed {
		said = w.provider.LookupRefund(ctx, p.refund())
	}
	if said.Kind == provider.NotFound {
		said = w.provider.Refund(ctx, p.refund())
	}
	if said.Kind != provider.Succeeded {
		return nil, w.notGivenBack(ctx, p, said)
	}
	becomes := p
	becomes.RefundID = said.ID
	return w.finish(ctx, func(ctx context.Context, tx *pg.Tx) (*payment, error) {
		done, err := w.record(ctx, tx, p, becomes, changeRefund)
		return &done, err
	})
}

// notGivenBack ends a request whose money did not go back, as far as is known.
func (w refunding) notGivenBack(ctx context.Context, p payment, said provider.Outcome) error {
	if err := w.claim.Abandon(ctx, func(context.Context, *pg.Tx) error { return nil }); err != nil {
		return superseded(err)
	}
	if said.Kind == provider.Declined {
		return rpcerr.New(rpcerr.RefundRefused, "the payment provider does not refund %s: %s", p.ID, said.Reason)
	}
	w.log.WarnContext(ctx, "refund is in doubt", slog.String("payment_id", p.ID.String()), slog.Any("error", said.Err))
	if said.Kind == provider.NotSent && !w.claim.Resumed {
		return providerDown()
	}
	return outcomeUnknown(askAgain)
}
