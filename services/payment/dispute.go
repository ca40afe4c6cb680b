package payment

import (
	"context"
	"fmt"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/payment/provider"
)

// applyDispute books what the customer's bank took back, or gave back again.
func (s *payments) applyDispute(ctx context.Context, tx *pg.Tx, e provider.Event) (verdict, error) {
	st := newStore(tx)
	of, err := st.operations(ctx, "p.provider_charge_id = $1 AND o.seq = 1", e.ChargeID)
	if err != nil {
		return verdict{}, err
	}
	if len(of) == 0 {
		return verdict{webhookReceived, fmt.Sprintf("no payment of ours is charge %q", e.ChargeID)}, nil
	}
	held, err := st.lock(ctx, []PaymentID{of[0].Payment})
	if err != nil {
		return verdict{}, err
	}
	p := held[of[0].Payment]
	b, err := bookDispute(p, e)
	if err != nil {
		return verdict{webhookContradicts, err.Error()}, nil //nolint:nilerr // what is no journal is no event either
	}
	if known, err := st.booked(ctx, b); err != nil || known {
		return wasKnown, err
	}
	becomes, by, v := p.disputed(e)
	if v.state != 0 {
		return v, nil
	}
	if becomes.State, err = p.State.after(by); err != nil {
		return verdict{webhookContradicts, err.Error()}, nil //nolint:nilerr // the provider may say it, and we do not believe it
	}
	if err := st.updatePayment(ctx, &becomes); err != nil {
		return verdict{}, err
	}
	if err := st.post(ctx, []booking{b}); err != nil {
		return verdict{}, err
	}
	s.countBooked(ctx, tx, []booking{b})
	return verdict{webhookApplied, string(by)}, s.outbox.Write(ctx, tx, disputeEvent(becomes, e))
}

// disputed gives what a payment becomes by a chargeback, or the reversal of one; with a verdict it stays as it is.
func (p payment) disputed(e provider.Event) (becomes payment, by change, v verdict) {
	becomes = p
	if e.Amount.Currency != p.Amount.Currency || !e.Amount.IsPositive() {
		return p, "", verdict{webhookContradicts, fmt.Sprintf("is about %s, and %s in %s", e.Amount, p.ID, p.Amount.Currency)}
	}
	if e.Kind == provider.EventChargeback {
		becomes.ChargedBack += e.Amount.Minor
		if becomes.ChargedBack > p.Captured {
			return p, "", verdict{webhookContradicts, fmt.Sprintf("%d of %s would be charged back, of which %d were captured", becomes.ChargedBack, p.ID, p.Captured)}
		}
		return becomes, changeChargeBack, verdict{}
	}
	becomes.ChargedBack -= e.Amount.Minor
	switch {
	case becomes.ChargedBack < 0: // the chargeback itself may be still to come
		return p, "", verdict{webhookReceived, fmt.Sprintf("%s of %s is given back, of which %d were charged back", e.Amount, p.ID, p.ChargedBack)}
	case becomes.ChargedBack > 0:
		return becomes, changeChargeBack, verdict{} // some of it stays
	case p.Refunded == 0:
		return becomes, changeReverse, verdict{}
	case p.Refunded < p.Captured:
		return becomes, changeReversePart, verdict{}
	}
	return becomes, changeReverseAll, verdict{}
}
