package pspsim

import (
	"net/http"
	"time"
)

type refundRequest struct {
	Charge      string `json:"charge"`
	AmountMinor *int64 `json:"amount_minor"` // nil: all that remains
}

type refundObject struct {
	ID             string    `json:"id"`
	Status         string    `json:"status"` // always succeeded
	Charge         string    `json:"charge"`
	AmountMinor    int64     `json:"amount_minor"`
	Currency       string    `json:"currency"`
	IdempotencyKey string    `json:"idempotency_key"`
	Created        time.Time `json:"created"`
}

func (s *Server) createRefund(r *http.Request, body []byte) (reply, error) {
	key, err := idempotencyKey(r)
	if err != nil {
		return reply{}, err
	}
	var req refundRequest
	if err := decode(body, &req); err != nil {
		return reply{}, err
	}
	if req.Charge == "" {
		return reply{}, invalid(codeInvalidParam, "charge", "is required")
	}
	if req.AmountMinor != nil && *req.AmountMinor <= 0 {
		return reply{}, invalid(codeInvalidParam, "amount_minor", "must be positive")
	}
	fingerprint := fingerprintOf("refund", req)
	effect, _, err := s.book.begin(key, fingerprint)
	if err != nil {
		return reply{}, err
	}
	if effect != nil {
		return reply{status: http.StatusCreated, body: refundOf(*effect), replayed: true}, nil
	}
	defer s.book.end(key)
	e, err := s.book.refund(req, Entry{
		Type:           TypeRefund,
		ID:             newID("re_"),
		IdempotencyKey: key,
		Charge:         req.Charge,
		Fingerprint:    fingerprint,
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: refundOf(e)}, nil
}

// refund completes e from its charge and records it. What remains is checked
// and taken under one lock, so that refunds in parallel never exceed the charge.
func (b *book) refund(req refundRequest, e Entry) (Entry, error) {
	b.mu.Lock()
	e, err := b.refundLocked(req, e)
	b.mu.Unlock()
	if err != nil {
		return Entry{}, err
	}
	return e, b.await(e.Seq)
}

func (b *book) refundLocked(req refundRequest, e Entry) (Entry, error) {
	c := b.charges[req.Charge]
	if c == nil {
		return Entry{}, notFound("charge", "there is no such charge")
	}
	if c.entry.Type != TypeCharge {
		return Entry{}, invalid(codeNotCaptured, "charge", "the charge was declined")
	}
	remaining := c.remaining()
	if remaining == 0 {
		return Entry{}, invalid(codeAlreadyRefunded, "charge", "the charge is refunded in full")
	}
	e.AmountMinor = remaining
	if req.AmountMinor != nil {
		e.AmountMinor = *req.AmountMinor
	}
	if e.AmountMinor > remaining {
		return Entry{}, invalid(codeAmountTooLarge, "amount_minor", "is more than remains of the charge")
	}
	e.Currency = c.entry.Currency
	e.Reference = c.entry.Reference
	e.PaymentMethod = c.entry.PaymentMethod
	return b.recordLocked(e)
}

func refundOf(e Entry) refundObject {
	return refundObject{
		ID:             e.ID,
		Status:         "succeeded",
		Charge:         e.Charge,
		AmountMinor:    e.AmountMinor,
		Currency:       e.Currency,
		IdempotencyKey: e.IdempotencyKey,
		Created:        e.At,
	}
}

// findRefunds looks a refund up by its idempotency key.
func (s *Server) findRefunds(r *http.Request, _ []byte) (reply, error) {
	effect, err := s.lookup(r)
	if err != nil {
		return reply{}, err
	}
	found := list[refundObject]{Data: []refundObject{}}
	if effect != nil && effect.Type == TypeRefund {
		found.Data = append(found.Data, refundOf(*effect))
	}
	return reply{status: http.StatusOK, body: found}, nil
}
