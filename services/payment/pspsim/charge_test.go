package pspsim

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/waittest"
)

func TestCharge_CapturesAndIsFound(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	got := b.mustCharge("order 1/charge", "pm_ok")
	want := chargeObject{ID: got.ID, Status: "captured", AmountMinor: 1250, AmountCapturedMinor: 1250, Currency: "GBP", PaymentMethod: "pm_ok",
		Reference: "ord_1", IdempotencyKey: "order 1/charge", Created: got.Created}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("charge (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(got.ID, "ch_") || got.Created.IsZero() {
		t.Errorf("got id %q created %v, want an id that begins with ch_ and a time", got.ID, got.Created)
	}
	if diff := cmp.Diff([]chargeObject{got}, b.chargesOf("order 1/charge")); diff != "" {
		t.Errorf("charge by key (-answered +found):\n%s", diff)
	}
	byID := parse[chargeObject](t, b.mustDo(http.MethodGet, "/v1/charges/"+got.ID, "", ""), http.StatusOK)
	if diff := cmp.Diff(got, byID); diff != "" {
		t.Errorf("charge by id (-answered +found):\n%s", diff)
	}
	entry := b.Journal()[0]
	wantEntry := Entry{Seq: 1, At: got.Created, Type: TypeCharge, ID: got.ID, IdempotencyKey: "order 1/charge",
		AmountMinor: 1250, FeeMinor: 38, Currency: "GBP", Reference: "ord_1", PaymentMethod: "pm_ok", Fingerprint: entry.Fingerprint}
	if diff := cmp.Diff(wantEntry, entry); diff != "" {
		t.Errorf("journal entry (-want +got):\n%s", diff)
	}
	b.wantEffects(TypeCharge)
}

func TestCharge_IsNotFoundWhenItNeverHappened(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	if got := b.mustDo(http.MethodGet, "/v1/charges?idempotency_key=k", "", ""); got.body != "{\"data\":[]}\n" {
		t.Errorf("got %q, want an empty list", got.body)
	}
	wantError(t, b.mustDo(http.MethodGet, "/v1/charges/ch_none", "", ""), 404,
		apiError{Type: typeInvalid, Code: codeMissing, Param: "id"})
}

func TestCharge_ReplaysTheFirstAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	first := b.postCharge("k", "pm_ok")
	charge := parse[chargeObject](t, first, http.StatusCreated)
	// Later changes of the charge, and other spacing and order in the body, make no difference.
	b.mustDo(http.MethodPost, "/v1/refunds", "k/refund", `{"charge": "`+charge.ID+`"}`)
	again := b.mustDo(http.MethodPost, "/v1/charges", "k",
		`{"reference":"ord_1","payment_method":"pm_ok","currency":"GBP","amount_minor":1250}`)
	if first.replayed || !again.replayed {
		t.Errorf("got replayed %t then %t, want false then true", first.replayed, again.replayed)
	}
	if first.body != again.body || first.status != again.status {
		t.Errorf("got %d %s, want the first answer %d %s", again.status, again.body, first.status, first.body)
	}
	b.wantEffects(TypeCharge, TypeRefund)
}

func TestCharge_RefusesAKeyOfAnotherRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	charge := b.mustCharge("k", "pm_ok")
	conflict := apiError{Type: typeIdempotency, Code: codeKeyReused}
	other := map[string][2]string{
		"amount":      {"1250", "1251"},
		"currency":    {"GBP", "EUR"},
		"method":      {"pm_ok", "pm_slow"},
		"reference":   {"ord_1", "ord_2"},
		"description": {`"ord_1"`, `"ord_1", "description": "tea"`},
	}
	for name, change := range other {
		t.Run(name, func(t *testing.T) {
			body := strings.Replace(chargeBody("pm_ok"), change[0], change[1], 1)
			wantError(t, b.mustDo(http.MethodPost, "/v1/charges", "k", body), 409, conflict)
		})
	}
	wantError(t, b.mustDo(http.MethodPost, "/v1/refunds", "k", `{"charge": "`+charge.ID+`"}`), 409, conflict)
	b.wantEffects(TypeCharge)
}

func TestCharge_NParallelDuplicatesChargeOnce(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"pm_ok", "pm_500_then_ok", "pm_slow"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			b := setup(t, Options{Journal: t.TempDir() + "/journal", SlowDelay: time.Millisecond})
			answers := inParallel(32, func(int) answered { return b.postCharge("k", method) })
			var fresh int
			for _, a := range answers {
				switch {
				case a.status == http.StatusCreated && !a.replayed:
					fresh++
				case a.status == http.StatusConflict:
					wantError(t, a, 409, apiError{Type: typeIdempotency, Code: codeKeyInFlight})
					if a.retryAfter != "1" {
						t.Errorf("got Retry-After %q, want 1", a.retryAfter)
					}
				}
			}
			if fresh > 1 {
				t.Errorf("%d requests were told that they charged, want at most one", fresh)
			}
			b.postCharge("k", method) // all but the first may have found the key in flight
			b.wantEffects(TypeCharge)
		})
	}
}

