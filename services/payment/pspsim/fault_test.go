package pspsim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/waittest"
)

func (b *bench) order(path, body string) answered {
	b.t.Helper()
	method := http.MethodPost
	if path == "/admin/webhooks" {
		method = http.MethodPut
	}
	return b.mustDo(method, path, "", body)
}

func TestFault_OfTheNextRequestsIsUsedUp(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		order   string
		status  int
		effects []EntryType
	}{
		"error before": {`{"fault": "error_before", "count": 1, "status": 503}`, 503, nil},
		"error after":  {`{"fault": "error_after", "count": 1}`, 500, []EntryType{TypeCharge}},
		"rate limited": {`{"fault": "rate_limited", "count": 1, "retry_after": 7}`, 429, nil},
		"declined":     {`{"fault": "decline", "count": 1, "decline_code": "lost_card"}`, 402, []EntryType{TypeDecline}},
		"for its op":   {`{"fault": "error_before", "count": 1, "op": "charge", "payment_method": "pm_ok"}`, 500, nil},
		"another op":   {`{"fault": "error_before", "count": 1, "op": "refund"}`, 201, []EntryType{TypeCharge}},
		"other method": {`{"fault": "error_before", "count": 1, "payment_method": "pm_slow"}`, 201, []EntryType{TypeCharge}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, Options{})
			parse[Fault](t, b.order("/admin/faults", tt.order), http.StatusOK)
			first := b.postCharge("k", "pm_ok")
			if first.status != tt.status {
				t.Errorf("got %d %s, want %d", first.status, first.body, tt.status)
			}
			if tt.status == 429 && first.retryAfter != "7" {
				t.Errorf("got Retry-After %q, want 7", first.retryAfter)
			}
			b.wantEffects(tt.effects...)
			if again := b.postCharge("k", "pm_ok"); again.status >= 429 {
				t.Errorf("the second request got %d %s", again.status, again.body)
			}
			if len(b.Journal()) != 1 {
				t.Errorf("got %d effects of one key, want 1", len(b.Journal()))
			}
		})
	}
}

func TestFault_WithoutACountLastsUntilItIsCleared(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	b.order("/admin/faults", `{"fault": "error_before", "payment_method": "pm_ok"}`)
	for range 3 {
		wantError(t, b.postCharge("k", "pm_ok"), 500, apiError{Type: typeAPI, Code: codeInternal})
	}
	if left := parse[list[Fault]](t, b.mustDo(http.MethodGet, "/admin/faults", "", ""), http.StatusOK).Data; len(left) != 1 {
		t.Errorf("got %+v, want the one fault", left)
	}
	b.mustDo(http.MethodDelete, "/admin/faults", "", "")
	b.mustCharge("k", "pm_ok")
}

func TestFault_OfAnAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	malformed := b.postCharge("malformed", "pm_malformed")
	if malformed.status != http.StatusCreated || json.Valid([]byte(malformed.body)) {
		t.Errorf("got %d %s, want JSON that breaks off", malformed.status, malformed.body)
	}
	other := b.mustCharge("other", "pm_other_amount")
	if other.AmountMinor != 1251 || b.Journal()[1].AmountMinor != 1251 {
		t.Errorf("got %d, journal %d; want 1251 in both", other.AmountMinor, b.Journal()[1].AmountMinor)
	}
	b.order("/admin/faults", `{"fault": "drip", "delay_ms": 1, "count": 1}`)
	began := time.Now()
	dripped := b.postCharge("drip", "pm_ok")
	if took := time.Since(began); took < time.Duration(len(dripped.body)-1)*time.Millisecond {
		t.Errorf("%d bytes took %s, want one a millisecond", len(dripped.body), took)
	}
	parse[chargeObject](t, dripped, http.StatusCreated)
	wantError(t, b.postCharge("once", "pm_500_after"), 500, apiError{Type: typeAPI, Code: codeInternal})
	if again := b.postCharge("once", "pm_500_after"); again.status != http.StatusCreated || !again.replayed {
		t.Errorf("got %+v, want a replay of what had happened", again)
	}
	b.wantEffects(TypeCharge, TypeCharge, TypeCharge, TypeCharge)
}

