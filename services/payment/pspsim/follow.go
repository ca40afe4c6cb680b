package pspsim

import (
	"net/http"
	"time"
)

// followRequest asks for a capture, a void or a refund of a charge.
type followRequest struct {
	Charge      string `json:"charge"`
	AmountMinor *int64 `json:"amount_minor"` // nil: all there is; a void has none
}

// followObject is a capture, a void or a refund.
type followObject struct {
	ID             string    `json:"id"`
	Status         string    `json:"status"` // always succeeded
	Charge         string    `json:"charge"`
	AmountMinor    int64     `json:"amount_minor"`
	Currency       string    `json:"currency"`
	IdempotencyKey string    `json:"idempotency_key"`
	Created        time.Time `json:"created"`
}

// idPrefixes are those of what follows a charge.
var idPrefixes = map[EntryType]string{TypeCapture: "cp_", TypeVoid: "vo_", TypeRefund: "re_"}

// createFollow is the endpoint that captures, voids or refunds.
func (s *Server) createFollow(op EntryType) func(*http.Request, []byte) (reply, error) {
	return func(r *http.Request, body []byte) (reply, error) {
		key, err := idempotencyKey(r)
		if err != nil {
			return reply{}, err
		}
		var req followRequest
		if err := decode(body, &req); err != nil {
			return reply{}, err
		}
		if req.Charge == "" {
			return reply{}, invalid(codeInvalidParam, "charge", "is required")
		}
		if req.AmountMinor != nil && (*req.AmountMinor <= 0 || op == TypeVoid) {
			return reply{}, invalid(codeInvalidParam, "amount_minor", "must be positive, and not given with a void")
		}
		fingerprint := fingerprintOf(string(op), req)
		return s.perform(r.Context(), operation{
			op: op, key: key, fingerprint: fingerprint, method: s.book.methodOf(req.Charge),
			answer: func(e Entry) reply { return reply{status: http.StatusCreated, body: followOf(e)} },
			record: func(delta int64, _ string) (Entry, error) {
				return s.book.follow(req, delta, Entry{
					Type: op, ID: newID(idPrefixes[op]), IdempotencyKey: key, Charge: req.Charge, Fingerprint: fingerprint,
				})
			},
		})
	}
}

// follow completes e from its charge and records it. What is left is checked
// and taken under one lock, so that requests in parallel never exceed the charge.
func (b *book) follow(req followRequest, delta int64, e Entry) (Entry, error) {
	b.mu.Lock()
	e, err := b.followLocked(req, delta, e)
	b.mu.Unlock()
	if err != nil {
		return Entry{}, err
	}
	return e, b.await(e.Seq)
}

func (b *book) followLocked(req followRequest, delta int64, e Entry) (Entry, error) {
	c := b.charges[req.Charge]
	if c == nil {
		return Entry{}, notFound("charge", "there is no such charge")
	}
	left, err := c.left(e.Type)
	if err != nil {
		return Entry{}, err
	}
	e.AmountMinor = left
	if req.AmountMinor != nil {
		e.AmountMinor = *req.AmountMinor
	}
	if e.AmountMinor > left {
		return Entry{}, invalid(codeAmountTooLarge, "amount_minor", "is more than remains of the charge")
	}
	if e.AmountMinor+delta > left {
		delta = -delta
	}
	e.AmountMinor = min(left, max(1, e.AmountMinor+delta))
	return b.recordLocked(e.like(c.entry))
}

// left is how much of the charge can be captured, voided or refunded, in minor
// units; an error why nothing can.
func (c *charge) left(op EntryType) (int64, error) {
	if op == TypeRefund {
		switch {
		case c.captured == 0:
			return 0, invalid(codeNotCaptured, "charge", "no money was taken")
		case c.captured == c.refunded:
			return 0, invalid(codeAlreadyRefunded, "charge", "the charge is refunded in full")
		case c.captured <= c.refunded+c.chargedBack:
			return 0, invalid(codeDisputed, "charge", "the customer's bank has taken back what is left")
		}
		return c.captured - c.refunded - c.chargedBack, nil
	}
	switch {
	case c.entry.Type == TypeDecline:
		return 0, invalid(codeNotAuthorized, "charge", "the charge was declined")
	case c.voided:
		return 0, invalid(codeVoided, "charge", "the authorization was voided")
	case c.captured > 0:
		return 0, invalid(codeAlreadyCaptured, "charge", "the money was taken")
	}
	return c.entry.AmountMinor, nil
}

func followOf(e Entry) followObject {
	return followObject{
		ID:             e.ID,
		Status:         "succeeded",
		Charge:         e.Charge,
		AmountMinor:    e.AmountMinor,
		Currency:       e.Currency,
		IdempotencyKey: e.IdempotencyKey,
		Created:        e.At,
	}
}

// showFollow shows the captures, voids or refunds among what a lookup has found.
func showFollow(op EntryType) func([]*Entry) (any, error) {
	return func(effects []*Entry) (any, error) {
		found := list[followObject]{Data: []followObject{}}
		for _, e := range effects {
			if e.Type == op {
				found.Data = append(found.Data, followOf(*e))
			}
		}
		return found, nil
	}
}
