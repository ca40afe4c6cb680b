package provider_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/payment/provider"
	"github.com/tieout/tieout/services/payment/provider/providertest"
)

func newStripe(t *testing.T, url string) *provider.Stripe {
	t.Helper()
	s, err := provider.NewStripe(provider.StripeConfig{
		SecretKey: "sk_test_123", URL: url, Timeout: 10 * time.Second, Webhook: provider.WebhookConfig{Secret: webhookSecret},
	}, instruments())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signed(body []byte, at time.Time) http.Header {
	p := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: webhookSecret, Timestamp: at})
	return http.Header{"Stripe-Signature": {p.Header}}
}

// Every request is checked by Stripe's own mock against Stripe's specification.
func TestStripe_Conforms(t *testing.T) {
	t.Parallel()
	fake, url := startStripeFake(t)
	providertest.Run(t, providertest.Harness{
		Provider: newStripe(t, url), Method: "pm_card_visa", Unknown: "pm_none",
		Declined: "pm_card_visa_chargeDeclinedInsufficientFunds", Reason: "insufficient_funds",
		LoseAnswer: func(*testing.T) {
			fake.mu.Lock()
			defer fake.mu.Unlock()
			fake.lose = true
		},
		Effects: func(_ *testing.T, key string) int {
			fake.mu.Lock()
			defer fake.mu.Unlock()
			return fake.effects[key]
		},
		Webhook: func(t *testing.T, key string) (http.Header, []byte) {
			fake.mu.Lock()
			defer fake.mu.Unlock()
			body := fake.event("payment_intent.succeeded", fake.matching(strconv.Quote(key))[0])
			return signed(body, time.Now()), body
		},
		Chargeback: func(_ *testing.T, chargeID string) (http.Header, []byte) {
			body := fake.dispute(chargeID)
			return signed(body, time.Now()), body
		},
		WinChargeback: func(_ *testing.T, chargebackID string) (http.Header, []byte) {
			body := fake.winDispute(chargebackID)
			return signed(body, time.Now()), body
		},
	})
}

func TestStripe_TellsAnswersApart(t *testing.T) {
	t.Parallel()
	const intent = `"id": "pi_1", "amount": 1250, "currency": "gbp", "capture_method": "automatic", "metadata": {"tieout_key": "k"}`
	fails := func(kind, more string) string { return `{"error": {"type": "` + kind + `"` + more + `}}` }
	tests := map[string]struct {
		status int
		body   string
		want   provider.Outcome
	}{
		"succeeded":          {200, `{` + intent + `, "status": "succeeded"}`, provider.Outcome{Kind: provider.Succeeded, ID: "pi_1"}},
		"processing":         {200, `{` + intent + `, "status": "processing"}`, provider.Outcome{}},
		"canceled":           {200, `{` + intent + `, "status": "canceled"}`, provider.Outcome{}},
		"nothing of it":      {200, `{}`, provider.Outcome{}},
		"not JSON":           {200, `<html>`, provider.Outcome{}},
		"cut off":            {200, `{"id": "pi_`, provider.Outcome{}},
		"redirect":           {302, ``, provider.Outcome{}},
		"card_error":         {402, fails("card_error", `, "code": "card_declined", "decline_code": "lost_card", "payment_intent": {"id": "pi_2"}`), provider.Outcome{Kind: provider.Declined, ID: "pi_2", Reason: "lost_card"}},
		"card_error, bare":   {402, fails("card_error", `, "code": "authentication_required", "charge": "ch_1"`), provider.Outcome{Kind: provider.Declined, ID: "ch_1", Reason: "authentication_required"}},
		"no such method":     {400, fails("invalid_request_error", `, "code": "resource_missing", "param": "payment_method"`), provider.Outcome{Kind: provider.MethodUnknown, Reason: "resource_missing"}},
		"invalid request":    {400, fails("invalid_request_error", `, "code": "amount_too_small"`), provider.Outcome{Kind: provider.Declined, Reason: "amount_too_small"}},
		"nothing there":      {404, fails("invalid_request_error", `, "code": "resource_missing"`), provider.Outcome{Kind: provider.Declined, Reason: "resource_missing"}},
		"somebody's 404":     {404, `page not found`, provider.Outcome{}},
		"bad credentials":    {401, fails("invalid_request_error", ``), provider.Outcome{}},
		"no permission":      {403, fails("invalid_request_error", ``), provider.Outcome{}},
		"key in use":         {409, fails("invalid_request_error", `, "code": "idempotency_key_in_use"`), provider.Outcome{}},
		"lock timeout":       {429, fails("invalid_request_error", `, "code": "lock_timeout"`), provider.Outcome{}},
		"too many requests":  {429, fails("rate_limit", `, "code": "rate_limit"`), provider.Outcome{}},
		"a proxy's 429":      {429, `slow down`, provider.Outcome{}},
		"idempotency_error":  {400, fails("idempotency_error", ``), provider.Outcome{}},
		"api_error":          {500, fails("api_error", ``), provider.Outcome{}},
		"api_error of a 400": {400, fails("api_error", ``), provider.Outcome{}},
		"bad gateway":        {502, `<html>`, provider.Outcome{}},
		"unavailable":        {503, ``, provider.Outcome{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			t.Cleanup(server.Close)
			got := newStripe(t, server.URL).Do(t.Context(), provider.Request{
				Op: provider.Charge, Key: "k", Amount: money.Amount{Currency: "GBP", Minor: 1250}, PaymentMethod: "pm_card_visa", Reference: "ord_1",
			})
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(provider.Outcome{}, "Err")); diff != "" {
				t.Errorf("outcome (-want +got):\n%s\nerror: %v", diff, got.Err)
			}
			if (got.Err != nil) != (tt.want.Kind == provider.Unknown) {
				t.Errorf("got error %v with %s", got.Err, got.Kind)
			}
			if calls != 1 {
				t.Errorf("it was asked %d times, want once", calls)
			}
		})
	}
}