func TestFault_TimeoutsOfWhatFollowsACharge(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	charge := b.mustCharge("k", "pm_ok")
	for i, kind := range []FaultKind{FaultTimeoutBefore, FaultTimeoutAfter} {
		if err := b.Inject(Fault{Kind: kind, Op: TypeRefund, Count: 1}); err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := b.do(ctx, http.MethodPost, "/v1/refunds", string(kind), refundBody(charge.ID, 1))
			done <- err
		}()
		waittest.Until(t, "the request is held", func() bool { return b.busy(string(kind)) && len(b.Journal()) == 1+i })
		leave()
		if err := <-done; err == nil {
			t.Errorf("%s was answered", kind)
		}
	}
}

func TestFault_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	for _, order := range []string{
		`{}`, `{"fault": "explode"}`, `{"fault": "slow", "op": "lend"}`, `{"fault": "slow", "count": -1}`, `{"fault": "error_after", "status": 200}`,
	} {
		if got := b.order("/admin/faults", order); got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want 400", order, got.status, got.body)
		}
	}
	for path, order := range map[string]string{"/admin/down": `{"for_ms": 0}`, "/admin/webhooks": `{"duplicates": -1}`} {
		if got := b.order(path, order); got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want 400", path, got.status, got.body)
		}
	}
}

func TestDown_AnswersNothingBut503(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	b.order("/admin/down", `{"for_ms": 3600000}`)
	wantError(t, b.postCharge("k", "pm_ok"), 503, apiError{Type: typeAPI, Code: codeUnavailable})
	b.wantEffectsInProcess(t)
	b.mustDo(http.MethodDelete, "/admin/down", "", "")
	b.mustCharge("k", "pm_ok")
}

// wantEffectsInProcess is for a simulator that does not show its journal.
func (b *bench) wantEffectsInProcess(t *testing.T) {
	t.Helper()
	if got := b.Journal(); len(got) > 0 {
		t.Errorf("got effects %+v, want none", got)
	}
}

func TestDown_RefusesConnectionsUntilItIsUpAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	b.mustCharge("before", "pm_ok") // its connection is kept
	if err := b.Down(Outage{ForMillis: 3_600_000, Refuse: true}); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "connections are refused", func() bool {
		_, err := b.do(t.Context(), http.MethodPost, "/v1/charges", "k", chargeBody("pm_ok"))
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	b.Up()
	waittest.Until(t, "it is up again", func() bool {
		a, err := b.do(t.Context(), http.MethodPost, "/v1/charges", "k", chargeBody("pm_ok"))
		return err == nil && a.status == http.StatusCreated
	})
	b.wantEffects(TypeCharge, TypeCharge)
}

func TestDown_EndsByItself(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	if err := b.Down(Outage{ForMillis: 20, Refuse: true}); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "it is up again", func() bool {
		a, err := b.do(t.Context(), http.MethodPost, "/v1/charges", "k", chargeBody("pm_ok"))
		return err == nil && a.status == http.StatusCreated
	})
}

func TestKey_IsForgottenAfterItsLifetime(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(time.Now().Unix())
	path := t.TempDir() + "/journal"
	opts := Options{Journal: path, Now: func() time.Time { return time.Unix(now.Load(), 0) }}
	b := setup(t, opts)
	first := b.mustCharge("k", "pm_ok")
	now.Add(24*3600 - 1)
	if again := b.mustCharge("k", "pm_ok"); again.ID != first.ID {
		t.Errorf("got %s a second before the end of its life, want %s", again.ID, first.ID)
	}
	now.Add(1)
	second := b.mustCharge("k", "pm_ok")
	if second.ID == first.ID {
		t.Error("the key is still known")
	}
	check := func(b *bench) {
		b.t.Helper()
		if found := b.chargesOf("k"); len(found) != 2 || found[0].ID != first.ID || found[1].ID != second.ID {
			b.t.Errorf("found %+v, want both charges", found)
		}
		if again := b.mustCharge("k", "pm_ok"); again.ID != second.ID {
			b.t.Errorf("got %s, want the second charge", again.ID)
		}
		b.wantEffects(TypeCharge, TypeCharge)
	}
	check(b)
	b.stop()
	check(setup(t, opts))
}

