package payment

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// stored is how many rows the service keeps, and how many effects the provider.
func (b *bundle) stored(t *testing.T) map[string]int64 {
	t.Helper()
	counts := map[string]int64{"effects": int64(len(b.psp.Journal()))}
	for _, table := range []string{"payment", "operation", "idem", "webhook", "journal", "posting", "outbox", "operator_action"} {
		counts[table] = pgtest.Column[int64](t, b.db, `SELECT count(*) FROM `+table)[0]
	}
	return counts
}

// send sends a request of any method that moves money.
func (b *bundle) send(ctx context.Context, request any) (err error) {
	switch r := request.(type) {
	case *paymentv1.ChargeRequest:
		_, err = b.Charge(ctx, r)
	case *paymentv1.AuthorizeRequest:
		_, err = b.Authorize(ctx, r)
	case *paymentv1.CaptureRequest:
		_, err = b.Capture(ctx, r)
	case *paymentv1.RefundRequest:
		_, err = b.Refund(ctx, r)
	case *paymentv1.VoidRequest:
		_, err = b.Void(ctx, r)
	case *paymentv1.RefundPaymentRequest:
		_, err = b.RefundPayment(ctx, r)
	case *paymentv1.VoidPaymentRequest:
		_, err = b.VoidPayment(ctx, r)
	case *paymentv1.InquirePaymentRequest:
		_, err = b.InquirePayment(ctx, r)
	default:
		err = fmt.Errorf("there is no method for a %T", r)
	}
	return err
}

// badRequest is a request that is refused.
type badRequest struct {
	request any
	reason  rpcerr.Reason
	fields  []string
}

func toAuthorize(key string, amount *commonv1.Amount) *paymentv1.AuthorizeRequest {
	return &paymentv1.AuthorizeRequest{IdempotencyKey: key, Amount: amount, PaymentMethod: "pm_ok", CustomerId: "cus_1", Reference: "ord_2"}
}

func toCapture(key string, amount *commonv1.Amount) *paymentv1.CaptureRequest {
	of := &paymentv1.CaptureRequest_AuthorizationKey{AuthorizationKey: "authorized"}
	return &paymentv1.CaptureRequest{IdempotencyKey: key, Authorization: of, Amount: amount}
}

func toRefund(key, paymentID string, amount *commonv1.Amount) *paymentv1.RefundPaymentRequest {
	return &paymentv1.RefundPaymentRequest{IdempotencyKey: key, PaymentId: paymentID, Amount: amount, Reason: "a test"}
}

