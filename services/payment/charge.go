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
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/provider"
)

const methodCharge = "Charge"

// errKeyTooOld says why a charge that the provider does not know of stays in doubt.
var errKeyTooOld = errors.New("the provider may have forgotten the key, so the charge is not sent again")

// chargeCommand asks to take money, once per key. Refused with PAYMENT_DECLINED or PAYMENT_METHOD_UNKNOWN; when the
// outcome is not known it is PAYMENT_OUTCOME_UNKNOWN, and the next request under the key finds out; when nothing could
// be sent it is DESTINATION_DOWN.
type chargeCommand struct {
	request
	amount     money.Amount
	method     string
	customerID string
	reference  string

	// Of the transaction that begins the charge, until it has answered; then of the work on it.

	// payment is what is charged: new, or read when an earlier request made it.
	payment payment
	// begun is before the intent was written the first time: it says that the charge may leave from then on.
	begun time.Time
}

func (c *chargeCommand) opening() idem.Opening {
	return idem.Opening{Token: c.token, Request: c.idem(methodCharge,
		idem.Field{Name: "amount", Value: fmt.Sprintf("%d %s", c.amount.Minor, c.amount.Currency)},
		idem.Field{Name: "payment_method", Value: c.method},
		idem.Field{Name: "customer_id", Value: c.customerID},
		idem.Field{Name: "reference", Value: c.reference})}
}

// intend makes the payment that is to be written.
func (c *chargeCommand) intend(now time.Time) *payment {
	if c.begun.IsZero() { // a transaction that got no answer may have written it before
		c.begun = now
	}
	c.payment = payment{
		ID: id.New[paymentKind](), State: capturing, Amount: c.amount, Method: c.method,
		CustomerID: c.customerID, Reference: c.reference, ProviderKey: c.providerKey(),
	}
	return &c.payment
}

// beginCharges writes the intents of charges.
func (s *payments) beginCharges(ctx context.Context, tx *pg.Tx, batch []*chargeCommand) ([]begun, error) {
	openings := make([]idem.Opening, len(batch))
	for i, c := range batch {
		openings[i] = c.opening()
	}
	results, err := idem.BeginAll[*payment](ctx, tx, openings, s.lease(),
		func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Intent, error) {
			now, made, intents := time.Now(), make([]*payment, len(fresh)), make([]idem.Intent, len(fresh))
			for n, i := range fresh {
				made[n] = batch[i].intend(now)
				intents[n].Resource = made[n].ID.String()
			}
			return intents, newStore(tx).insert(ctx, made)
		})
	if err != nil {
		return nil, err
	}
	earlier, err := newStore(tx).payments(ctx, resources(results, func(i int, c *idem.Claim) bool {
		return c.Resumed || c.Resource != batch[i].payment.ID.String()
	}))
	if err != nil {
		return nil, err
	}
	for i, r := range results {
		if r.Value.Claim == nil {
			continue
		}
		if p, ok := earlier[r.Value.Claim.Resource]; ok {
			batch[i].payment = p
		} else if batch[i].payment.ID.String() != r.Value.Claim.Resource {
			return nil, fmt.Errorf("there is no payment %q", r.Value.Claim.Resource)
		}
	}
	return results, nil
}

// resources gives what the claims among results are on, as far as it is wanted.
func resources(results []begun, wanted func(i int, c *idem.Claim) bool) []string {
	var of []string
	for i, r := range results {
		if c := r.Value.Claim; c != nil && wanted(i, c) {
			of = append(of, c.Resource)
		}
	}
	return of
}

// charge has the provider take the money.
func (s *payments) charge(ctx context.Context, c *chargeCommand, claim *idem.Claim) (ending, error) {
	ctx, span := rpc.StartItem(ctx, s.tracer, "payment.Charge", c.traceparent)
	w := charging{s, claim}
	var end ending
	var err error
	if claim.Resumed {
		end, err = w.resume(ctx, c.payment)
	} else {
		unsent := c.payment
		unsent.LastSentAt = nil
		end = w.send(ctx, c.payment, unsent, c.begun)
	}
	rpc.EndItem(span, errors.Join(err, end.err()))
	return end, err
}

// charging is the work on a charge, between its intent and its outcome.
type charging struct {
	*payments
	claim *idem.Claim
}

// resume goes on with a charge that an earlier request began. If it may have left, the provider is asked what
// became of it; it is sent again only when the provider must know by now, and does not.
func (w charging) resume(ctx context.Context, p payment) (ending, error) {
	if p.LastSentAt != nil {
		said := w.provider.LookUp(ctx, p.charge())
		switch {
		case said.Kind != provider.NotFound:
			return w.concluded(ctx, p, said), nil
		case p.untilSettled(w.provider.Capabilities()) > 0:
			return w.inDoubt(ctx, w.claim, p, errTooYoung), nil
		case !p.mayResend(w.provider.Capabilities()):
			return w.inDoubt(ctx, w.claim, p, errKeyTooOld), nil
		}
	}
	begun := time.Now()
	marked, err := newStore(w.pool).markSent(ctx, p)
	if err != nil {
		return ending{}, superseded(err)
	}
	return w.send(ctx, marked, p, begun), nil
}

// send asks the provider for the money. It is never asked later than the call timeout behind begun, which is
// before p.LastSentAt; see the package comment. Unsent is the payment if it turns out that nothing left: either
// nothing ever has, or the provider did not know of it.
func (w charging) send(ctx context.Context, p, unsent payment, begun time.Time) ending {
	callCtx, cancel := context.WithDeadline(ctx, begun.Add(w.provider.Capabilities().CallTimeout))
	defer cancel()
	said := w.provider.Do(callCtx, p.charge())
	if said.Kind != provider.NotSent {
		return w.concluded(ctx, p, said)
	}
	w.log.WarnContext(ctx, "charge could not be sent", slog.String("payment_id", p.ID.String()), slog.Any("error", said.Err))
	return ending{Ending: idem.Ending{Claim: w.claim, GiveBack: providerDown()}, edit: editOf(ctx, p, unsent, "")}
}

// concluded ends the request with what the provider said of a charge that may have left.
func (w charging) concluded(ctx context.Context, p payment, said provider.Outcome) ending {
	end := ending{Ending: idem.Ending{Claim: w.claim}}
	switch said.Kind {
	case provider.Succeeded:
	case provider.Declined:
		end.refusal = rpcerr.New(rpcerr.PaymentDeclined, "the payment provider declined the charge: %s", said.Reason).
			With("declineReason", said.Reason)
	case provider.MethodUnknown:
		end.refusal = rpcerr.ForField(rpcerr.PaymentMethodUnknown, "payment_method", "the payment provider does not know it")
	default:
		return w.inDoubt(ctx, w.claim, p, said.Err)
	}
	end.edit = answered(ctx, p, said)
	return end
}
