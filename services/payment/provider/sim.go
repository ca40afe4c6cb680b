package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpc"
)

// SimConfig says how the provider simulator is reached, and what it declares about itself.
type SimConfig struct {
	// URL is the base of its API, "http://127.0.0.1:7490".
	URL string `koanf:"url"`
	// Timeout is how long one call may take.
	Timeout time.Duration `koanf:"timeout"`
	// NotFoundLag is how long a request that reached it may still be missing from its lookups.
	NotFoundLag time.Duration `koanf:"not_found_lag"`
	// KeyLifetime is how long it remembers an idempotency key; zero means for ever.
	KeyLifetime time.Duration `koanf:"key_lifetime"`
	// Breaker says when calls are held back because it is down.
	Breaker rpc.BreakerConfig `koanf:"breaker"`
}

// DefaultSimConfig is the configuration where nothing else is said; the URL has no default.
func DefaultSimConfig() SimConfig {
	return SimConfig{Timeout: 2 * time.Second, NotFoundLag: time.Second}
}

func (c SimConfig) validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("url: %q is not the http(s) URL of a payment provider", c.URL)
	}
	if c.Timeout <= 0 || c.NotFoundLag < 0 || c.KeyLifetime < 0 {
		return errors.New("timeout must be more than zero, not_found_lag and key_lifetime not less")
	}
	return nil
}

// Instruments are what a connector logs, counts and traces with.
type Instruments struct {
	Log    *slog.Logger
	Meter  metric.Meter
	Tracer trace.Tracer
}

// Sim is the connector to the provider simulator, over HTTP.
type Sim struct {
	http         *httpCaller
	capabilities Capabilities
}

// NewSim makes the connector. It does not wait for the provider to answer. Errors are faults of the configuration.
func NewSim(cfg SimConfig, in Instruments) (*Sim, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	caller, err := newHTTPCaller(cfg, in)
	if err != nil {
		return nil, err
	}
	return &Sim{http: caller, capabilities: Capabilities{
		CallTimeout: cfg.Timeout, NotFoundLag: cfg.NotFoundLag, KeyLifetime: cfg.KeyLifetime,
	}}, nil
}

// Capabilities implements Provider.
func (s *Sim) Capabilities() Capabilities { return s.capabilities }

// simCharge is a charge as the simulator shows it.
type simCharge struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	DeclineCode    string `json:"decline_code"`
	AmountMinor    int64  `json:"amount_minor"`
	Currency       string `json:"currency"`
	IdempotencyKey string `json:"idempotency_key"`
}

// simRefund is a refund as the simulator shows it.
type simRefund struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	Charge         string `json:"charge"`
	AmountMinor    int64  `json:"amount_minor"`
	Currency       string `json:"currency"`
	IdempotencyKey string `json:"idempotency_key"`
}

// simError is an answer that is not 2xx.
type simError struct {
	Error struct {
		Type        string `json:"type"`
		Code        string `json:"code"`
		DeclineCode string `json:"decline_code"`
		Param       string `json:"param"`
		Charge      string `json:"charge"`
	} `json:"error"`
}

// Charge implements Provider.
func (s *Sim) Charge(ctx context.Context, r ChargeRequest) Outcome {
	a, err := s.http.post(ctx, "/v1/charges", r.Key, map[string]any{
		"amount_minor": r.Amount.Minor, "currency": r.Amount.Currency,
		"payment_method": r.PaymentMethod, "reference": r.Reference,
	})
	if err != nil {
		return withoutAnswer(err)
	}
	return created(a, func(c simCharge) Outcome { return chargeOutcome(c, r) })
}

// LookupCharge implements Provider.
func (s *Sim) LookupCharge(ctx context.Context, r ChargeRequest) Outcome {
	a, err := s.http.find(ctx, "/v1/charges", r.Key)
	if err != nil {
		return withoutAnswer(err)
	}
	return found(a, func(c simCharge) Outcome { return chargeOutcome(c, r) })
}

// Refund implements Provider.
func (s *Sim) Refund(ctx context.Context, r RefundRequest) Outcome {
	a, err := s.http.post(ctx, "/v1/refunds", r.Key, map[string]any{
		"charge": r.ChargeID, "amount_minor": r.Amount.Minor,
	})
	if err != nil {
		return withoutAnswer(err)
	}
	return created(a, func(c simRefund) Outcome { return refundOutcome(c, r) })
}

