package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

func TestPaymentRefund_IsAPlanUntilYes(t *testing.T) {
	t.Parallel()
	d := newPaymentDesk(t, &paymentDesk{payment: aPayment()})
	for amount, want := range map[string]struct{ note, back string }{
		"":          {"this is the plan; do it with --yes", "14.00 EUR"},
		"12.50 EUR": {"this is the plan; do it with --yes", "12.50 EUR"},
		"14.00 EUR": {"this is the plan; do it with --yes", "14.00 EUR"},
		"14.01 EUR": {"14.01 EUR is not to be had of the 14.00 EUR that are left", "14.01 EUR"},
		"1 USD":     {"1.00 USD is not to be had of the 14.00 EUR that are left", "1.00 USD"},
	} {
		code, stdout, stderr := d.tieout(t, "refund", "pay_1", "--reason", "broken", "--amount", amount)
		if code != exitOK || !strings.Contains(stderr, "nothing was done") || !strings.Contains(stderr, want.note) {
			t.Errorf("%q: exit %d, %s", amount, code, stderr)
		}
		wantLines(t, stdout, "payment id pay_1", "state partially_refunded", "captured 20.00 EUR", "refunded 5.00 EUR", "charged back 1.00 EUR",
			"left 14.00 EUR", "give back "+want.back, "Operations")
	}
	_, stdout, _ := d.tieout(t, "refund", "pay_1", "--reason", "broken", "--amount", "12.50 EUR", "-o", "json")
	got := decode[struct {
		Payment        struct{ Operations []any }
		Left, GiveBack struct {
			Minor string `json:"minor_units"`
		}
	}](t, strings.ReplaceAll(stdout, "give_back", "giveback"))
	if len(got.Payment.Operations) != 2 || got.Left.Minor != "1400" || got.GiveBack.Minor != "1250" {
		t.Errorf("as JSON: %+v", got)
	}
	if code, _, stderr := d.tieout(t, "refund", "pay_1", "--reason", "broken", "--amount", "12.50"); code != exitUsage || !strings.Contains(stderr, "12.50 EUR") {
		t.Errorf("an amount without a currency: exit %d, %s", code, stderr)
	}
	d.wantAsked(t)

	d.payment.State, d.payment.Refunded = paymentv1.PaymentState_PAYMENT_STATE_REFUNDED, eur(1900)
	if code, _, stderr := d.tieout(t, "refund", "pay_1", "--reason", "broken"); code != exitOK || !strings.Contains(stderr, "there is nothing to refund") {
		t.Errorf("nothing left: exit %d, %s", code, stderr)
	}
}

func TestPaymentRefund_GivesBackUnderAKey(t *testing.T) {
	t.Parallel()
	d := newPaymentDesk(t, &paymentDesk{payment: aPayment()})
	code, stdout, stderr := d.tieout(t, "refund", "pay_1", "--reason", "broken", "--yes")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	wantLines(t, stdout, "payment id pay_1")
	_, key, _ := strings.Cut(strings.TrimSpace(stderr), "the key of this refund is ")
	if !strings.HasPrefix(key, "refund/") {
		t.Errorf("does not print the key: %s", stderr)
	}
	d.wantAsked(t, &paymentv1.RefundPaymentRequest{IdempotencyKey: key, PaymentId: "pay_1", Reason: "broken"})

	d.replayed = true
	code, _, stderr = d.tieout(t, "refund", "pay_1", "--reason", "broken", "--amount", "12.50 EUR", "--key", key, "--yes")
	if code != exitOK || !strings.Contains(stderr, "replayed") || strings.Contains(stderr, "the key of") {
		t.Errorf("under a key: exit %d, %s", code, stderr)
	}
	d.wantAsked(t, &paymentv1.RefundPaymentRequest{IdempotencyKey: key, PaymentId: "pay_1", Amount: eur(1250), Reason: "broken"})

	d.errs = []error{rpcerr.New(rpcerr.RefundExceeded, "1.00 EUR is left")}
	code, stdout, stderr = d.tieout(t, "refund", "pay_1", "--reason", "broken", "--yes")
	if code != exitPrecondition || stdout != "" || !strings.Contains(stderr, "REFUND_EXCEEDED") || strings.Contains(stderr, "Ask again") {
		t.Errorf("refused: exit %d, %s%s", code, stdout, stderr)
	}
}