func TestStripe_KnowsWhenNothingLeft(t *testing.T) {
	t.Parallel()
	got := newStripe(t, "http://127.0.0.1:1").Do(t.Context(), provider.Request{Op: provider.Charge, Key: "k", Amount: money.Amount{Currency: "GBP", Minor: 1}})
	if got.Kind != provider.NotSent {
		t.Errorf("got %s, error %v; want not sent", got.Kind, got.Err)
	}
}

func TestStripe_ReadsEventsOfWhatItWasAskedFor(t *testing.T) {
	t.Parallel()
	s := newStripe(t, "http://127.0.0.1:1")
	amount := func(minor int64) money.Amount { return money.Amount{Currency: "GBP", Minor: minor} }
	const manual = `"object": {"id": "pi_1", "amount": 1250, "amount_received": 1000, "currency": "gbp", "capture_method": "manual",
		"metadata": {"tieout_key": "a", "tieout_capture_key": "c"}`
	const refund = `"object": {"id": "re_1", "amount": 400, "currency": "gbp", "payment_intent": "pi_1", "metadata": {"tieout_key": "r"}, "status": `
	ok := provider.Outcome{Kind: provider.Succeeded, ID: "pi_1"}
	tests := map[string]struct {
		kind, data string
		want       provider.Event
	}{
		"authorized": {"payment_intent.amount_capturable_updated", manual + `}`,
			provider.Event{Op: provider.Authorize, Key: "a", ChargeID: "pi_1", Amount: amount(1250), Outcome: ok}},
		"captured in part": {"payment_intent.succeeded", manual + `}`,
			provider.Event{Op: provider.Capture, Key: "c", ChargeID: "pi_1", Amount: amount(1000), Outcome: ok}},
		"voided": {"payment_intent.canceled", manual + `}`,
			provider.Event{Op: provider.Void, ChargeID: "pi_1", Amount: amount(1250), Outcome: ok}},
		"declined": {"payment_intent.payment_failed", manual + `, "last_payment_error": {"code": "card_declined", "decline_code": "lost_card"}}`,
			provider.Event{Op: provider.Authorize, Key: "a", ChargeID: "pi_1", Amount: amount(1250),
				Outcome: provider.Outcome{Kind: provider.Declined, ID: "pi_1", Reason: "lost_card"}}},
		"refunded": {"refund.updated", refund + `"succeeded"}`,
			provider.Event{Op: provider.Refund, Key: "r", ChargeID: "pi_1", Amount: amount(400), Outcome: provider.Outcome{Kind: provider.Succeeded, ID: "re_1"}}},
		"refund failed": {"refund.failed", refund + `"failed", "failure_reason": "lost_or_stolen_card"}`,
			provider.Event{Op: provider.Refund, Key: "r", ChargeID: "pi_1", Amount: amount(400),
				Outcome: provider.Outcome{Kind: provider.Declined, ID: "re_1", Reason: "lost_or_stolen_card"}}},
		"refund pending":  {"refund.created", refund + `"pending"}`, provider.Event{}},
		"somebody else's": {"payment_intent.succeeded", `"object": {"id": "pi_9", "amount": 1, "currency": "gbp"}`, provider.Event{}},
		"about nothing":   {"customer.created", `"object": {"id": "cus_1"}`, provider.Event{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := time.Unix(1_700_000_000, 0).UTC()
			body := []byte(`{"id": "evt_1", "created": 1700000000, "type": "` + tt.kind + `", "data": {` + tt.data + `}}`)
			tt.want.ID, tt.want.At, tt.want.Type = "evt_1", at, tt.kind
			if tt.want.Op != "" {
				tt.want.Kind = provider.EventOutcome
			}
			got, err := s.VerifyWebhook(signed(body, at), body, at.Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}
