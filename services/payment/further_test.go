package payment

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

const (
	authorizeKey = "saga/sag_1/authorize"
	captureKey   = "saga/sag_1/capture"
)

func captureOf(key string, amount *commonv1.Amount) *paymentv1.CaptureRequest {
	return &paymentv1.CaptureRequest{
		IdempotencyKey: key, Authorization: &paymentv1.CaptureRequest_AuthorizationKey{AuthorizationKey: authorizeKey}, Amount: amount,
	}
}

func (b *bundle) mustAuthorize(t *testing.T) *paymentv1.Payment {
	t.Helper()
	answer, err := again(t, func() (*paymentv1.AuthorizeResponse, error) {
		return b.Authorize(t.Context(), toAuthorize(authorizeKey, gbp(1250)))
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetPayment()
}

func (b *bundle) mustCapture(t *testing.T, amount *commonv1.Amount) *paymentv1.Payment {
	t.Helper()
	answer, err := again(t, func() (*paymentv1.CaptureResponse, error) {
		return b.Capture(t.Context(), captureOf(captureKey, amount))
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetPayment()
}

func (b *bundle) refundPart(t *testing.T, key, paymentID string, amount *commonv1.Amount) (*paymentv1.Payment, error) {
	t.Helper()
	answer, err := again(t, func() (*paymentv1.RefundPaymentResponse, error) {
		return b.RefundPayment(t.Context(), &paymentv1.RefundPaymentRequest{
			IdempotencyKey: key, PaymentId: paymentID, Amount: amount, Reason: "the mug was cracked",
		})
	})
	return answer.GetPayment(), err
}

// wantClean fails the test when an invariant of the database does not hold.
func (b *bundle) wantClean(t *testing.T) {
	t.Helper()
	for _, wrong := range pgtest.Violations(t, b.db) {
		t.Error(wrong)
	}
}

func TestCapture_TakesWhatWasAuthorizedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.mustAuthorize(t)
	if p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_AUTHORIZED || p.GetCaptured().GetMinorUnits() != 0 {
		t.Errorf("got %v, want it authorized", p)
	}
	first := b.mustCapture(t, nil)
	if first.GetState() != paymentv1.PaymentState_PAYMENT_STATE_CAPTURED || first.GetCaptured().GetMinorUnits() != 1250 {
		t.Errorf("got %v, want it captured", first)
	}
	if diff := cmp.Diff(first, b.mustCapture(t, nil), protocmp.Transform()); diff != "" {
		t.Errorf("replay (-first +second):\n%s", diff)
	}
	_, err := b.Capture(t.Context(), captureOf("saga/sag_2/capture", nil))
	rpcerrtest.Want(t, err, rpcerr.PaymentStateRefused)
	b.wantEffects(t, pspsim.TypeAuthorize, pspsim.TypeCapture)
	b.wantEvents(t, "authorized", "captured")
	b.wantClean(t)
}

func TestCapture_OfAPartReleasesTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.mustAuthorize(t).GetPaymentId()
	for name, tt := range map[string]struct {
		amount *commonv1.Amount
		reason rpcerr.Reason
		field  string
	}{
		"more":           {gbp(1251), rpcerr.CaptureExceeded, "amount.minor_units"},
		"other currency": {&commonv1.Amount{CurrencyCode: "EUR", MinorUnits: 1}, rpcerr.CurrencyMismatch, "amount.currency_code"},
		"nothing":        {gbp(0), rpcerr.AmountNotPositive, "amount.minor_units"},
	} {
		_, err := b.Capture(t.Context(), captureOf("capture "+name, tt.amount))
		rpcerrtest.Want(t, err, tt.reason, tt.field)
	}
	if p := b.mustCapture(t, gbp(1000)); p.GetCaptured().GetMinorUnits() != 1000 {
		t.Errorf("got %v, want 1000 captured", p)
	}
	if p := b.mustVoid(t); p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_REFUNDED || p.GetRefunded().GetMinorUnits() != 1000 {
		t.Errorf("undone, got %v, want what was captured given back", p)
	}
	_, err := b.refundPart(t, "refund-1", id, nil)
	rpcerrtest.Want(t, err, rpcerr.PaymentStateRefused)
	b.wantEffects(t, pspsim.TypeAuthorize, pspsim.TypeCapture, pspsim.TypeRefund)
	b.wantClean(t)
}

// mustVoid undoes the authorization.
func (b *bundle) mustVoid(t *testing.T) *paymentv1.Payment {
	t.Helper()
	answer, err := again(t, func() (*paymentv1.VoidResponse, error) {
		return b.Void(t.Context(), &paymentv1.VoidRequest{IdempotencyKey: authorizeKey})
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetPayment()
}

func TestVoid_ReleasesAndRefusesForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustAuthorize(t)
	for range 2 {
		if p := b.mustVoid(t); p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_VOIDED {
			t.Errorf("got %v, want it voided", p)
		}
	}
	_, err := b.Authorize(t.Context(), toAuthorize(authorizeKey, gbp(1250)))
	rpcerrtest.Want(t, err, rpcerr.StepTombstoned)
	_, err = b.Capture(t.Context(), captureOf(captureKey, nil))
	rpcerrtest.Want(t, err, rpcerr.PaymentStateRefused)
	b.wantEffects(t, pspsim.TypeAuthorize, pspsim.TypeVoid)
	b.wantEvents(t, "authorized", "voided")
	b.wantClean(t)
}

func TestVoid_OfWhatWasNeverSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if p := b.mustVoid(t); p != nil {
		t.Errorf("got %v, want none", p)
	}
	_, err := b.Authorize(t.Context(), toAuthorize(authorizeKey, gbp(1250)))
	rpcerrtest.Want(t, err, rpcerr.StepTombstoned)
	_, err = b.Capture(t.Context(), captureOf(captureKey, nil))
	rpcerrtest.Want(t, err, rpcerr.NotFound, "authorization_key")
	b.wantEffects(t)
}

func TestVoidPayment_OfAnOperatorIsAudited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.mustAuthorize(t).GetPaymentId()
	r := &paymentv1.VoidPaymentRequest{IdempotencyKey: "void-the-mug-1", PaymentId: id, Reason: "fraud"}
	if p, err := b.VoidPayment(t.Context(), r); err != nil || p.GetPayment().GetState() != paymentv1.PaymentState_PAYMENT_STATE_VOIDED {
		t.Errorf("got %v, %v; want it voided", p, err)
	}
	actions := pgtest.Column[string](t, b.db, `SELECT actor || ' ' || verb || ' ' || reason || ' ' || seq FROM operator_action`)
	if diff := cmp.Diff([]string{"orchestrator void fraud 2"}, actions); diff != "" {
		t.Errorf("audit rows (-want +got):\n%s", diff)
	}
	r.IdempotencyKey = "void-the-mug-2"
	_, err := b.VoidPayment(t.Context(), r)
	rpcerrtest.Want(t, err, rpcerr.PaymentStateRefused)
	b.wantEffects(t, pspsim.TypeAuthorize, pspsim.TypeVoid)
	b.wantClean(t)
}

func TestRefundPayment_GivesBackPartsUntilNothingIsLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.mustCharge(t, key, "pm_ok").GetPaymentId()
	p, err := b.refundPart(t, "refund-1", id, gbp(400))
	if err != nil || p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED || p.GetRefunded().GetMinorUnits() != 400 {
		t.Fatalf("got %v, %v; want 400 refunded", p, err)
	}
	_, err = b.refundPart(t, "refund-2", id, gbp(851))
	rpcerrtest.Want(t, err, rpcerr.RefundExceeded, "amount.minor_units")
	_, err = b.refundPart(t, "refund-3", id, &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: 1})
	rpcerrtest.Want(t, err, rpcerr.CurrencyMismatch, "amount.currency_code")
	_, err = b.refundPart(t, "refund-1", id, gbp(500))
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "amount")
	if p, err = b.refundPart(t, "refund-4", id, nil); err != nil || p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_REFUNDED {
		t.Fatalf("got %v, %v; want the rest refunded", p, err)
	}
	_, err = b.refundPart(t, "refund-5", id, gbp(1))
	rpcerrtest.Want(t, err, rpcerr.PaymentStateRefused)
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund, pspsim.TypeRefund)
	b.wantEvents(t, "captured", "refunded", "refunded")
	b.wantClean(t)
}

