package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/provider"
)

const methodCharge = "Charge"

// errKeyTooOld says why a charge that the provider does not know of stays in doubt.
var errKeyTooOld = errors.New("the provider may have forgotten the key, so the charge is not sent again")

type chargeCommand struct {
	request
	amount     money.Amount
	method     string
	customerID string
	reference  string
}

// charge takes money, once per key. Refused with PAYMENT_DECLINED or PAYMENT_METHOD_UNKNOWN; when the outcome is
// not known it is PAYMENT_OUTCOME_UNKNOWN, and the next request under the key finds out; when nothing could be
// sent it is DESTINATION_DOWN.
func (s *payments) charge(ctx context.Context, c chargeCommand) (payment, error) {
	if err := checkAmount(c.amount); err != nil {
		return payment{}, err
	}
	p := payment{
		ID: id.New[paymentKind](), State: capturing, Amount: c.amount, Method: c.method,
		CustomerID: c.customerID, Reference: c.reference, ProviderKey: c.providerKey(),
	}
	var begun time.Time // before the intent, which says that the charge may leave from then on
	claim, answer, err := idem.Begin[payment](ctx, s.pool, c.idem(methodCharge, c.fields()...), s.lease(),
		func(ctx context.Context, tx *pg.Tx) (string, error) {
			begun = time.Now()
			return p.ID.String(), newStore(tx).insert(ctx, &p)
		})
	if err != nil || claim == nil {
		return answer, err
	}
	ctx, cancel := s.outlive(ctx)
	defer cancel()
	w := charging{s, claim}
	if claim.Resumed {
		return w.resume(ctx)
	}
	unsent := p
	unsent.LastSentAt = nil
	return w.send(ctx, p, unsent, begun)
}

func (c chargeCommand) fields() []idem.Field {
	return []idem.Field{
		{Name: "amount", Value: fmt.Sprintf("%d %s", c.amount.Minor, c.amount.Currency)},
		{Name: "payment_method", Value: c.method},
		{Name: "customer_id", Value: c.customerID},
		{Name: "reference", Value: c.reference},
	}
}

// charging is the work on a charge, between its intent and its outcome.
type charging struct {
	*payments
	claim *idem.Claim[payment]
}

// resume goes on with a charge that an earlier request began. If it may have left, the provider is asked what
// became of it; it is sent again only when the provider must know by now, and does not.
func (w charging) resume(ctx context.Context) (payment, error) {
	p, err := newStore(w.pool).payment(ctx, w.claim.Resource)
	if err != nil {
		return payment{}, err
	}
	if p.LastSentAt != nil {
		said := w.provider.LookupCharge(ctx, p.charge())
		switch {
		case said.Kind != provider.NotFound:
			return w.conclude(ctx, p, said)
		case p.untilSettled(w.provider.Capabilities()) > 0:
			return payment{}, w.inDoubt(ctx, w.claim.Abandon, p, errTooYoung)
		case !p.mayResend(w.provider.Capabilities()):
			return payment{}, w.inDoubt(ctx, w.claim.Abandon, p, errKeyTooOld)
		}
	}
	begun := time.Now()
	marked, err := newStore(w.pool).markSent(ctx, p)
	if err != nil {
		return payment{}, superseded(err)
	}
	return w.send(ctx, marked, p, begun)
}

// send asks the provider for the money. It is never asked later than the call timeout behind begun, which is
// before p.LastSentAt; see the package comment. Unsent is the payment if it turns out that nothing left: either
// nothing ever has, or the provider did not know of it.
func (w charging) send(ctx context.Context, p, unsent payment, begun time.Time) (payment, error) {
	callCtx, cancel := context.WithDeadline(ctx, begun.Add(w.provider.Capabilities().CallTimeout))
	defer cancel()
	said := w.provider.Charge(callCtx, p.charge())
	if said.Kind != provider.NotSent {
		return w.conclude(ctx, p, said)
	}
	w.log.WarnContext(ctx, "charge could not be sent", slog.String("payment_id", p.ID.String()), slog.Any("error", said.Err))
	err := w.claim.Abandon(ctx, func(ctx context.Context, tx *pg.Tx) error {
		_, err := newStore(tx).save(ctx, p, unsent)
		return err
	})
	if err != nil {
		return payment{}, superseded(err)
	}
	return payment{}, providerDown()
}

// conclude ends the request with what the provider said of a charge that may have left.
func (w charging) conclude(ctx context.Context, p payment, said provider.Outcome) (payment, error) {
	switch said.Kind {
	case provider.Succeeded, provider.Declined, provider.MethodUnknown:
	default:
		return payment{}, w.inDoubt(ctx, w.claim.Abandon, p, said.Err)
	}
	done, err := w.claim.Finish(ctx, func(ctx context.Context, tx *pg.Tx) (payment, *rpcerr.Error, error) {
		done, err := w.recordAnswer(ctx, tx, p, said)
		return done, refusalOf(said), err
	})
	return done, superseded(err)
}

// refusalOf is what the caller is told when the provider said no; nil when it did not.
func refusalOf(said provider.Outcome) *rpcerr.Error {
	switch said.Kind {
	case provider.Declined:
		return rpcerr.New(rpcerr.PaymentDeclined, "the payment provider declined the charge: %s", said.Reason).
			With("declineReason", said.Reason)
	case provider.MethodUnknown:
		return rpcerr.ForField(rpcerr.PaymentMethodUnknown, "payment_method", "the payment provider does not know it")
	}
	return nil
}
