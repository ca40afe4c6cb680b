package payment

import (
	"context"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/provider"
)

const (
	methodResolvePayment = "ResolvePayment"
	askStatement         = "statement"
)

// proof is what a provider's statement says of an operation in doubt.
type proof struct {
	caller, key  string
	paymentID    string
	operationKey string
	providerID   string
	amount       money.Amount
	evidence     string
}

func (f proof) request() idem.Request {
	return idem.Request{Caller: f.caller, Method: methodResolvePayment, Key: f.key, Fields: []idem.Field{
		{Name: "payment_id", Value: f.paymentID}, {Name: "operation_key", Value: f.operationKey},
		{Name: "provider_id", Value: f.providerID}, {Name: "amount", Value: f.amount.String()},
	}}
}

// prove has a statement decide the payment's operation in doubt, and gives the payment after that. One that is not in
// doubt stays as it is. The provider is asked before, and outside the transaction: only where it says nothing the
// statement counts.
func (s *payments) prove(ctx context.Context, f proof) (payment, []operation, error) {
	p, err := newStore(s.pool).payment(ctx, f.paymentID)
	if err != nil {
		return p, nil, err
	}
	learnt, err := s.weigh(ctx, p, f)
	if err != nil {
		return p, nil, err
	}
	if learnt == nil {
		return s.getPayment(ctx, f.paymentID)
	}
	_, err = idem.Once(ctx, s.pool, f.request(), func(ctx context.Context, tx *pg.Tx) (struct{}, string, error) {
		written, err := s.record(ctx, tx, []edit{*learnt})
		if err != nil {
			return struct{}{}, "", err
		}
		if written[0] == nil {
			return struct{}{}, "", busy(p) // another request works on it, and will know
		}
		done := action{actor: f.caller, verb: "resolve " + string(learnt.seen.Op), reason: f.evidence, payment: p.ID, seq: learnt.seen.Seq}
		return struct{}{}, p.ID.String(), newStore(tx).insertActions(ctx, []action{done})
	})
	if err != nil {
		return p, nil, err
	}
	return s.getPayment(ctx, f.paymentID)
}

// weigh says what is learnt of the payment's operation in doubt by a statement and the provider's word; nil for nothing,
// where nothing is in doubt.
func (s *payments) weigh(ctx context.Context, p payment, f proof) (*edit, error) {
	if !p.Last.State.open() {
		return nil, nil
	}
	switch o := p.Last; {
	case o.Key != f.operationKey:
		return nil, rpcerr.New(rpcerr.PaymentStateRefused, "what is in doubt of %s is the %s under another key", p.ID, o.Op)
	case o.Op == provider.Authorize || o.Op == provider.Void:
		return nil, rpcerr.New(rpcerr.PaymentStateRefused, "what is in doubt of %s is the %s, which no statement shows", p.ID, o.Op)
	case f.amount != o.Amount:
		return nil, rpcerr.ForField(rpcerr.PaymentStateRefused, "amount", "the statement says %s, and the %s of %s is about %s", f.amount, o.Op, p.ID, o.Amount)
	}
	at := time.Now()
	said := s.provider.LookUp(ctx, p.Last.request(p))
	switch found, _ := s.found(p, said); found {
	case happened:
		e := editOf(ctx, p.Last, happened).told(askLookUp, at, said)
		e.by = byStatement
		return &e, nil
	case refusedIt:
		return nil, rpcerr.New(rpcerr.PaymentStateRefused, "the payment provider says that it declined the %s of %s (%s), against the statement",
			p.Last.Op, p.ID, said.Reason)
	}
	// Whatever it does not know: money that has moved was asked for.
	e := editOf(ctx, p.Last, happened).told(askStatement, at, provider.Outcome{Kind: provider.Succeeded, ID: f.providerID, Reason: f.evidence})
	e.by = byStatement
	return &e, nil
}

// witness is what the provider says at this moment of an operation that is decided.
type witness struct {
	operation operation
	said      provider.Outcome
}

// compare asks the provider about the operations of a payment that have moved money, or were declined. It changes nothing.
func (s *payments) compare(ctx context.Context, p payment, all []operation) []witness {
	var out []witness
	for _, o := range all {
		if (o.State == opDone || o.State == opDeclined) && o.Op != provider.Authorize && o.Op != provider.Void {
			out = append(out, witness{o, s.provider.LookUp(ctx, o.request(p))})
		}
	}
	return out
}