func TestCharge_ManyKeysInParallelEachChargeOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{Journal: t.TempDir() + "/journal"})
	ids := map[string]bool{}
	for _, a := range inParallel(64, func(i int) answered { return b.postCharge(strings.Repeat("k", i+1), "pm_ok") }) {
		ids[parse[chargeObject](t, a, http.StatusCreated).ID] = true
	}
	if len(ids) != 64 || len(b.Journal()) != 64 {
		t.Errorf("got %d ids and %d entries, want 64 of each", len(ids), len(b.Journal()))
	}
	for i, e := range b.Journal() {
		if e.Seq != int64(i)+1 {
			t.Errorf("entry %d has seq %d", i, e.Seq)
		}
	}
}

func TestCharge_DeclinesAndDeclinesAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	want := apiError{Type: typeCard, Code: codeCardDeclined, DeclineCode: "insufficient_funds"}
	first, again := b.postCharge("k", "pm_declined"), b.postCharge("k", "pm_declined")
	wantError(t, first, http.StatusPaymentRequired, want)
	if first.body != again.body || again.status != first.status || !again.replayed {
		t.Errorf("got %+v, want a replay of %+v", again, first)
	}
	found := b.chargesOf("k")
	if len(found) != 1 || found[0].Status != "declined" || found[0].DeclineCode != "insufficient_funds" {
		t.Fatalf("got %+v, want the one declined charge", found)
	}
	if id := parse[errorBody](t, first, http.StatusPaymentRequired).Error.Charge; id != found[0].ID {
		t.Errorf("the error names charge %q, the lookup %q", id, found[0].ID)
	}
	b.wantEffects(TypeDecline)
}

func TestCharge_TimeoutAfterChargesAndNeverAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	first := b.hold("k", "pm_timeout_after")
	waittest.Until(t, "the charge is found", func() bool { return len(b.chargesOf("k")) == 1 })

	second := b.hold("k", "pm_timeout_after")
	wantError(t, b.postCharge("k", "pm_ok"), 409, apiError{Type: typeIdempotency, Code: codeKeyReused})
	refund := b.mustDo(http.MethodPost, "/v1/refunds", "k/refund", `{"charge": "`+b.chargesOf("k")[0].ID+`"}`)
	parse[followObject](t, refund, http.StatusCreated)

	first.cancel()
	first.wantDropped(t)
	waittest.Until(t, "the first request is over", func() bool { return !b.busy("k") })
	third := b.hold("k", "pm_timeout_after") // finds the effect, not the key in flight
	second.wantHeld(t)
	third.wantHeld(t)
	b.wantEffects(TypeCharge, TypeRefund)
	b.stop()
	second.wantDropped(t)
	third.wantDropped(t)
}

func TestCharge_TimeoutBeforeNeitherChargesNorAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	first := b.hold("k", "pm_timeout_before")
	waittest.Until(t, "the first request is held", func() bool { return b.busy("k") })
	first.cancel()
	first.wantDropped(t)
	waittest.Until(t, "the first request is over", func() bool { return !b.busy("k") })

	second := b.hold("k", "pm_timeout_before")
	waittest.Until(t, "the second request is held", func() bool { return b.requestsOf("k") == 2 })
	second.wantHeld(t)
	if found := b.chargesOf("k"); len(found) != 0 {
		t.Errorf("found %+v, want nothing", found)
	}
	b.wantEffects()
	b.stop()
	second.wantDropped(t)
}

func TestCharge_FailsOnceThenCaptures(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	for _, key := range []string{"k1", "k2"} {
		wantError(t, b.postCharge(key, "pm_500_then_ok"), 500, apiError{Type: typeAPI, Code: codeInternal})
		if found := b.chargesOf(key); len(found) != 0 {
			t.Errorf("found %+v after the 500, want nothing", found)
		}
	}
	b.wantEffects()
	charge := b.mustCharge("k1", "pm_500_then_ok")
	if again := b.postCharge("k1", "pm_500_then_ok"); !again.replayed || !strings.Contains(again.body, charge.ID) {
		t.Errorf("got %+v, want a replay of %s", again, charge.ID)
	}
	b.wantEffects(TypeCharge)
}

func TestCharge_SlowIsCapturedLongBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{SlowDelay: time.Hour})
	slow := b.hold("k", "pm_slow")
	waittest.Until(t, "the charge is found", func() bool { return len(b.chargesOf("k")) == 1 })
	inFlight := b.postCharge("k", "pm_slow")
	wantError(t, inFlight, 409, apiError{Type: typeIdempotency, Code: codeKeyInFlight})
	if inFlight.retryAfter == "" {
		t.Error("a key in flight is answered without Retry-After")
	}
	slow.cancel()
	slow.wantDropped(t)
	waittest.Until(t, "the slow request is over", func() bool { return !b.busy("k") })
	if again := b.postCharge("k", "pm_slow"); again.status != http.StatusCreated || !again.replayed {
		t.Errorf("got %+v, want a replay", again)
	}
	b.wantEffects(TypeCharge)
}

func TestCharge_SlowAnswersAfterItsDelay(t *testing.T) {
	t.Parallel()
	const delay = 30 * time.Millisecond
	b := setup(t, Options{SlowDelay: delay})
	began := time.Now()
	b.mustCharge("k", "pm_slow")
	if took := time.Since(began); took < delay {
		t.Errorf("answered after %v, want at least %v", took, delay)
	}
}