// badForms are requests that are wrong whatever there is: nothing is stored of them.
func badForms(captured string) map[string]badRequest {
	const field = "amount.minor_units"
	euros, gold := &commonv1.Amount{CurrencyCode: "eur", MinorUnits: 1}, &commonv1.Amount{CurrencyCode: "XAU", MinorUnits: 1}
	charge := func(amount *commonv1.Amount) *paymentv1.ChargeRequest {
		r := toCharge("bad-charge", "pm_ok")
		r.Amount = amount
		return r
	}
	all := map[string]badRequest{
		"charge of less than nothing":            {charge(gbp(-1)), rpcerr.AmountNotPositive, []string{field}},
		"charge of the least number":             {charge(gbp(math.MinInt64)), rpcerr.AmountNotPositive, []string{field}},
		"charge of the most":                     {charge(gbp(math.MaxInt64)), rpcerr.AmountOverflow, []string{field}},
		"charge of more than fits when added up": {charge(gbp(maxMinor + 1)), rpcerr.AmountOverflow, []string{field}},
		"authorization of the most":              {toAuthorize("bad-authorize", gbp(math.MaxInt64)), rpcerr.AmountOverflow, []string{field}},
		"charge of nothing":                      {charge(gbp(0)), rpcerr.AmountNotPositive, []string{field}},
		"charge without an amount":               {charge(nil), rpcerr.RequestInvalid, []string{"amount"}},
		"charge in small letters":                {charge(euros), rpcerr.RequestInvalid, []string{"amount.currency_code"}},
		"charge in gold":                         {charge(gold), rpcerr.CurrencyUnknown, []string{"amount.currency_code"}},
		"authorization of nothing":               {toAuthorize("bad-authorize", gbp(0)), rpcerr.AmountNotPositive, []string{field}},
		"capture of less than nothing":           {toCapture("bad-capture", gbp(-5)), rpcerr.AmountNotPositive, []string{field}},
		"capture of no authorization":            {&paymentv1.CaptureRequest{IdempotencyKey: "bad-capture"}, rpcerr.RequestInvalid, []string{"authorization"}},
		"refund of nothing":                      {toRefund("bad-refund", captured, gbp(0)), rpcerr.AmountNotPositive, []string{field}},
		"refund of less than nothing":            {toRefund("bad-refund", captured, gbp(math.MinInt64)), rpcerr.AmountNotPositive, []string{field}},
		"refund of no payment":                   {toRefund("bad-refund", "", gbp(1)), rpcerr.RequestInvalid, []string{"payment_id"}},
		"refund of a long payment":               {toRefund("bad-refund", strings.Repeat("p", 129), gbp(1)), rpcerr.RequestInvalid, []string{"payment_id"}},
		"refund without a reason": {&paymentv1.RefundPaymentRequest{IdempotencyKey: "bad-refund", PaymentId: captured},
			rpcerr.RequestInvalid, []string{"reason"}},
		"void without a reason": {&paymentv1.VoidPaymentRequest{IdempotencyKey: "bad-void", PaymentId: captured},
			rpcerr.RequestInvalid, []string{"reason"}},
		"inquiry about nothing":       {&paymentv1.InquirePaymentRequest{}, rpcerr.RequestInvalid, []string{"payment_id"}},
		"inquiry about no such thing": {&paymentv1.InquirePaymentRequest{PaymentId: "pay_none"}, rpcerr.NotFound, []string{"payment_id"}},
		"charge without who is charged": {&paymentv1.ChargeRequest{IdempotencyKey: "bad-charge", Amount: gbp(1), PaymentMethod: "pm_ok", Reference: "ord_1"},
			rpcerr.RequestInvalid, []string{"customer_id"}},
	}
	for what, key := range map[string]string{"missing": "", "short": "seven77", "long": strings.Repeat("k", 256), "with a line in it": "line\nfeed-line"} {
		reason := rpcerr.IdempotencyKeyInvalid
		if key == "" {
			reason = rpcerr.IdempotencyKeyMissing
		}
		for method, request := range map[string]any{
			"charge": toCharge(key, "pm_ok"), "authorize": toAuthorize(key, gbp(1)), "capture": toCapture(key, nil),
			"refund payment": toRefund(key, captured, nil), "refund": &paymentv1.RefundRequest{IdempotencyKey: key},
			"void": &paymentv1.VoidRequest{IdempotencyKey: key}, "void payment": &paymentv1.VoidPaymentRequest{IdempotencyKey: key, PaymentId: captured, Reason: "a test"},
		} {
			all[method+", key "+what] = badRequest{request, reason, []string{"idempotency_key"}}
		}
	}
	return all
}

