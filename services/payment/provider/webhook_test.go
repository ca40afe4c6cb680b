package provider_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/tieout/tieout/services/payment/provider"
)

func TestWebhook_IsBelievedWithEitherSecretAndWithinTheTolerance(t *testing.T) {
	t.Parallel()
	s, err := provider.NewStripe(provider.StripeConfig{SecretKey: "sk_test", Webhook: provider.WebhookConfig{
		Secret: "whsec_a", NextSecret: "whsec_b", Tolerance: time.Minute,
	}}, instruments())
	if err != nil {
		t.Fatal(err)
	}
	none, err := provider.NewStripe(provider.StripeConfig{SecretKey: "sk_test"}, instruments())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	body := []byte(`{"id": "evt_1", "created": 1700000000, "type": "customer.created", "data": {"object": {}}}`)
	with := func(secret string) string {
		return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at}).Header
	}
	_, ofB, _ := strings.Cut(with("whsec_b"), ",")
	for name, tt := range map[string]struct {
		account *provider.Stripe
		header  string
		now     time.Time
		want    error
	}{
		"the secret":                     {s, with("whsec_a"), at, nil},
		"the next one":                   {s, with("whsec_b"), at, nil},
		"several signatures":             {s, with("whsec_x") + "," + ofB, at, nil},
		"at the end of the tolerance":    {s, with("whsec_a"), at.Add(time.Minute), nil},
		"past it":                        {s, with("whsec_a"), at.Add(time.Minute + time.Second), provider.ErrStale},
		"before its time":                {s, with("whsec_a"), at.Add(-time.Minute - time.Second), provider.ErrStale},
		"another secret":                 {s, with("whsec_c"), at, provider.ErrForged},
		"the empty secret":               {s, with(""), at, provider.ErrForged},
		"no secret is known":             {none, with(""), at, provider.ErrForged},
		"a later time than was signed":   {s, strings.Replace(with("whsec_a"), "t=1700000000", "t=1700000001", 1), at, provider.ErrForged},
		"an older scheme":                {s, strings.Replace(with("whsec_a"), "v1=", "v0=", 1), at, provider.ErrForged},
		"no time":                        {s, ofB, at, provider.ErrForged},
		"a signature that is no number":  {s, "t=1700000000,v1=zz", at, provider.ErrForged},
		"nothing":                        {s, "", at, provider.ErrForged},
		"a signature that is cut off":    {s, with("whsec_a")[:40], at, provider.ErrForged},
		"forged and old: it is not told": {s, with("whsec_c"), at.Add(time.Hour), provider.ErrForged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tt.account.VerifyWebhook(http.Header{"Stripe-Signature": {tt.header}}, body, tt.now)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestWebhook_ThatCannotBeReadIsNoEvent(t *testing.T) {
	t.Parallel()
	s := newStripe(t, "http://127.0.0.1:1")
	now := time.Now()
	for _, body := range []string{
		``, `[]`, `{}`, `{"id": "evt_1"}`, `{"id": "evt_1", "created": 1, "type": "payment_intent.succeeded", "data": {"object": []}}`,
		`{"id": "evt_1", "created": 1, "type": "payment_intent.succeeded", "data": {"object": {"currency": "xxx", "metadata": {"tieout_key": "k"}}}}`,
	} {
		if e, err := s.VerifyWebhook(signed([]byte(body), now), []byte(body), now); err == nil || errors.Is(err, provider.ErrForged) || e != (provider.Event{}) {
			t.Errorf("%s: got %+v, error %v", body, e, err)
		}
	}
}
