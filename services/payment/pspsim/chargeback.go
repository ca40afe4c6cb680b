package pspsim

import (
	"fmt"
	"net/http"
	"time"
)

// chargebackFee is what the provider takes for a chargeback where nothing else is said, in minor units.
const chargebackFee = 1500

// A ChargebackOrder has the customer's bank take money back.
type ChargebackOrder struct {
	// Charge is the id of the charge or authorization.
	Charge string `json:"charge"`
	// AmountMinor is all that was captured and not taken back yet if zero. What was refunded makes no difference: a
	// bank does not ask.
	AmountMinor int64 `json:"amount_minor,omitempty"`
	// FeeMinor is what the provider takes for it, in minor units; 1500 if nil.
	FeeMinor *int64 `json:"fee_minor,omitempty"`
}

// A ReversalOrder decides a chargeback for the merchant, who has the money again.
type ReversalOrder struct {
	// Chargeback is its id.
	Chargeback string `json:"chargeback"`
	// ReturnFee gives back its fee, too.
	ReturnFee bool `json:"return_fee,omitempty"`
}

// chargebackObject is a chargeback as it was made, or as it was reversed.
type chargebackObject struct {
	ID          string    `json:"id"`
	Status      string    `json:"status"` // open or reversed
	Charge      string    `json:"charge"`
	AmountMinor int64     `json:"amount_minor"`
	FeeMinor    int64     `json:"fee_minor"` // less than zero: it is given back
	Currency    string    `json:"currency"`
	Created     time.Time `json:"created"`
}

func chargebackOf(e Entry) chargebackObject {
	status := "open"
	if e.Type == TypeChargebackReversal {
		status = "reversed"
	}
	return chargebackObject{
		ID: e.Chargeback, Status: status, Charge: e.Charge, AmountMinor: e.AmountMinor, FeeMinor: e.FeeMinor,
		Currency: e.Currency, Created: e.At,
	}
}

// Chargeback has the customer's bank take back what was captured, or a part of it.
func (s *Server) Chargeback(o ChargebackOrder) (Entry, error) {
	if o.AmountMinor < 0 || o.FeeMinor != nil && *o.FeeMinor < 0 {
		return Entry{}, invalid(codeInvalidParam, "", "amount_minor and fee_minor must not be negative")
	}
	return s.happen(func() (Entry, error) { return s.book.chargebackLocked(o) })
}

// ReverseChargeback gives the money of a chargeback back to the merchant. It happens once.
func (s *Server) ReverseChargeback(o ReversalOrder) (Entry, error) {
	return s.happen(func() (Entry, error) { return s.book.reversalLocked(o) })
}

// happen lets something happen that no request asked for, and tells of it.
func (s *Server) happen(record func() (Entry, error)) (Entry, error) {
	s.book.mu.Lock()
	e, err := record()
	s.book.mu.Unlock()
	if err == nil {
		err = s.book.await(e.Seq)
	}
	if err != nil {
		return Entry{}, err
	}
	s.hooks.tell(e)
	return e, nil
}

func (b *book) chargebackLocked(o ChargebackOrder) (Entry, error) {
	c := b.charges[o.Charge]
	if c == nil {
		return Entry{}, notFound("charge", "there is no such charge")
	}
	left := c.captured - c.chargedBack
	e := Entry{Type: TypeChargeback, ID: newID("dp_"), Charge: o.Charge, AmountMinor: o.AmountMinor, FeeMinor: chargebackFee}
	e.Chargeback = e.ID
	if o.AmountMinor == 0 {
		e.AmountMinor = left
	}
	if o.FeeMinor != nil {
		e.FeeMinor = *o.FeeMinor
	}
	switch {
	case c.captured == 0:
		return Entry{}, invalid(codeNotCaptured, "charge", "no money was taken")
	case left == 0:
		return Entry{}, invalid(codeDisputed, "charge", "all of it was taken back already")
	case e.AmountMinor > left:
		return Entry{}, invalid(codeAmountTooLarge, "amount_minor", "is more than can be taken back")
	}
	return b.recordLocked(e.like(c.entry))
}

func (b *book) reversalLocked(o ReversalOrder) (Entry, error) {
	of, open := b.chargebacks[o.Chargeback]
	if !open {
		return Entry{}, notFound("chargeback", "there is no such chargeback that is not reversed")
	}
	e := Entry{
		Type: TypeChargebackReversal, ID: newID("dr_"), Chargeback: of.ID, Charge: of.Charge, AmountMinor: of.AmountMinor,
	}
	if o.ReturnFee {
		e.FeeMinor = -of.FeeMinor
	}
	return b.recordLocked(e.like(of))
}

// like fills in what an entry has from the one that it follows.
func (e Entry) like(of Entry) Entry {
	e.Currency, e.Reference, e.PaymentMethod = of.Currency, of.Reference, of.PaymentMethod
	return e
}

// applyChargeback folds a chargeback or its reversal into what is known.
func (b *book) applyChargeback(e Entry) error {
	c := b.charges[e.Charge]
	if e.Type == TypeChargeback {
		if c == nil || e.AmountMinor <= 0 || e.AmountMinor > c.captured-c.chargedBack {
			return fmt.Errorf("chargeback %s has no charge to cover it", e.ID)
		}
		c.chargedBack += e.AmountMinor
		b.chargebacks[e.ID] = e
		return nil
	}
	of, open := b.chargebacks[e.Chargeback]
	if c == nil || !open || of.Charge != e.Charge || of.AmountMinor != e.AmountMinor {
		return fmt.Errorf("reversal %s is of no chargeback", e.ID)
	}
	c.chargedBack -= of.AmountMinor
	delete(b.chargebacks, of.ID)
	return nil
}

// disputed is an endpoint that has something happen to a charge, and shows the chargeback.
func disputed[T any](do func(T) (Entry, error)) func(*http.Request, []byte) (reply, error) {
	return func(_ *http.Request, body []byte) (reply, error) {
		var order T
		if err := decode(body, &order); err != nil {
			return reply{}, err
		}
		e, err := do(order)
		if err != nil {
			return reply{}, err
		}
		return reply{status: http.StatusOK, body: chargebackOf(e)}, nil
	}
}
