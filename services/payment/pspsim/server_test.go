package pspsim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tieout/tieout/pkg/waittest"
)

const patience = 10 * time.Second // how long a test waits for what must happen

// A bench is one simulator and a client of it.
type bench struct {
	*Server // nil if it is in another process
	t       *testing.T
	url     string
	client  *http.Client
}

func setup(t *testing.T, opts Options) *bench {
	t.Helper()
	s, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	b := &bench{Server: s, t: t, url: s.URL(), client: &http.Client{Transport: transport}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		b.stop()
	})
	return b
}

// stop closes the simulator, and fails if that is not prompt.
func (b *bench) stop() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		b.t.Errorf("closing: %v", err)
	}
}

// An answered is an answer, with its body as text.
type answered struct {
	status     int
	replayed   bool
	retryAfter string
	body       string
}

func (b *bench) do(ctx context.Context, method, path, key, body string) (answered, error) {
	req, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return answered{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answered{
		status:     resp.StatusCode,
		replayed:   resp.Header.Get("Idempotent-Replayed") == "true",
		retryAfter: resp.Header.Get("Retry-After"),
		body:       string(text),
	}, err
}

func (b *bench) mustDo(method, path, key, body string) answered {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	a, err := b.do(ctx, method, path, key, body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func chargeBody(paymentMethod string) string {
	return `{"amount_minor": 1250, "currency": "GBP", "payment_method": "` + paymentMethod + `", "reference": "ord_1"}`
}

func (b *bench) postCharge(key, paymentMethod string) answered {
	b.t.Helper()
	return b.mustDo(http.MethodPost, "/v1/charges", key, chargeBody(paymentMethod))
}

// mustCharge charges 12.50 GBP and returns the charge.
func (b *bench) mustCharge(key, paymentMethod string) chargeObject {
	b.t.Helper()
	return parse[chargeObject](b.t, b.postCharge(key, paymentMethod), http.StatusCreated)
}

// chargesOf looks up what a key has charged.
func (b *bench) chargesOf(key string) []chargeObject {
	b.t.Helper()
	a := b.mustDo(http.MethodGet, "/v1/charges?idempotency_key="+url.QueryEscape(key), "", "")
	return parse[list[chargeObject]](b.t, a, http.StatusOK).Data
}

// parse checks the status and decodes the body.
func parse[T any](t *testing.T, a answered, status int) T {
	t.Helper()
	var v T
	if a.status != status {
		t.Fatalf("got status %d, want %d; body %s", a.status, status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("decoding %q: %v", a.body, err)
	}
	return v
}

// wantError checks an error answer but for its message and charge.
func wantError(t *testing.T, a answered, status int, want apiError) {
	t.Helper()
	got := parse[errorBody](t, a, status).Error
	if got == nil || got.Message == "" {
		t.Fatalf("got %s, want an error with a message", a.body)
	}
	ignore := cmpopts.IgnoreFields(apiError{}, "Message", "Charge", "status", "retryAfter")
	if diff := cmp.Diff(want, *got, ignore, cmp.AllowUnexported(apiError{})); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// wantEffects checks the types of all that happened, in order, and that the
// witness over HTTP says the same as the one in process.
func (b *bench) wantEffects(want ...EntryType) {
	b.t.Helper()
	var got []EntryType
	for _, e := range b.Journal() {
		got = append(got, e.Type)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("effects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(b.Journal(), b.served(), cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("served journal (-in process +served):\n%s", diff)
	}
}

// served reads the journal over HTTP.
func (b *bench) served() []Entry {
	b.t.Helper()
	var entries []Entry
	lines := json.NewDecoder(strings.NewReader(b.mustDo(http.MethodGet, "/v1/journal", "", "").body))
	for {
		var e Entry
		if err := lines.Decode(&e); errors.Is(err, io.EOF) {
			return entries
		} else if err != nil {
			b.t.Fatalf("decoding the journal: %v", err)
		}
		entries = append(entries, e)
	}
}

// A heldPost is a request in another goroutine that should get no answer.
type heldPost struct {
	cancel context.CancelFunc
	done   chan error // nil if it was answered
}

func (b *bench) hold(key, paymentMethod string) *heldPost {
	ctx, cancel := context.WithCancel(b.t.Context())
	h := &heldPost{cancel: cancel, done: make(chan error, 1)}
	go func() {
		_, err := b.do(ctx, http.MethodPost, "/v1/charges", key, chargeBody(paymentMethod))
		h.done <- err
	}()
	return h
}

// requestsOf counts the requests of a key that came in without finding an effect.
func (b *bench) requestsOf(key string) int {
	b.book.mu.Lock()
	defer b.book.mu.Unlock()
	if c := b.book.claims[key]; c != nil {
		return c.requests
	}
	return 0
}

func (b *bench) busy(key string) bool {
	b.book.mu.Lock()
	defer b.book.mu.Unlock()
	c := b.book.claims[key]
	return c != nil && c.busy
}

// wantHeld checks that no answer comes, as far as a short while can tell.
func (h *heldPost) wantHeld(t *testing.T) {
	t.Helper()
	select {
	case err := <-h.done:
		t.Errorf("a request that should be held has ended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
}

func (h *heldPost) wantDropped(t *testing.T) {
	t.Helper()
	select {
	case err := <-h.done:
		if err == nil {
			t.Error("a request that must never be answered was answered")
		}
	case <-time.After(patience):
		t.Error("a held request was not released")
	}
}

func TestServer_CloseReleasesHeldRequestsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	before, after := b.hold("k1", "pm_timeout_before"), b.hold("k2", "pm_timeout_after")
	waittest.Until(t, "both are held", func() bool { return b.busy("k1") && len(b.Journal()) == 1 })
	b.stop()
	before.wantDropped(t)
	after.wantDropped(t)
	b.stop() // once more does no harm
}

func TestServer_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-s.stopped:
	case <-time.After(patience):
		t.Fatal("the server outlived its context")
	}
	if _, err := http.Get(s.URL() + "/healthz"); err == nil {
		t.Error("the server still answers")
	}
}

func TestServer_StartFailsOnAnAddressInUse(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	if _, err := Start(t.Context(), Options{Addr: b.Addr()}); err == nil {
		t.Fatal("a second server started on the address of the first")
	}
}

func TestServer_IsHealthy(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	if a := b.mustDo(http.MethodGet, "/healthz", "", ""); a.status != http.StatusOK {
		t.Errorf("got status %d, want 200", a.status)
	}
}

func TestServer_RefusesBadRequestsWithoutEffect(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	charge := func(from, to string) string { return strings.Replace(chargeBody("pm_ok"), from, to, 1) }
	bad := apiError{Type: typeInvalid, Code: codeInvalidParam}
	param := func(name string) apiError { e := bad; e.Param = name; return e }
	code := func(c string) apiError { return apiError{Type: typeInvalid, Code: c} }
	tests := map[string]struct {
		path, key, body string
		status          int
		want            apiError
	}{
		"no key":            {"/v1/charges", "", chargeBody("pm_ok"), 400, code(codeKeyMissing)},
		"long key":          {"/v1/charges", strings.Repeat("k", 256), chargeBody("pm_ok"), 400, code(codeKeyInvalid)},
		"key not ASCII":     {"/v1/charges", "schlüssel", chargeBody("pm_ok"), 400, code(codeKeyInvalid)},
		"not JSON":          {"/v1/charges", "k", "amount=1", 400, code(codeInvalidJSON)},
		"two values":        {"/v1/charges", "k", chargeBody("pm_ok") + "{}", 400, code(codeInvalidJSON)},
		"not UTF-8":         {"/v1/charges", "k", charge("ord_1", "ord_\xff"), 400, code(codeInvalidJSON)},
		"unknown field":     {"/v1/charges", "k", charge("reference", "referrer"), 400, code(codeInvalidJSON)},
		"too large":         {"/v1/charges", "k", strings.Repeat(" ", maxBody+1), 413, code(codeTooLarge)},
		"amount zero":       {"/v1/charges", "k", charge("1250", "0"), 400, param("amount_minor")},
		"amount negative":   {"/v1/charges", "k", charge("1250", "-1"), 400, param("amount_minor")},
		"amount fractional": {"/v1/charges", "k", charge("1250", "12.5"), 400, param("amount_minor")},
		"amount overflows":  {"/v1/charges", "k", charge("1250", "9223372036854775808"), 400, param("amount_minor")},
		"currency":          {"/v1/charges", "k", charge("GBP", "gbp"), 400, param("currency")},
		"no reference":      {"/v1/charges", "k", charge("ord_1", ""), 400, param("reference")},
		"payment method": {"/v1/charges", "k", charge("pm_ok", "pm_none"), 400,
			apiError{Type: typeInvalid, Code: codeMissing, Param: "payment_method"}},
		"refund of nothing": {"/v1/refunds", "k", `{}`, 400, param("charge")},
		"refund of zero":    {"/v1/refunds", "k", `{"charge": "ch_1", "amount_minor": 0}`, 400, param("amount_minor")},
		"refund of unknown charge": {"/v1/refunds", "k", `{"charge": "ch_1"}`, 404,
			apiError{Type: typeInvalid, Code: codeMissing, Param: "charge"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantError(t, b.mustDo(http.MethodPost, tt.path, tt.key, tt.body), tt.status, tt.want)
		})
	}
	b.wantEffects()
}

func TestServer_LookupsNeedAKey(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	for _, path := range []string{"/v1/charges", "/v1/refunds"} {
		wantError(t, b.mustDo(http.MethodGet, path, "", ""), 400,
			apiError{Type: typeInvalid, Code: codeInvalidParam, Param: "idempotency_key"})
	}
}

// inParallel runs do n times at once and returns the answers.
func inParallel(n int, do func(i int) answered) []answered {
	answers := make([]answered, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range answers {
		wg.Go(func() {
			<-start
			answers[i] = do(i)
		})
	}
	close(start)
	wg.Wait()
	return answers
}