// A receiver keeps what it is sent, and answers as it is told.
type receiver struct {
	mu     sync.Mutex
	events []string // type and id of the effect
	heads  []string
	bodies [][]byte
	fails  int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	var e struct {
		Type string `json:"type"`
		Data struct {
			Key string `json:"idempotency_key"`
		} `json:"data"`
	}
	err := json.Unmarshal(body, &e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails > 0 || err != nil {
		r.fails--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.events = append(r.events, e.Type+" "+e.Data.Key)
	r.heads, r.bodies = append(r.heads, req.Header.Get("Psp-Signature")), append(r.bodies, body)
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.events...)
}

func receiving(t *testing.T, how Webhooks) (*bench, *receiver) {
	t.Helper()
	r := &receiver{}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	how.URL, how.Secret = s.URL, "whsec"
	b := setup(t, Options{})
	order, err := json.Marshal(how)
	if err != nil {
		t.Fatal(err)
	}
	parse[Webhooks](t, b.order("/admin/webhooks", string(order)), http.StatusOK)
	return b, r
}

func (r *receiver) want(t *testing.T, events ...string) {
	t.Helper()
	waittest.Until(t, "the webhooks arrive", func() bool { return len(r.got()) >= len(events) })
	if diff := cmp.Diff(events, r.got()); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
}

func TestWebhook_TellsOfEveryEffectAndAgainUntilItIsTaken(t *testing.T) {
	t.Parallel()
	b, r := receiving(t, Webhooks{})
	r.mu.Lock()
	r.fails = 1
	r.mu.Unlock()
	authorized := parse[chargeObject](t, b.mustDo(http.MethodPost, "/v1/charges", "a",
		strings.Replace(chargeBody("pm_ok"), "{", `{"authorize_only": true, `, 1)), http.StatusCreated)
	r.want(t, "authorize.succeeded a")
	b.mustDo(http.MethodPost, "/v1/captures", "c", `{"charge": "`+authorized.ID+`", "amount_minor": 1000}`)
	b.postRefund("r", `{"charge": "`+authorized.ID+`"}`)
	b.postCharge("d", "pm_declined")
	r.want(t, "authorize.succeeded a", "capture.succeeded c", "refund.succeeded r", "charge.declined d")
	if !strings.HasPrefix(r.heads[0], "t=") || !strings.Contains(r.heads[0], ",v1=") {
		t.Errorf("got signature %q", r.heads[0])
	}
}

func TestWebhook_IsDuplicatedReorderedAndForgedOnRequest(t *testing.T) {
	t.Parallel()
	b, r := receiving(t, Webhooks{Duplicates: 1, Reorder: true})
	b.mustCharge("k1", "pm_ok")
	b.mustCharge("k2", "pm_ok")
	waittest.Until(t, "all arrive", func() bool { return len(r.got()) == 4 })
	events := r.got()
	counts := map[string]int{}
	for _, e := range events {
		counts[e]++
	}
	if diff := cmp.Diff(map[string]int{"charge.succeeded k1": 2, "charge.succeeded k2": 2}, counts); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	if events[0] != "charge.succeeded k2" {
		t.Errorf("got %v, want k2 to overtake k1", events)
	}
	answer := parse[map[string]int](t, b.order("/admin/webhooks/forge", ""), http.StatusOK)
	if answer["status"] != http.StatusOK {
		t.Errorf("got %v", answer)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.heads) - 1
	for i, head := range r.heads {
		seconds, _, _ := strings.Cut(strings.TrimPrefix(head, "t="), ",")
		unix, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		authentic := signature("whsec", time.Unix(unix, 0), r.bodies[i]) == head
		if authentic == (i == last) {
			t.Errorf("webhook %d of %d: authentic %t, want all but the last, which is forged", i, last, authentic)
		}
	}
}