func TestInquiry_FindsOutWhatNobodyAsksFor(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	_, err := b.charge(t, key, "pm_timeout_after")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	id := b.only(t).GetPaymentId()
	listed, err := b.ListPayments(t.Context(), &paymentv1.ListPaymentsRequest{InDoubt: true})
	if err != nil || len(listed.GetPayments()) != 1 {
		t.Errorf("in doubt are %v, %v; want the one", listed, err)
	}
	answer, err := b.InquirePayment(t.Context(), &paymentv1.InquirePaymentRequest{PaymentId: id})
	if err != nil || answer.GetPayment().GetState() != paymentv1.PaymentState_PAYMENT_STATE_CAPTURED {
		t.Fatalf("got %v, %v; want it captured", answer, err)
	}
	if o := answer.GetPayment().GetOperations()[0]; o.GetState() != paymentv1.OperationState_OPERATION_STATE_DONE || len(o.GetCalls()) != 2 {
		t.Errorf("got %v, want the charge done, asked twice", o)
	}
	b.mustCharge(t, key, "pm_timeout_after")
	b.wantEffects(t, pspsim.TypeCharge)
	b.wantEvents(t, "unknown", "resolved", "captured")
	b.wantClean(t)
}

func TestResolver_FindsOutAtItsTimes(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	_, err := b.charge(t, key, "pm_timeout_before")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	resolve := func() {
		t.Helper()
		if _, err := b.payments.resolveOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	resolve() // too early
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN)
	until := func() time.Duration {
		return pgtest.Column[time.Duration](t, b.db, `SELECT look_at - now() FROM operation`)[0].Round(time.Second)
	}
	if got := until(); got > waits[0] {
		t.Errorf("the first look is %s away", got)
	}
	due := `UPDATE operation SET look_at = now()`
	if _, err := b.db.Exec(t.Context(), `UPDATE operation SET last_sent_at = now() + interval '1 hour'`); err != nil { // as if just sent
		t.Fatal(err)
	}
	for i, want := range []time.Duration{waits[1], waits[2], waits[3], waits[4], waits[5], waits[5]} {
		if _, err := b.db.Exec(t.Context(), due); err != nil {
			t.Fatal(err)
		}
		resolve()
		if got := until(); got != want {
			t.Errorf("after look %d the next is %s away, want %s", i+1, got, want)
		}
		b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN)
	}
	if _, err := b.db.Exec(t.Context(), due+`, last_sent_at = now() - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	resolve()
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CREATED)
	b.wantEvents(t, "unknown", "resolved")
	b.wantEffects(t)
	b.wantClean(t)
}

func TestResolver_ThatCannotAskCountsNoLook(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	_, err := b.charge(t, key, "pm_timeout_after")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	b.payments.provider.Breaker().Force(true)
	if _, err := b.db.Exec(t.Context(), `UPDATE operation SET look_at = now()`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.payments.resolveOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if looks := pgtest.Column[int32](t, b.db, `SELECT looks FROM operation WHERE look_at < now() + interval '3 seconds'`); !cmp.Equal(looks, []int32{0}) {
		t.Errorf("got looks %v, want none, and the next soon", looks)
	}
	b.payments.provider.Breaker().Force(false)
	b.mustCharge(t, key, "pm_timeout_after")
}

func TestIdempotencyKey_ShowsWhatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	b := setup(t, hasty)
	p := b.mustCharge(t, key, "pm_ok")
	b.mustCharge(t, key, "pm_ok")
	b.mustRefund(t, key)
	got, err := b.GetIdempotencyKey(t.Context(), &paymentv1.GetIdempotencyKeyRequest{Key: key})
	if err != nil || len(got.GetRecords()) != 2 {
		t.Fatalf("got %v, %v; want the charge and its refund", got, err)
	}
	charge, refund := got.GetRecords()[0], got.GetRecords()[1]
	var fields []string
	for _, f := range charge.GetFingerprintFields() {
		fields = append(fields, f.GetName())
	}
	if diff := cmp.Diff([]string{"amount", "payment_method", "customer_id", "reference"}, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if charge.GetMethod() != "Charge" || charge.GetState() != paymentv1.IdempotencyState_IDEMPOTENCY_STATE_TOMBSTONE ||
		charge.GetReplays() != 1 || charge.GetResource() != p.GetPaymentId() || len(charge.GetOperations()) != 1 {
		t.Errorf("got %v, want the charge undone, given again once", charge)
	}
	if refund.GetMethod() != "Refund" || refund.GetState() != paymentv1.IdempotencyState_IDEMPOTENCY_STATE_DONE || len(refund.GetOperations()) != 1 ||
		refund.GetOperations()[0].GetKind() != paymentv1.OperationKind_OPERATION_KIND_REFUND {
		t.Errorf("got %v, want the refund done", refund)
	}
	none, err := b.GetIdempotencyKey(t.Context(), &paymentv1.GetIdempotencyKeyRequest{Key: "never-used"})
	if err != nil || len(none.GetRecords()) != 0 {
		t.Errorf("got %v, %v; want nothing", none, err)
	}
}
