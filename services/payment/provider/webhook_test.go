package provider_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/tieout/tieout/pkg/money"
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
		`{"id": "evt_1", "created": 1, "type": "charge.dispute.created", "data": {"object": {"id": "du_1", "payment_intent": "pi_1", "amount": 0, "currency": "gbp", "status": "lost"}}}`,
	} {
		if e, err := s.VerifyWebhook(signed([]byte(body), now), []byte(body), now); err == nil || errors.Is(err, provider.ErrForged) || e != (provider.Event{}) {
			t.Errorf("%s: got %+v, error %v", body, e, err)
		}
	}
}

// eventOf gives what an authentic webhook of Stripe's says, without what every event has.
func eventOf(t *testing.T, kind, object string) provider.Event {
	t.Helper()
	at := time.Now()
	body := []byte(`{"id": "evt_1", "created": 1700000000, "type": "` + kind + `", "data": {"object": ` + object + `}}`)
	e, err := newStripe(t, "http://127.0.0.1:1").VerifyWebhook(signed(body, at), body, at)
	if err != nil {
		t.Fatal(err)
	}
	e.ID, e.Type, e.At = "", "", time.Time{}
	return e
}

func TestStripe_ReadsDisputes(t *testing.T) {
	t.Parallel()
	const (
		created, closed       = "charge.dispute.created", "charge.dispute.closed"
		withdrawn, reinstated = "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated"
		taken                 = `{"id": "txn_1", "amount": -1250, "fee": 1500, "currency": "gbp"}`
		back                  = `{"id": "txn_2", "amount": 1250, "fee": -1500, "currency": "gbp"}`
	)
	gbp := func(minor int64) money.Amount { return money.Amount{Currency: "GBP", Minor: minor} }
	opened := provider.Event{Kind: provider.EventChargeback, ChargeID: "pi_1", Amount: gbp(1250), Fee: gbp(1500),
		Outcome: provider.Outcome{Kind: provider.Succeeded, ID: "du_1"}}
	won := opened
	won.Kind, won.Fee = provider.EventChargebackReversal, gbp(-1500)
	without := func(e provider.Event, fee money.Amount) provider.Event { e.Fee = fee; return e }
	for name, tt := range map[string]struct {
		kind, status, transactions string
		want                       provider.Event
	}{
		"opened":                          {created, "needs_response", taken, opened},
		"opened and answered at once":     {created, "under_review", taken, opened},
		"the money is withdrawn":          {withdrawn, "needs_response", taken, opened},
		"lost":                            {closed, "lost", taken, opened},
		"won":                             {closed, "won", taken + "," + back, won},
		"the money is reinstated":         {reinstated, "won", taken + "," + back, won},
		"an inquiry":                      {created, "warning_needs_response", "", provider.Event{}},
		"an inquiry that came to nothing": {closed, "warning_closed", "", provider.Event{}},
		"prevented":                       {closed, "prevented", "", provider.Event{}},
		"evidence":                        {"charge.dispute.updated", "under_review", taken, provider.Event{}},
		"a fee that is not told":          {created, "needs_response", "", without(opened, money.Amount{})},
		"a fee that is kept":              {closed, "won", taken, without(won, money.Amount{})},
		"a fee in another currency": {created, "needs_response", `{"id": "txn_1", "amount": -2000, "fee": 2500, "currency": "usd"}`,
			without(opened, money.Amount{Currency: "USD", Minor: 2500})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := eventOf(t, tt.kind, `{"id": "du_1", "charge": "ch_1", "payment_intent": "pi_1", "amount": 1250, "currency": "gbp",
				"status": "`+tt.status+`", "balance_transactions": [`+tt.transactions+`]}`)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
	const others = `{"id": "du_1", "charge": "ch_1", "payment_intent": null, "amount": 1250, "currency": "gbp", "status": "lost"}`
	if got := eventOf(t, closed, others); got != (provider.Event{}) {
		t.Errorf("got %+v of a charge that no payment intent made", got)
	}
}

func TestSim_ReadsEvents(t *testing.T) {
	t.Parallel()
	s, err := provider.NewSim(provider.SimConfig{URL: "http://127.0.0.1:1", Timeout: time.Second, Webhook: provider.WebhookConfig{Secret: webhookSecret}}, instruments())
	if err != nil {
		t.Fatal(err)
	}
	gbp := func(minor int64) money.Amount { return money.Amount{Currency: "GBP", Minor: minor} }
	const money1000 = `, "amount_minor": 1000, "currency": "GBP"`
	ok := func(id string) provider.Outcome { return provider.Outcome{Kind: provider.Succeeded, ID: id} }
	for name, tt := range map[string]struct {
		op, data string
		want     provider.Event // none: it cannot be read
	}{
		"refunded": {"refund", `"id": "re_1", "charge": "ch_1", "idempotency_key": "k"` + money1000,
			provider.Event{Kind: provider.EventOutcome, Op: provider.Refund, Key: "k", ChargeID: "ch_1", Amount: gbp(1000), Outcome: ok("re_1")}},
		"declined": {"authorize", `"id": "ch_1", "status": "declined", "decline_code": "lost_card", "idempotency_key": "k"` + money1000,
			provider.Event{Kind: provider.EventOutcome, Op: provider.Authorize, Key: "k", ChargeID: "ch_1", Amount: gbp(1000),
				Outcome: provider.Outcome{Kind: provider.Declined, ID: "ch_1", Reason: "lost_card"}}},
		"chargeback": {"chargeback", `"id": "dp_1", "charge": "ch_1", "fee_minor": 1500` + money1000,
			provider.Event{Kind: provider.EventChargeback, ChargeID: "ch_1", Amount: gbp(1000), Fee: gbp(1500), Outcome: ok("dp_1")}},
		"reversal": {"chargeback_reversal", `"id": "dp_1", "charge": "ch_1", "fee_minor": -1500` + money1000,
			provider.Event{Kind: provider.EventChargebackReversal, ChargeID: "ch_1", Amount: gbp(1000), Fee: gbp(-1500), Outcome: ok("dp_1")}},
		"something new":           {"lend", `"id": "ln_1"`, provider.Event{Kind: provider.EventOther, ID: "evt_1"}},
		"of no key":               {"refund", `"id": "re_1", "charge": "ch_1"` + money1000, provider.Event{}},
		"of nothing":              {"chargeback", `"id": "dp_1", "charge": "ch_1", "amount_minor": 0, "currency": "GBP"`, provider.Event{}},
		"of no charge":            {"chargeback", `"id": "dp_1"` + money1000, provider.Event{}},
		"of an unknown currency":  {"refund", `"id": "re_1", "idempotency_key": "k", "amount_minor": 1, "currency": "XXQ"`, provider.Event{}},
		"a chargeback with a key": {"chargeback", `"id": "dp_1", "charge": "ch_1", "idempotency_key": "k"` + money1000, provider.Event{}},
	} {
		at := time.Unix(1_700_000_000, 0).UTC()
		body := []byte(`{"id": "evt_1", "created": "2023-11-14T22:13:20Z", "type": "t", "op": "` + tt.op + `", "data": {` + tt.data + `}}`)
		got, err := s.VerifyWebhook(http.Header{"Psp-Signature": signed(body, at)["Stripe-Signature"]}, body, at)
		if tt.want != (provider.Event{}) {
			tt.want.ID, tt.want.Type, tt.want.At = "evt_1", "t", at
		}
		if (err != nil) != (tt.want.ID == "") {
			t.Errorf("%s: got error %v", name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
