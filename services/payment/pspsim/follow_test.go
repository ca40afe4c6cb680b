package pspsim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func refundBody(charge string, minor int64) string {
	return fmt.Sprintf(`{"charge": %q, "amount_minor": %d}`, charge, minor)
}

func (b *bench) postRefund(key, body string) answered {
	b.t.Helper()
	return b.mustDo(http.MethodPost, "/v1/refunds", key, body)
}

func (b *bench) refundsOf(key string) []followObject {
	b.t.Helper()
	a := b.mustDo(http.MethodGet, "/v1/refunds?idempotency_key="+key, "", "")
	return parse[list[followObject]](b.t, a, http.StatusOK).Data
}

func TestRefund_GivesBackInPartAndThenTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	charge := b.mustCharge("k", "pm_ok")
	part := parse[followObject](t, b.postRefund("r1", refundBody(charge.ID, 400)), http.StatusCreated)
	rest := parse[followObject](t, b.postRefund("r2", `{"charge": "`+charge.ID+`"}`), http.StatusCreated)

	want := followObject{ID: part.ID, Status: "succeeded", Charge: charge.ID, AmountMinor: 400, Currency: "GBP",
		IdempotencyKey: "r1", Created: part.Created}
	if diff := cmp.Diff(want, part); diff != "" {
		t.Errorf("refund (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(part.ID, "re_") || rest.AmountMinor != 850 {
		t.Errorf("got id %q and the rest %d, want re_… and 850", part.ID, rest.AmountMinor)
	}
	if diff := cmp.Diff([]followObject{rest}, b.refundsOf("r2")); diff != "" {
		t.Errorf("refund by key (-answered +found):\n%s", diff)
	}
	if got := b.chargesOf("k")[0].AmountRefundedMinor; got != 1250 {
		t.Errorf("the charge says %d refunded, want 1250", got)
	}
	entry := b.Journal()[1]
	if entry.Charge != charge.ID || entry.Reference != "ord_1" || entry.PaymentMethod != "pm_ok" || entry.AmountMinor != 400 {
		t.Errorf("got entry %+v, want the 400 with the charge's id, reference and payment method", entry)
	}
	b.wantEffects(TypeCharge, TypeRefund, TypeRefund)
}

func TestRefund_RejectsMoreThanRemains(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	charge := b.mustCharge("k", "pm_ok")
	tooLarge := apiError{Type: typeInvalid, Code: codeAmountTooLarge, Param: "amount_minor"}
	wantError(t, b.postRefund("r1", refundBody(charge.ID, 1251)), 400, tooLarge)
	parse[followObject](t, b.postRefund("r2", refundBody(charge.ID, 1000)), http.StatusCreated)
	wantError(t, b.postRefund("r3", refundBody(charge.ID, 251)), 400, tooLarge)
	parse[followObject](t, b.postRefund("r4", refundBody(charge.ID, 250)), http.StatusCreated)
	for i, body := range []string{refundBody(charge.ID, 1), `{"charge": "` + charge.ID + `"}`} {
		wantError(t, b.postRefund(fmt.Sprint("none", i), body), 400,
			apiError{Type: typeInvalid, Code: codeAlreadyRefunded, Param: "charge"})
	}
	b.wantEffects(TypeCharge, TypeRefund, TypeRefund)
}

func TestRefund_RejectsADeclinedCharge(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	b.postCharge("k", "pm_declined")
	wantError(t, b.postRefund("r", `{"charge": "`+b.chargesOf("k")[0].ID+`"}`), 400,
		apiError{Type: typeInvalid, Code: codeNotCaptured, Param: "charge"})
	b.wantEffects(TypeDecline)
}

func TestRefund_ReplaysTheFirstAnswerAndRefusesAnother(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	charge := b.mustCharge("k", "pm_ok")
	all := `{"charge": "` + charge.ID + `"}`
	first, again := b.postRefund("r", all), b.postRefund("r", all)
	if first.status != http.StatusCreated || again.body != first.body || !again.replayed {
		t.Errorf("got %+v, want a replay of %+v", again, first)
	}
	conflict := apiError{Type: typeIdempotency, Code: codeKeyReused}
	wantError(t, b.postRefund("r", refundBody(charge.ID, 1250)), 409, conflict)
	wantError(t, b.postCharge("r", "pm_ok"), 409, conflict)
	b.wantEffects(TypeCharge, TypeRefund)
}

func TestRefund_InParallelNeverExceedsTheCharge(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{Journal: t.TempDir() + "/journal"})
	charge := b.mustCharge("k", "pm_ok")
	answers := inParallel(32, func(i int) answered { return b.postRefund(fmt.Sprint("r", i), refundBody(charge.ID, 100)) })
	var made int
	for _, a := range answers {
		if a.status == http.StatusCreated {
			made++
		}
	}
	if made != 12 { // 12 × 1.00 of 12.50
		t.Errorf("%d refunds were made, want 12", made)
	}
	if got := b.chargesOf("k")[0].AmountRefundedMinor; got != 1200 {
		t.Errorf("the charge says %d refunded, want 1200", got)
	}
}

func TestRefund_NParallelDuplicatesRefundOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{Journal: t.TempDir() + "/journal"})
	charge := b.mustCharge("k", "pm_ok")
	inParallel(32, func(int) answered { return b.postRefund("r", refundBody(charge.ID, 100)) })
	b.wantEffects(TypeCharge, TypeRefund)
}

func TestRefund_IsNotFoundUnderTheKeyOfACharge(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	charge := b.mustCharge("k", "pm_ok")
	b.postRefund("r", `{"charge": "`+charge.ID+`"}`)
	if refunds, charges := b.refundsOf("k"), b.chargesOf("r"); len(refunds)+len(charges) != 0 {
		t.Errorf("got refunds %v and charges %v, want none", refunds, charges)
	}
}
