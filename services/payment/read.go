package payment

import (
	"context"

	"github.com/tieout/tieout/pkg/idem"
)

// getPayment gives one payment with its operations; NOT_FOUND when there is none of that id.
func (s *payments) getPayment(ctx context.Context, paymentID string) (payment, []operation, error) {
	st := newStore(s.pool)
	p, err := st.payment(ctx, paymentID)
	if err != nil {
		return p, nil, err
	}
	all, err := st.operations(ctx, "o.payment_id = $1", p.ID)
	return p, all, err
}

// inquire asks the provider now what became of the payment's open operation, and gives the payment after that.
func (s *payments) inquire(ctx context.Context, paymentID string) (payment, []operation, error) {
	p, err := newStore(s.pool).payment(ctx, paymentID)
	if err != nil {
		return p, nil, err
	}
	if p.Last.State.open() {
		if _, _, err := s.settle(ctx, p, byInquiry); err != nil {
			return p, nil, err
		}
	}
	return s.getPayment(ctx, paymentID)
}

// listPayments gives up to n payments that a filter holds for and that were made before one, newest first.
func (s *payments) listPayments(ctx context.Context, f paymentFilter, before PaymentID, n int32) ([]payment, error) {
	return newStore(s.pool).list(ctx, f, before, n)
}

// known is what is known of one request under a key.
type known struct {
	idem.Record
	// fields are the names of the fields of its fingerprint.
	fields []string
	// operations are what the provider was asked for it.
	operations []operation
}

// idempotency gives what is known of a key, by caller and method.
func (s *payments) idempotency(ctx context.Context, key string) ([]known, error) {
	records, err := idem.Find(ctx, s.pool, key)
	if err != nil {
		return nil, err
	}
	all := make([]known, len(records))
	for i, r := range records {
		all[i] = known{Record: r, fields: method(r.Method).fields()}
		if all[i].operations, err = s.askedBy(ctx, r); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// askedBy gives the operations that the provider was asked for a request.
func (s *payments) askedBy(ctx context.Context, r idem.Record) ([]operation, error) {
	st, m := newStore(s.pool), method(r.Method)
	if undoes[m] == "" {
		c := command{request: request{caller: r.Caller, key: r.Key}, method: m}
		return st.operations(ctx, "o.provider_key = $1 OR o.payment_id = $2 AND o.provider_key ~ ('^' || $1 || '/[0-9]+$')", // keyFor
			c.providerKey(opens[m]), resourceOf(r))
	}
	return st.operations(ctx, "o.payment_id = (SELECT id FROM payment WHERE id = $1) AND o.provider_key LIKE p.provider_key || '/%'", resourceOf(r))
}

// resourceOf is what a request is about, by id; the zero id when that is no payment.
func resourceOf(r idem.Record) PaymentID {
	var pid PaymentID
	if err := pid.UnmarshalText([]byte(r.Resource)); err != nil {
		return PaymentID{}
	}
	return pid
}
