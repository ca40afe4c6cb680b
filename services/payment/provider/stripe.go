package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/tieout/tieout/pkg/rpc"
)

// StripeConfig says how an account at Stripe is reached, and what is known of Stripe.
type StripeConfig struct {
	// SecretKey of the account, "sk_live_…", or a restricted one that may write PaymentIntents and Refunds.
	SecretKey string `koanf:"secret_key"`
	// URL is the base of the API. Default Stripe's.
	URL string `koanf:"url"`
	// Timeout is how long one call may take. Default 20 s: a card network may take its time.
	Timeout time.Duration `koanf:"timeout"`
	// NotFoundLag is how long a PaymentIntent may be missing from its search, which is what lookups use. Default 1 h:
	// it is less than a minute on good days, and Stripe warns of an hour on others.
	NotFoundLag time.Duration `koanf:"not_found_lag"`
	// KeyLifetime is how long an idempotency key is remembered. Default 24 h, as Stripe promises.
	KeyLifetime time.Duration `koanf:"key_lifetime"`
	// Webhook says which webhooks are believed.
	Webhook WebhookConfig `koanf:"webhook"`
	// Breaker says when calls are held back because Stripe is down. Its window is at least three times Timeout.
	Breaker rpc.BreakerConfig `koanf:"breaker"`
}

// The metadata that PaymentIntents and Refunds carry. Reconciliation finds them in the payout report.
const (
	metaKey        = "tieout_key"         // of the charge, authorization or refund
	metaCaptureKey = "tieout_capture_key" // of the capture of an authorization
	metaOrder      = "order_id"           // the reference
)

// Stripe is the connector to an account at Stripe. A charge or authorization is a PaymentIntent, confirmed off session
// as it is made; the provider's id of it is the PaymentIntent's, and a capture or void has no other. A payment method
// that is attached to a customer is named "cus_…/pm_…".
type Stripe struct {
	*account
	client       *stripe.Client
	webhook      WebhookConfig
	capabilities Capabilities
}

// NewStripe makes the connector. It does not wait for Stripe to answer. Errors are faults of the configuration.
func NewStripe(cfg StripeConfig, in Instruments) (*Stripe, error) {
	cfg.URL = cmp.Or(cfg.URL, stripe.APIURL)
	cfg.Timeout = cmp.Or(cfg.Timeout, 20*time.Second)
	cfg.NotFoundLag = cmp.Or(cfg.NotFoundLag, time.Hour)
	cfg.KeyLifetime = cmp.Or(cfg.KeyLifetime, 24*time.Hour)
	if cfg.SecretKey == "" {
		return nil, errors.New("secret_key: there is none")
	}
	if cfg.Timeout < 0 || cfg.NotFoundLag < 0 || cfg.KeyLifetime < 0 || cfg.Webhook.Tolerance < 0 {
		return nil, errors.New("timeout, not_found_lag, key_lifetime and webhook.tolerance must not be less than zero")
	}
	a, err := newAccount(useStripe, cfg.Timeout, cfg.Breaker, in)
	if err != nil {
		return nil, err
	}
	client := newHTTPClient(cfg.Timeout)
	client.Transport = watchedTransport{client.Transport}
	return &Stripe{
		account: a,
		client: stripe.NewClient(cfg.SecretKey, stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
			URL: &cfg.URL, HTTPClient: client, EnableTelemetry: new(false),
			// The engine retries, and nobody else.
			MaxNetworkRetries: stripe.Int64(0),
			LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		}))),
		webhook: cfg.Webhook,
		capabilities: Capabilities{
			Operations:  []Op{Charge, Authorize, Capture, Void, Refund},
			LookUpByKey: true, PartialCaptures: true, PartialRefunds: true,
			CallTimeout: cfg.Timeout, NotFoundLag: cfg.NotFoundLag, KeyLifetime: cfg.KeyLifetime,
		},
	}, nil
}

// Capabilities implements Provider.
func (s *Stripe) Capabilities() Capabilities { return s.capabilities }

// Do implements Provider.
func (s *Stripe) Do(ctx context.Context, r Request) Outcome {
	minor, err := stripeAmount(r.Amount)
	if err != nil {
		return declined("", "amount_not_representable")
	}
	switch r.Op {
	case Charge, Authorize:
		return s.pay(ctx, r, minor)
	case Capture:
		return stripeCall(ctx, s, "POST capture", func(ctx context.Context) (*stripe.PaymentIntent, error) {
			p := &stripe.PaymentIntentCaptureParams{AmountToCapture: &minor, Metadata: map[string]string{metaCaptureKey: r.Key}}
			p.SetIdempotencyKey(r.Key)
			return s.client.V1PaymentIntents.Capture(ctx, r.ChargeID, p)
		}, sure(r.captured))
	case Void:
		return stripeCall(ctx, s, "POST cancel", func(ctx context.Context) (*stripe.PaymentIntent, error) {
			p := &stripe.PaymentIntentCancelParams{}
			p.SetIdempotencyKey(r.Key)
			return s.client.V1PaymentIntents.Cancel(ctx, r.ChargeID, p)
		}, sure(r.voided))
	case Refund:
		return stripeCall(ctx, s, "POST refund", func(ctx context.Context) (*stripe.Refund, error) {
			p := &stripe.RefundCreateParams{PaymentIntent: &r.ChargeID, Amount: &minor, Metadata: map[string]string{metaKey: r.Key}}
			p.SetIdempotencyKey(r.Key)
			return s.client.V1Refunds.Create(ctx, p)
		}, r.refunded)
	}
	return cannot(r)
}