// What the transport lost is asked for again under the same key. What the provider's answer is lost of is for a person:
// the error says how to ask again.
func TestPaymentRefund_AsksAgainUnderTheSameKey(t *testing.T) {
	t.Parallel()
	d := newPaymentDesk(t, &paymentDesk{payment: aPayment()})
	d.errs = []error{status.Error(codes.Unavailable, "connection reset"), rpcerr.New(rpcerr.PaymentOutcomeUnknown, "the provider's answer was lost")}
	code, stdout, stderr := d.tieout(t, "refund", "pay_1", "--amount", "12.50 EUR", "--reason", "it's broken", "--yes", "--addr", d.addr)
	if code != exitUnavailable || stdout != "" {
		t.Errorf("exit %d, %s", code, stdout)
	}
	if len(d.asked) != 2 {
		t.Fatalf("asked %d times, want twice: %s", len(d.asked), stderr)
	}
	first, second := d.asked[0].(*paymentv1.RefundPaymentRequest), d.asked[1].(*paymentv1.RefundPaymentRequest)
	if first.GetIdempotencyKey() != second.GetIdempotencyKey() {
		t.Errorf("asked again under another key: %v, %v", first, second)
	}
	want := `  tieout payment refund pay_1 --amount '12.50 EUR' --reason 'it'\''s broken' --key ` + first.GetIdempotencyKey() + " --yes --addr " + d.addr + "\n"
	if !strings.Contains(stderr, want) || !strings.Contains(stderr, "PAYMENT_OUTCOME_UNKNOWN") {
		t.Errorf("does not say how to ask again, with %q:\n%s", want, stderr)
	}
}

func TestPaymentVoid_ReleasesWhatIsAuthorized(t *testing.T) {
	t.Parallel()
	d := newPaymentDesk(t, &paymentDesk{payment: &paymentv1.Payment{
		PaymentId: "pay_1", State: paymentv1.PaymentState_PAYMENT_STATE_AUTHORIZED, Amount: eur(2000),
	}})
	code, stdout, stderr := d.tieout(t, "void", "pay_1", "--reason", "they left")
	if code != exitOK || !strings.Contains(stderr, "do it with --yes") {
		t.Errorf("the plan: exit %d, %s", code, stderr)
	}
	wantLines(t, stdout, "state authorized", "left 20.00 EUR", "give back 20.00 EUR")
	d.wantAsked(t)
	if code, _, stderr := d.tieout(t, "void", "pay_1", "--reason", "they left", "--key", "void-0001", "--yes"); code != exitOK {
		t.Errorf("exit %d: %s", code, stderr)
	}
	d.wantAsked(t, &paymentv1.VoidPaymentRequest{IdempotencyKey: "void-0001", PaymentId: "pay_1", Reason: "they left"})
	d.payment.State = paymentv1.PaymentState_PAYMENT_STATE_CAPTURED
	if code, _, stderr := d.tieout(t, "void", "pay_1", "--reason", "they left"); code != exitOK || !strings.Contains(stderr, "there is nothing to void") {
		t.Errorf("nothing to void: exit %d, %s", code, stderr)
	}
}

func TestAmountFlag_ReadsWhatISO4217Allows(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*commonv1.Amount{
		"": nil, "12.50 EUR": eur(1250), "12 EUR": eur(1200), "900 JPY": {CurrencyCode: "JPY", MinorUnits: 900},
		"1.005 KWD": {CurrencyCode: "KWD", MinorUnits: 1005},
	} {
		got, err := amountFlag(text)
		if err != nil || got.GetCurrencyCode() != want.GetCurrencyCode() || got.GetMinorUnits() != want.GetMinorUnits() || (got == nil) != (want == nil) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"12.50", "12.505 EUR", "1.5 JPY", "EUR 12.50", "12,50 EUR", "12.50 eur", "12.50  EUR", "12.50 XAU", "0 EUR", "-1 EUR", "EUR", " ",
		"99999999999999999999 EUR",
	} {
		got, err := amountFlag(text)
		if exitCode(err) != exitUsage {
			t.Errorf("%q: got %v, %v; want a mistake in usage", text, got, err)
		}
	}
}