// badAsks are requests that are wrong for what there is: the refusal is kept under their keys, and given again.
func badAsks(captured, authorized string) map[string]badRequest {
	const field = "amount.minor_units"
	euros := &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: 1}
	voidPayment := func(paymentID string) *paymentv1.VoidPaymentRequest {
		return &paymentv1.VoidPaymentRequest{IdempotencyKey: "void-" + paymentID, PaymentId: paymentID, Reason: "a test"}
	}
	const nobody = "pay_01890a5d-ac96-774b-bcce-b302099a8057"
	return map[string]badRequest{
		"capture of more":         {toCapture("capture-more", gbp(1251)), rpcerr.CaptureExceeded, []string{field}},
		"capture of the most":     {toCapture("capture-most", gbp(math.MaxInt64)), rpcerr.CaptureExceeded, []string{field}},
		"capture in euros":        {toCapture("capture-euros", euros), rpcerr.CurrencyMismatch, []string{"amount.currency_code"}},
		"capture of a capture":    {&paymentv1.CaptureRequest{IdempotencyKey: "capture-again", Authorization: &paymentv1.CaptureRequest_PaymentId{PaymentId: captured}}, rpcerr.PaymentStateRefused, nil},
		"capture under no key":    {&paymentv1.CaptureRequest{IdempotencyKey: "capture-none", Authorization: &paymentv1.CaptureRequest_AuthorizationKey{AuthorizationKey: "nothing-here"}}, rpcerr.NotFound, []string{"authorization_key"}},
		"refund of more":          {toRefund("refund-more", captured, gbp(1251)), rpcerr.RefundExceeded, []string{field}},
		"refund of the most":      {toRefund("refund-most", captured, gbp(math.MaxInt64)), rpcerr.RefundExceeded, []string{field}},
		"refund in euros":         {toRefund("refund-euros", captured, euros), rpcerr.CurrencyMismatch, []string{"amount.currency_code"}},
		"refund of what is held":  {toRefund("refund-held", authorized, gbp(1)), rpcerr.PaymentStateRefused, nil},
		"refund of nobody":        {toRefund("refund-nobody", nobody, nil), rpcerr.NotFound, []string{"payment_id"}},
		"refund of a bad id":      {toRefund("refund-bad-id", "pay_XYZ", nil), rpcerr.NotFound, []string{"payment_id"}},
		"refund of another thing": {toRefund("refund-order", "ord_01890a5d-ac96-774b-bcce-b302099a8057", nil), rpcerr.NotFound, []string{"payment_id"}},
		"void of what was taken":  {voidPayment(captured), rpcerr.PaymentStateRefused, nil},
		"void of nobody":          {voidPayment(nobody), rpcerr.NotFound, []string{"payment_id"}},
	}
}

// setupBad is a service with a charge that was captured and an authorization, and their ids.
func setupBad(t *testing.T) (b *bundle, captured, authorized string) {
	t.Helper()
	b = setup(t)
	captured = b.mustCharge(t, key, "pm_ok").GetPaymentId()
	held, err := b.Authorize(t.Context(), toAuthorize("authorized", gbp(1250)))
	if err != nil {
		t.Fatal(err)
	}
	return b, captured, held.GetPayment().GetPaymentId()
}

func TestBadInput_IsRefusedWithReasonAndFieldAndNothingIsStored(t *testing.T) {
	t.Parallel()
	b, captured, _ := setupBad(t)
	before := b.stored(t)
	for name, bad := range badForms(captured) {
		t.Run(name, func(t *testing.T) { rpcerrtest.Want(t, b.send(t.Context(), bad.request), bad.reason, bad.fields...) })
	}
	if diff := cmp.Diff(before, b.stored(t)); diff != "" {
		t.Errorf("what is stored (-before +after):\n%s", diff)
	}
}

func TestBadInput_ThatDoesNotFitIsRefusedAgainAndMovesNothing(t *testing.T) {
	t.Parallel()
	b, captured, authorized := setupBad(t)
	want := b.stored(t)
	for name, bad := range badAsks(captured, authorized) {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				rpcerrtest.Want(t, b.send(t.Context(), bad.request), bad.reason, bad.fields...)
			}
		})
		want["idem"]++ // and nothing else
	}
	if diff := cmp.Diff(want, b.stored(t)); diff != "" {
		t.Errorf("what is stored (-want +got):\n%s", diff)
	}
}