// pay makes and confirms a PaymentIntent.
func (s *Stripe) pay(ctx context.Context, r Request, minor int64) Outcome {
	capture := stripe.PaymentIntentCaptureMethodAutomatic
	if r.Op == Authorize {
		capture = stripe.PaymentIntentCaptureMethodManual
	}
	p := &stripe.PaymentIntentCreateParams{
		Amount: &minor, Currency: stripe.String(strings.ToLower(string(r.Amount.Currency))),
		PaymentMethodTypes: stripe.StringSlice([]string{"card"}), CaptureMethod: stripe.String(capture),
		Confirm: new(true), OffSession: new(true),
		Metadata: map[string]string{metaKey: r.Key, metaOrder: r.Reference},
	}
	customer, method, attached := strings.Cut(r.PaymentMethod, "/")
	if attached {
		p.Customer = &customer
	} else {
		method = customer
	}
	p.PaymentMethod = &method
	p.SetIdempotencyKey(r.Key)
	return stripeCall(ctx, s, "POST payment_intent", func(ctx context.Context) (*stripe.PaymentIntent, error) {
		return s.client.V1PaymentIntents.Create(ctx, p)
	}, r.paid)
}

// LookUp implements Provider.
func (s *Stripe) LookUp(ctx context.Context, r Request) Outcome {
	retrieve := func(ctx context.Context) (*stripe.PaymentIntent, error) {
		return s.client.V1PaymentIntents.Retrieve(ctx, r.ChargeID, nil)
	}
	switch r.Op {
	case Charge, Authorize:
		return stripeCall(ctx, s, "GET payment_intents/search", func(ctx context.Context) ([]*stripe.PaymentIntent, error) {
			p := &stripe.PaymentIntentSearchParams{SearchParams: stripe.SearchParams{Query: searchByKey(r.Key)}}
			return gather(s.client.V1PaymentIntents.Search(ctx, p).All(ctx))
		}, r.found)
	case Capture:
		return lookedUp(stripeCall(ctx, s, "GET payment_intent", retrieve, r.captured))
	case Void:
		return lookedUp(stripeCall(ctx, s, "GET payment_intent", retrieve, r.voided))
	case Refund:
		return lookedUp(stripeCall(ctx, s, "GET refunds", func(ctx context.Context) ([]*stripe.Refund, error) {
			return gather(s.client.V1Refunds.List(ctx, &stripe.RefundListParams{PaymentIntent: &r.ChargeID}).All(ctx))
		}, r.foundRefund))
	}
	return cannot(r)
}

// searchByKey is a query of Stripe's search language.
func searchByKey(key string) string {
	return fmt.Sprintf(`metadata["%s"]:"%s"`, metaKey, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key))
}

// gather takes everything of a list.
func gather[T any](all func(yield func(T, error) bool)) (items []T, err error) {
	for item, err := range all {
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// lookedUp makes a refusal to be looked up what it is: no word about what became of the request.
func lookedUp(o Outcome) Outcome {
	if o.Kind == MethodUnknown || o.Kind == Declined && o.Reason == string(stripe.ErrorCodeResourceMissing) {
		return unknown("the lookup was refused: %s", o.Reason)
	}
	return o
}

// sure reads the answer to a request that was carried out: if nothing is to be seen of it, that is not believed.
func sure[T any](read func(T) Outcome) func(T) Outcome {
	return func(answer T) Outcome {
		if o := read(answer); o.Kind != NotFound {
			return o
		}
		return unknown("the answer shows no effect")
	}
}

// stripeCall makes one call and reads what it is answered. An answer below 500 that came whole speaks not against
// Stripe, whatever it says.
func stripeCall[T any](ctx context.Context, s *Stripe, name string, send func(context.Context) (T, error), read func(T) Outcome) Outcome {
	var got T
	var refused error
	err := s.call(ctx, name, func(ctx context.Context) (err error) {
		var a stripeAnswer
		got, err = send(context.WithValue(ctx, answerKey{}, &a))
		if err != nil && a.whole.Load() && a.status.Load() < http.StatusInternalServerError {
			refused = err
			return nil
		}
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return fmt.Errorf("%w: %w", cause, err)
		}
		return err
	})
	switch {
	case err != nil:
		return withoutAnswer(err)
	case refused != nil:
		return stripeRefusal(refused)
	}
	return read(got)
}

// stripeAnswer is what is seen of an answer: stripe-go tells its status only when it understands the rest.
type stripeAnswer struct {
	status atomic.Int64
	whole  atomic.Bool // its body came to its end
}

// answerKey is where a call keeps what is seen of its answer.
type answerKey struct{}

// watchedTransport keeps what is seen of each answer, and bounds its length.
type watchedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t watchedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	a, ok := r.Context().Value(answerKey{}).(*stripeAnswer)
	if !ok {
		a = &stripeAnswer{}
	}
	a.whole.Store(false)
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	a.status.Store(int64(resp.StatusCode))
	resp.Body = &watchedBody{Reader: io.LimitReader(resp.Body, maxStripeAnswer), Closer: resp.Body, answer: a}
	return resp, nil
}

// watchedBody notes that a body came to its end.
type watchedBody struct {
	io.Reader
	io.Closer
	answer *stripeAnswer
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.answer.whole.Store(true)
	}
	return n, err
}

// maxStripeAnswer bounds an answer's body, in bytes: a page of a list.
const maxStripeAnswer = 4 << 20
