package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

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
	// KeyLifetime is how long it remembers an idempotency key; zero means for ever. Default 24 h, as the simulator's.
	KeyLifetime time.Duration `koanf:"key_lifetime"`
	// Webhook says which of its webhooks are believed.
	Webhook WebhookConfig `koanf:"webhook"`
	// Breaker says when calls are held back because it is down. Its window is at least three times Timeout.
	Breaker rpc.BreakerConfig `koanf:"breaker"`
}

// DefaultSimConfig is the configuration where nothing else is said; the URL has no default.
func DefaultSimConfig() SimConfig {
	return SimConfig{Timeout: 2 * time.Second, NotFoundLag: time.Second, KeyLifetime: 24 * time.Hour}
}

func (c SimConfig) validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("url: %q is not the http(s) URL of a payment provider", c.URL)
	}
	if c.Timeout <= 0 || c.NotFoundLag < 0 || c.KeyLifetime < 0 || c.Webhook.Tolerance < 0 {
		return errors.New("timeout must be more than zero, not_found_lag, key_lifetime and webhook.tolerance not less")
	}
	return nil
}

// Sim is the connector to the provider simulator, over HTTP.
type Sim struct {
	*account
	http         *httpCaller
	webhook      WebhookConfig
	capabilities Capabilities
}

// NewSim makes the connector. It does not wait for the provider to answer. Errors are faults of the configuration.
func NewSim(cfg SimConfig, in Instruments) (*Sim, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimSuffix(cfg.URL, "/"))
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	a, err := newAccount(usePSP, cfg.Timeout, cfg.Breaker, in)
	if err != nil {
		return nil, err
	}
	return &Sim{
		account: a,
		http:    &httpCaller{account: a, base: base, client: newHTTPClient(cfg.Timeout)},
		webhook: cfg.Webhook,
		capabilities: Capabilities{
			Operations:  []Op{Charge, Authorize, Capture, Void, Refund},
			LookUpByKey: true, PartialCaptures: true, PartialRefunds: true,
			CallTimeout: cfg.Timeout, NotFoundLag: cfg.NotFoundLag, KeyLifetime: cfg.KeyLifetime,
		},
	}, nil
}

// Capabilities implements Provider.
func (s *Sim) Capabilities() Capabilities { return s.capabilities }

// simPaths are where each operation is asked for and looked up.
var simPaths = map[Op]string{
	Charge: "/v1/charges", Authorize: "/v1/charges", Capture: "/v1/captures", Void: "/v1/voids", Refund: "/v1/refunds",
}

// Do implements Provider.
func (s *Sim) Do(ctx context.Context, r Request) Outcome {
	path, known := simPaths[r.Op]
	if !known {
		return cannot(r)
	}
	body := map[string]any{"charge": r.ChargeID}
	if !r.Op.Follows() {
		body = map[string]any{"currency": r.Amount.Currency, "payment_method": r.PaymentMethod, "reference": r.Reference}
	}
	if r.Op == Authorize {
		body["authorize_only"] = true
	}
	if r.Op != Void { // which releases all there is
		body["amount_minor"] = r.Amount.Minor
	}
	a, err := s.http.post(ctx, path, r.Key, body)
	if err != nil {
		return withoutAnswer(err)
	}
	return created(a, r)
}

// LookUp implements Provider.
func (s *Sim) LookUp(ctx context.Context, r Request) Outcome {
	path, known := simPaths[r.Op]
	if !known {
		return cannot(r)
	}
	a, err := s.http.find(ctx, path, r.Key)
	if err != nil {
		return withoutAnswer(err)
	}
	return found(a, r)
}

// VerifyWebhook implements Provider.
func (s *Sim) VerifyWebhook(header http.Header, body []byte, now time.Time) (Event, error) {
	if err := s.webhook.verify(header.Get("Psp-Signature"), body, now); err != nil {
		return Event{}, err
	}
	var e simEvent
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("reading webhook: %w", err)
	}
	return e.event()
}