func TestBadInput_NamesWhatDiffersUnderAReusedKey(t *testing.T) {
	t.Parallel()
	b, captured, authorized := setupBad(t)
	for _, ok := range []any{
		toCapture("captured", gbp(1000)), toRefund("refunded", captured, gbp(100)),
	} {
		if err := b.send(t.Context(), ok); err != nil {
			t.Fatal(err)
		}
	}
	before := b.stored(t)
	otherMethod, otherCustomer := toCharge(key, "pm_slow"), toCharge(key, "pm_ok")
	otherCustomer.CustomerId, otherCustomer.Reference = "cus_2", "ord_9"
	byID := toCapture("captured", gbp(1000))
	byID.Authorization = &paymentv1.CaptureRequest_PaymentId{PaymentId: authorized}
	for name, bad := range map[string]badRequest{
		"payment method":         {otherMethod, rpcerr.IdempotencyKeyReused, []string{"payment_method"}},
		"customer and reference": {otherCustomer, rpcerr.IdempotencyKeyReused, []string{"customer_id", "reference"}},
		"authorized amount":      {toAuthorize("authorized", gbp(1)), rpcerr.IdempotencyKeyReused, []string{"amount", "reference"}},
		"captured amount":        {toCapture("captured", nil), rpcerr.IdempotencyKeyReused, []string{"amount"}},
		"named in another way":   {byID, rpcerr.IdempotencyKeyReused, []string{"payment_id", "authorization_key"}},
		"refunded payment":       {toRefund("refunded", authorized, gbp(100)), rpcerr.IdempotencyKeyReused, []string{"payment_id"}},
		"refunded amount":        {toRefund("refunded", captured, gbp(101)), rpcerr.IdempotencyKeyReused, []string{"amount"}},
	} {
		if r, authorizes := bad.request.(*paymentv1.AuthorizeRequest); authorizes {
			r.Reference = "ord_3"
		}
		t.Run(name, func(t *testing.T) { rpcerrtest.Want(t, b.send(t.Context(), bad.request), bad.reason, bad.fields...) })
	}
	if diff := cmp.Diff(before, b.stored(t)); diff != "" {
		t.Errorf("what is stored (-before +after):\n%s", diff)
	}
}

// Many refunds in parts, at once, that are more than was captured: exactly that is given back.
func TestRefundPayment_InPartsAtOnceGivesBackNoMoreThanWasCaptured(t *testing.T) {
	t.Parallel()
	b := setup(t, waiting)
	p := b.mustCharge(t, key, "pm_ok")
	var asking sync.WaitGroup
	results := make([]error, 8) // of 250 each; five are all there is
	for i := range results {
		asking.Go(func() {
			_, results[i] = again(t, func() (struct{}, error) {
				return struct{}{}, b.send(t.Context(), toRefund(fmt.Sprintf("part-%04d", i), p.GetPaymentId(), gbp(250)))
			})
		})
	}
	asking.Wait()
	done := 0
	for i, err := range results {
		if err == nil {
			done++
		} else if !rpcerr.Is(err, rpcerr.RefundExceeded) && !rpcerr.Is(err, rpcerr.PaymentStateRefused) {
			t.Errorf("refund %d: got %v", i, err)
		}
	}
	var back int64
	for _, e := range b.psp.Journal() {
		if e.Type == pspsim.TypeRefund {
			back += e.AmountMinor
		}
	}
	if done != 5 || back != 1250 {
		t.Errorf("%d refunds were done, of %d; want 5 of 1250", done, back)
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_REFUNDED)
	b.wantClean(t)
}

// hooked is a service that believes webhooks, and what takes them.
func hooked(t *testing.T) (*bundle, http.Handler) {
	t.Helper()
	b := setup(t)
	var to http.Handler
	b.PaymentServiceClient = b.startIn(t, func(env *service.Env) { to = env.HTTP }, func(c *Config) { c.Provider.PSP.Webhook.Secret = hookSecret })
	return b, to
}

