package pspsim

import (
	"errors"
	"net/http"
	"time"
)

type chargeRequest struct {
	AmountMinor   int64  `json:"amount_minor"`
	Currency      string `json:"currency"`
	PaymentMethod string `json:"payment_method"`
	Reference     string `json:"reference"`
	Description   string `json:"description"`
	AuthorizeOnly bool   `json:"authorize_only,omitempty"`
}

type chargeObject struct {
	ID                  string    `json:"id"`
	Status              string    `json:"status"` // captured, authorized, voided or declined
	DeclineCode         string    `json:"decline_code,omitempty"`
	AmountMinor         int64     `json:"amount_minor"`
	AmountCapturedMinor int64     `json:"amount_captured_minor"`
	AmountRefundedMinor int64     `json:"amount_refunded_minor"`
	AmountDisputedMinor int64     `json:"amount_disputed_minor"` // by chargebacks that are not reversed
	Currency            string    `json:"currency"`
	AuthorizeOnly       bool      `json:"authorize_only,omitempty"`
	PaymentMethod       string    `json:"payment_method"`
	Reference           string    `json:"reference"`
	IdempotencyKey      string    `json:"idempotency_key"`
	Created             time.Time `json:"created"`
}

func (s *Server) createCharge(r *http.Request, body []byte) (reply, error) {
	key, err := idempotencyKey(r)
	if err != nil {
		return reply{}, err
	}
	var req chargeRequest
	if err := decode(body, &req); err != nil {
		return reply{}, err
	}
	if err := req.validate(); err != nil {
		return reply{}, err
	}
	op := TypeCharge
	if req.AuthorizeOnly {
		op = TypeAuthorize
	}
	fingerprint := fingerprintOf("charge", req)
	return s.perform(r.Context(), operation{
		op: op, key: key, fingerprint: fingerprint, method: req.PaymentMethod, answer: firstAnswer,
		record: func(delta int64, decline string) (Entry, error) {
			e := Entry{
				Type: op, ID: newID("ch_"), IdempotencyKey: key,
				AmountMinor: max(1, req.AmountMinor+delta), Currency: req.Currency, Reference: req.Reference,
				PaymentMethod: req.PaymentMethod, AuthorizeOnly: req.AuthorizeOnly, Fingerprint: fingerprint,
			}
			if decline != "" {
				e.Type, e.DeclineCode = TypeDecline, decline
			}
			return s.book.record(e)
		},
	})
}

// firstAnswer is what the request that caused e is told, and every replay of it.
func firstAnswer(e Entry) reply {
	if e.Type == TypeDecline {
		return declined(e).reply()
	}
	c := charge{entry: e}
	if e.Type == TypeCharge {
		c.captured = e.AmountMinor
	}
	return reply{status: http.StatusCreated, body: c.object()}
}

func declined(e Entry) *apiError {
	return &apiError{status: http.StatusPaymentRequired, Type: typeCard, Code: codeCardDeclined,
		DeclineCode: e.DeclineCode, Message: "the card was declined", Charge: e.ID}
}

// object shows the charge as it stands.
func (c charge) object() chargeObject {
	e := c.entry
	return chargeObject{
		ID:                  e.ID,
		Status:              c.status(),
		DeclineCode:         e.DeclineCode,
		AmountMinor:         e.AmountMinor,
		AmountCapturedMinor: c.captured,
		AmountRefundedMinor: c.refunded,
		AmountDisputedMinor: c.chargedBack,
		Currency:            e.Currency,
		AuthorizeOnly:       e.AuthorizeOnly,
		PaymentMethod:       e.PaymentMethod,
		Reference:           e.Reference,
		IdempotencyKey:      e.IdempotencyKey,
		Created:             e.At,
	}
}

func (c charge) status() string {
	switch {
	case c.entry.Type == TypeDecline:
		return "declined"
	case c.voided:
		return "voided"
	case c.captured > 0:
		return "captured"
	}
	return "authorized"
}

func (r chargeRequest) validate() error {
	if r.AmountMinor <= 0 {
		return invalid(codeInvalidParam, "amount_minor", "must be positive")
	}
	if !isCurrency(r.Currency) {
		return invalid(codeInvalidParam, "currency", "must be three upper case letters")
	}
	if r.Reference == "" || len(r.Reference) > 255 {
		return invalid(codeInvalidParam, "reference", "must have 1 to 255 bytes")
	}
	if len(r.Description) > 1000 {
		return invalid(codeInvalidParam, "description", "must have at most 1000 bytes")
	}
	if _, known := methods[r.PaymentMethod]; !known {
		return invalid(codeMissing, "payment_method", "there is no such payment method")
	}
	return nil
}

// isCurrency checks the form only: which currencies there are is for the caller
// and this provider to disagree about.
func isCurrency(code string) bool {
	for _, c := range []byte(code) {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(code) == 3
}

func isInFlight(err error) bool {
	refused, ok := errors.AsType[*apiError](err)
	return ok && refused.Code == codeKeyInFlight
}

// getCharge shows a charge as it stands.
func (s *Server) getCharge(r *http.Request, _ []byte) (reply, error) {
	c, err := s.book.chargeByID(r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	if c == nil {
		return reply{}, notFound("id", "there is no such charge")
	}
	return reply{status: http.StatusOK, body: c.object()}, nil
}

// showCharges shows what was charged, authorized or declined among what a lookup has found.
func (s *Server) showCharges(effects []*Entry) (any, error) {
	found := list[chargeObject]{Data: []chargeObject{}}
	for _, e := range effects {
		if e.Charge != "" {
			continue // it followed one
		}
		c, err := s.book.chargeByID(e.ID)
		if err != nil {
			return nil, err
		}
		found.Data = append(found.Data, c.object())
	}
	return found, nil
}