// LookupRefund implements Provider.
func (s *Sim) LookupRefund(ctx context.Context, r RefundRequest) Outcome {
	a, err := s.http.find(ctx, "/v1/refunds", r.Key)
	if err != nil {
		return withoutAnswer(err)
	}
	return found(a, func(c simRefund) Outcome { return refundOutcome(c, r) })
}

// chargeOutcome reads a charge. One that is not what was asked for is no answer to it: a person must look.
func chargeOutcome(c simCharge, r ChargeRequest) Outcome {
	got := money.Amount{Currency: money.Currency(c.Currency), Minor: c.AmountMinor}
	if c.ID == "" || c.IdempotencyKey != r.Key || got != r.Amount {
		return unknown("charge %q is %s under key %q, asked for was %s under %q", c.ID, got, c.IdempotencyKey, r.Amount, r.Key)
	}
	switch c.Status {
	case "captured":
		return Outcome{Kind: Succeeded, ID: c.ID}
	case "declined":
		return declined(c.ID, c.DeclineCode)
	}
	return unknown("charge %s has status %q", c.ID, c.Status)
}

func refundOutcome(c simRefund, r RefundRequest) Outcome {
	got := money.Amount{Currency: money.Currency(c.Currency), Minor: c.AmountMinor}
	if c.ID == "" || c.IdempotencyKey != r.Key || c.Charge != r.ChargeID || got != r.Amount || c.Status != "succeeded" {
		return unknown("refund %q of %s is %s, %q, under key %q; asked for was %s of %s under %q",
			c.ID, c.Charge, got, c.Status, c.IdempotencyKey, r.Amount, r.ChargeID, r.Key)
	}
	return Outcome{Kind: Succeeded, ID: c.ID}
}

// created reads the answer to a POST.
func created[T any](a answer, outcome func(T) Outcome) Outcome {
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		return refusal(a)
	}
	var made T
	if err := json.Unmarshal(a.body, &made); err != nil {
		return unknown("decoding answer: %w", err)
	}
	return outcome(made)
}

// found reads the answer to a lookup. Only a list that is there and empty says that there is nothing.
func found[T any](a answer, outcome func(T) Outcome) Outcome {
	var list struct {
		Data []T `json:"data"`
	}
	if a.status != http.StatusOK {
		return unknown("lookup was answered %d", a.status)
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return unknown("decoding answer: %w", err)
	}
	switch {
	case list.Data == nil || len(list.Data) > 1:
		return unknown("lookup was answered with %d results", len(list.Data))
	case len(list.Data) == 0:
		return Outcome{Kind: NotFound}
	}
	return outcome(list.Data[0])
}

// refusal reads an answer that is not 2xx. Only a card error and an invalid request are definite; a key in use,
// a body that came too slowly, too many requests and whatever did not come from the provider itself are not.
func refusal(a answer) Outcome {
	var e simError
	if err := json.Unmarshal(a.body, &e); err != nil {
		return unknown("answered %d without an error that can be read: %w", a.status, err)
	}
	switch a.status {
	case http.StatusBadRequest, http.StatusPaymentRequired, http.StatusNotFound:
	default:
		return unknown("answered %d %s %s", a.status, e.Error.Type, e.Error.Code)
	}
	switch e.Error.Type {
	case "card_error":
		return declined(e.Error.Charge, cmp.Or(e.Error.DeclineCode, e.Error.Code))
	case "invalid_request_error":
		o := declined("", e.Error.Code)
		if e.Error.Param == "payment_method" {
			o.Kind = MethodUnknown
		}
		return o
	}
	return unknown("answered %d %s %s", a.status, e.Error.Type, e.Error.Code)
}

// declined is a no, which always has a reason.
func declined(chargeID, reason string) Outcome {
	return Outcome{Kind: Declined, ID: chargeID, Reason: cmp.Or(reason, "declined")}
}

func unknown(format string, args ...any) Outcome {
	return Outcome{Kind: Unknown, Err: fmt.Errorf(format, args...)}
}