func TestBadWebhook_IsRefusedAndNothingIsStored(t *testing.T) {
	t.Parallel()
	b, to := hooked(t)
	b.mustCharge(t, key, "pm_ok")
	good := fmt.Appendf(nil, `{"id":"evt_1","type":"charge.succeeded","created":"2026-01-02T03:04:05Z","op":"charge",
"data":{"id":"ch_forged","status":"captured","amount_minor":100,"currency":"GBP","idempotency_key":"%064d"}}`, 1)
	now := time.Now()
	before := b.stored(t)
	for name, bad := range map[string]struct {
		body      []byte
		signature string
		code      int
		says      string
	}{
		"unsigned":             {good, "", 400, "the signature is not right"},
		"signed by another":    {good, signed("whsec_other", now, good), 400, "the signature is not right"},
		"with another body":    {append([]byte(" "), good...), signed(hookSecret, now, good), 400, "the signature is not right"},
		"with another time":    {good, strings.Replace(signed(hookSecret, now, good), "t=", "t=9", 1), 400, "the signature is not right"},
		"signed long ago":      {good, signed(hookSecret, now.Add(-6*time.Minute), good), 400, "it was signed too long ago"},
		"signed for later":     {good, signed(hookSecret, now.Add(6*time.Minute), good), 400, "it was signed too long ago"},
		"no JSON":              {[]byte("{"), signed(hookSecret, now, []byte("{")), 400, "it cannot be understood"},
		"empty":                {nil, signed(hookSecret, now, nil), 400, "it cannot be understood"},
		"about no amount":      {[]byte(`{"id":"evt_2","created":"2026-01-02T03:04:05Z","op":"charge","data":{}}`), "", 400, "it cannot be understood"},
		"of a megabyte":        {bytes.Repeat([]byte("x"), 1<<20), signed(hookSecret, now, bytes.Repeat([]byte("x"), 1<<20)), 413, "the body cannot be read"},
		"of 64 KiB and a byte": {bytes.Repeat([]byte("x"), maxWebhook+1), "", 413, "the body cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			if bad.signature == "" && name == "about no amount" {
				bad.signature = signed(hookSecret, now, bad.body)
			}
			got := post(to, bad.body, bad.signature)
			if got.Code != bad.code || strings.TrimSpace(got.Body.String()) != bad.says {
				t.Errorf("got %d %q, want %d %q", got.Code, got.Body, bad.code, bad.says)
			}
		})
	}
	if diff := cmp.Diff(before, b.stored(t)); diff != "" {
		t.Errorf("what is stored (-before +after):\n%s", diff)
	}
}

// slowBody is a body that does not come, to a server that knows how long it waits.
type slowBody struct {
	*httptest.ResponseRecorder
	until time.Time
}

// SetReadDeadline is what http.ResponseController calls.
func (s *slowBody) SetReadDeadline(until time.Time) error {
	s.until = until
	return nil
}

// Read fails as a connection does whose deadline has passed.
func (s *slowBody) Read([]byte) (int, error) {
	if s.until.IsZero() {
		return 0, fmt.Errorf("it would wait for ever")
	}
	return 0, os.ErrDeadlineExceeded
}

func TestBadWebhook_ThatComesTooSlowlyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	b, to := hooked(t)
	before := b.stored(t)
	slow := &slowBody{ResponseRecorder: httptest.NewRecorder()}
	latest := time.Now().Add(webhookTimeout + time.Second)
	to.ServeHTTP(slow, httptest.NewRequest(http.MethodPost, WebhookPath, slow))
	if slow.Code != http.StatusBadRequest || slow.until.IsZero() || slow.until.After(latest) {
		t.Errorf("got %d, with a deadline of %s; want 400, by %s", slow.Code, slow.until, latest)
	}
	if diff := cmp.Diff(before, b.stored(t)); diff != "" {
		t.Errorf("what is stored (-before +after):\n%s", diff)
	}
}

// What was authentic and is sent again, within its tolerance, is taken in once; and what contradicts the books changes
// nothing but is kept for a person.
func TestBadWebhook_ReplayedTakesEffectOnceAndContradictionsNone(t *testing.T) {
	t.Parallel()
	b, to := hooked(t)
	b.mustCharge(t, key, "pm_ok")
	b.backdate(t, time.Minute)
	before := b.stored(t)
	body := fmt.Appendf(nil, `{"id":"evt_1","type":"charge.succeeded","created":"2026-01-02T03:04:05Z","op":"charge",
"data":{"id":"ch_unknown","status":"captured","amount_minor":100,"currency":"GBP","idempotency_key":"%064d"}}`, 1)
	signature := signed(hookSecret, time.Now(), body)
	for range 3 {
		if got := post(to, body, signature); got.Code != http.StatusNoContent {
			t.Errorf("got %d %s", got.Code, got.Body)
		}
		if _, err := b.payments.applyWebhooks(t.Context()); err != nil {
			t.Error(err)
		}
	}
	before["webhook"] = 1
	if diff := cmp.Diff(before, b.stored(t)); diff != "" {
		t.Errorf("what is stored (-want +got):\n%s", diff)
	}
	if states := pgtest.Column[int16](t, b.db, `SELECT state FROM webhook`); !cmp.Equal(states, []int16{webhookContradicts}) {
		t.Errorf("got states %v, want that it contradicts the books", states)
	}
}
