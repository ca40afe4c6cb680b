package pspsim

import (
	"context"
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
}

type chargeObject struct {
	ID                  string    `json:"id"`
	Status              string    `json:"status"` // captured or declined
	DeclineCode         string    `json:"decline_code,omitempty"`
	AmountMinor         int64     `json:"amount_minor"`
	AmountRefundedMinor int64     `json:"amount_refunded_minor"`
	Currency            string    `json:"currency"`
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
	how, err := req.validate()
	if err != nil {
		return reply{}, err
	}
	fingerprint := fingerprintOf("charge", req)
	effect, requests, err := s.book.begin(key, fingerprint)
	if how.answer == never && (effect != nil || isInFlight(err)) {
		return reply{}, hold(r.Context())
	}
	if err != nil {
		return reply{}, err
	}
	if effect != nil {
		answer := firstAnswer(*effect)
		answer.replayed = true
		return answer, nil
	}
	defer s.book.end(key)
	if requests <= how.failures {
		return reply{}, &apiError{status: http.StatusInternalServerError, Type: typeAPI, Code: codeInternal,
			Message: "something went wrong on the provider's side"}
	}
	return s.charge(r.Context(), how, Entry{
		Type:           how.effect,
		ID:             newID("ch_"),
		IdempotencyKey: key,
		AmountMinor:    req.AmountMinor,
		Currency:       req.Currency,
		Reference:      req.Reference,
		PaymentMethod:  req.PaymentMethod,
		DeclineCode:    how.decline,
		Fingerprint:    fingerprint,
	})
}

// charge lets the effect of a fresh request happen, if its behaviour has one,
// and answers when the behaviour says so. The effect does not depend on whether
// the client is still there.
func (s *Server) charge(ctx context.Context, how behaviour, e Entry) (reply, error) {
	if how.effect != "" {
		var err error
		if e, err = s.book.record(e); err != nil {
			return reply{}, err
		}
	}
	switch how.answer {
	case never:
		return reply{}, hold(ctx)
	case slowly:
		if err := s.dawdle(ctx); err != nil {
			return reply{}, err
		}
	}
	return firstAnswer(e), nil
}

// firstAnswer is what the request that caused e is told, and every replay of it.
func firstAnswer(e Entry) reply {
	if e.Type == TypeDecline {
		return declined(e).reply()
	}
	return reply{status: http.StatusCreated, body: chargeOf(e, 0)}
}

func declined(e Entry) *apiError {
	return &apiError{status: http.StatusPaymentRequired, Type: typeCard, Code: codeCardDeclined,
		DeclineCode: e.DeclineCode, Message: "the card was declined", Charge: e.ID}
}

func chargeOf(e Entry, refunded int64) chargeObject {
	status := "captured"
	if e.Type == TypeDecline {
		status = "declined"
	}
	return chargeObject{
		ID:                  e.ID,
		Status:              status,
		DeclineCode:         e.DeclineCode,
		AmountMinor:         e.AmountMinor,
		AmountRefundedMinor: refunded,
		Currency:            e.Currency,
		PaymentMethod:       e.PaymentMethod,
		Reference:           e.Reference,
		IdempotencyKey:      e.IdempotencyKey,
		Created:             e.At,
	}
}

func (r chargeRequest) validate() (behaviour, error) {
	if r.AmountMinor <= 0 {
		return behaviour{}, invalid(codeInvalidParam, "amount_minor", "must be positive")
	}
	if !isCurrency(r.Currency) {
		return behaviour{}, invalid(codeInvalidParam, "currency", "must be three upper case letters")
	}
	if r.Reference == "" || len(r.Reference) > 255 {
		return behaviour{}, invalid(codeInvalidParam, "reference", "must have 1 to 255 bytes")
	}
	if len(r.Description) > 1000 {
		return behaviour{}, invalid(codeInvalidParam, "description", "must have at most 1000 bytes")
	}
	how, known := behaviours[r.PaymentMethod]
	if !known {
		return behaviour{}, invalid(codeMissing, "payment_method", "there is no such payment method")
	}
	return how, nil
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
	entry, refunded, found, err := s.book.chargeByID(r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	if !found {
		return reply{}, notFound("id", "there is no such charge")
	}
	return reply{status: http.StatusOK, body: chargeOf(entry, refunded)}, nil
}

// findCharges looks a charge up by its idempotency key.
func (s *Server) findCharges(r *http.Request, _ []byte) (reply, error) {
	effect, err := s.lookup(r)
	if err != nil {
		return reply{}, err
	}
	found := list[chargeObject]{Data: []chargeObject{}}
	if effect != nil && effect.Type != TypeRefund {
		entry, refunded, _, err := s.book.chargeByID(effect.ID)
		if err != nil {
			return reply{}, err
		}
		found.Data = append(found.Data, chargeOf(entry, refunded))
	}
	return reply{status: http.StatusOK, body: found}, nil
}
