package provider_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// startStripeMock runs Stripe's own mock, which checks requests against Stripe's published specification and answers
// with its fixtures; it gives its URL.
func startStripeMock(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("stripe-mock takes a while to build")
	}
	program := filepath.Join(t.TempDir(), "stripe-mock")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/stripe/stripe-mock")
	build.Dir = filepath.Join("..", "..", "..", "tools")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building stripe-mock: %v\n%s", err, text)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	mock := exec.CommandContext(ctx, program, "-http-addr", "127.0.0.1:0")
	out, err := mock.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := mock.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = mock.Wait() // "signal: killed"
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, addr, found := strings.Cut(lines.Text(), "Listening for HTTP at address: "); found {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return "http://" + addr
		}
	}
	t.Fatal("stripe-mock did not start")
	return ""
}

// object is one of Stripe's, as JSON.
type object = map[string]any

// stripeFake is an account at Stripe. What Stripe's mock refuses, it refuses; what it answers is the mock's fixture
// with what has happened filled in.
type stripeFake struct {
	t    *testing.T
	mock string

	mu      sync.Mutex
	intents map[string]object
	refunds []object
	kept    map[string]keptAnswer // by idempotency key
	effects map[string]int        // by idempotency key
	last    object                // the last dispute
	events  int                   // how many were made
	lose    bool
}

type keptAnswer struct {
	request string
	status  int
	body    object
}

func startStripeFake(t *testing.T) (*stripeFake, string) {
	t.Helper()
	f := &stripeFake{t: t, mock: startStripeMock(t), intents: map[string]object{}, kept: map[string]keptAnswer{}, effects: map[string]int{}}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return f, s.URL
}

// validated has the mock check a request, and gives the answer that it has for it.
func (f *stripeFake) validated(r *http.Request, body []byte) (status int, answer object) {
	sent, err := http.NewRequestWithContext(r.Context(), r.Method, f.mock+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	sent.Header = r.Header.Clone()
	got, err := http.DefaultClient.Do(sent)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer got.Body.Close()
	if err := json.NewDecoder(got.Body).Decode(&answer); err != nil {
		f.t.Errorf("stripe-mock answered %s: %v", got.Status, err)
	}
	if got.StatusCode != http.StatusOK {
		f.t.Errorf("stripe-mock refused %s %s %s: %v", r.Method, r.URL, body, answer)
	}
	return got.StatusCode, answer
}

func (f *stripeFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	status, answer := f.validated(r, body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if key, request := r.Header.Get("Idempotency-Key"), r.URL.Path+string(body); r.Method == http.MethodPost && status == http.StatusOK {
		kept, known := f.kept[key]
		switch {
		case !known:
			status, answer = f.change(r.URL.Path, body, answer)
			f.kept[key] = keptAnswer{request, status, answer}
			if status == http.StatusOK {
				f.effects[key]++
			}
			if f.lose {
				f.lose = false
				_ = http.NewResponseController(w).Flush() // the header arrives: net/http does not send again by itself
				panic(http.ErrAbortHandler)
			}
		case kept.request != request:
			status, answer = refuse(http.StatusBadRequest, object{"type": "idempotency_error"})
		default:
			status, answer = kept.status, kept.body
		}
	} else if status == http.StatusOK {
		status, answer = f.show(r.URL, answer)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func refuse(status int, e object) (int, object) {
	e["message"] = "refused"
	return status, object{"error": e}
}

func invalidRequest(status int, code, param string) (int, object) {
	return refuse(status, object{"type": "invalid_request_error", "code": code, "param": param})
}

// fixture is what the mock has for something of Stripe's.
func (f *stripeFake) fixture(path string) object {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk_test_123")
	status, fixture := f.validated(r, nil)
	if status != http.StatusOK {
		f.t.Fatalf("stripe-mock has no %s", path)
	}
	return fixture
}

// with is a fixture with what has happened filled in, which it has a place for.
func (f *stripeFake) with(fixture, changes object) object {
	for field := range changes {
		if _, known := fixture[field]; !known {
			f.t.Errorf("Stripe's %v has no %s", fixture["object"], field)
		}
	}
	made := maps.Clone(fixture)
	maps.Copy(made, changes)
	return made
}

func metadataOf(form url.Values) object {
	made := object{}
	for name, values := range form {
		if key, found := strings.CutPrefix(name, "metadata["); found {
			made[strings.TrimSuffix(key, "]")] = values[0]
		}
	}
	return made
}

func number(text string) float64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return float64(n)
}

// change carries out a POST.
func (f *stripeFake) change(path string, body []byte, fixture object) (int, object) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	parts := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	switch {
	case path == "/v1/payment_intents":
		return f.pay(form, fixture)
	case path == "/v1/refunds":
		return f.refund(form, fixture)
	case len(parts) == 3 && parts[0] == "payment_intents":
		return f.settle(parts[1], parts[2], form)
	}
	return invalidRequest(http.StatusNotFound, "url_invalid", "")
}

func (f *stripeFake) pay(form url.Values, fixture object) (int, object) {
	made := f.with(fixture, object{
		"id": fmt.Sprintf("pi_%d", len(f.intents)+1), "amount": number(form.Get("amount")), "currency": form.Get("currency"),
		"capture_method": form.Get("capture_method"), "metadata": metadataOf(form), "amount_received": 0.0, "last_payment_error": nil,
	})
	switch form.Get("payment_method") {
	case "pm_card_visa":
		made["status"] = "requires_capture"
		if form.Get("capture_method") == "automatic" {
			made["status"], made["amount_received"] = "succeeded", made["amount"]
		}
	case "pm_card_visa_chargeDeclinedInsufficientFunds":
		why := object{"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
		made["status"], made["last_payment_error"] = "requires_payment_method", maps.Clone(why)
		f.intents[made["id"].(string)] = made
		why["payment_intent"] = made
		return refuse(http.StatusPaymentRequired, why)
	default:
		return invalidRequest(http.StatusBadRequest, "resource_missing", "payment_method")
	}
	f.intents[made["id"].(string)] = made
	return http.StatusOK, made
}

// settle captures or cancels.
func (f *stripeFake) settle(id, what string, form url.Values) (int, object) {
	p, known := f.intents[id]
	switch {
	case !known:
		return invalidRequest(http.StatusNotFound, "resource_missing", "intent")
	case p["status"] != "requires_capture":
		return invalidRequest(http.StatusBadRequest, "payment_intent_unexpected_state", "")
	case what == "cancel":
		p = f.with(p, object{"status": "canceled"})
	case number(form.Get("amount_to_capture")) > p["amount"].(float64):
		return invalidRequest(http.StatusBadRequest, "amount_too_large", "amount_to_capture")
	default:
		metadata := maps.Clone(p["metadata"].(object))
		maps.Copy(metadata, metadataOf(form))
		p = f.with(p, object{"status": "succeeded", "amount_received": number(form.Get("amount_to_capture")), "metadata": metadata})
	}
	f.intents[id] = p
	return http.StatusOK, p
}

func (f *stripeFake) refund(form url.Values, fixture object) (int, object) {
	p, known := f.intents[form.Get("payment_intent")]
	if !known {
		return invalidRequest(http.StatusNotFound, "resource_missing", "payment_intent")
	}
	left := p["amount_received"].(float64)
	for _, r := range f.refunds {
		if r["payment_intent"] == p["id"] {
			left -= r["amount"].(float64)
		}
	}
	amount := number(form.Get("amount"))
	switch {
	case left == 0:
		return invalidRequest(http.StatusBadRequest, "charge_already_refunded", "")
	case amount > left:
		return invalidRequest(http.StatusBadRequest, "amount_too_large", "amount")
	}
	made := f.with(fixture, object{"id": fmt.Sprintf("re_%d", len(f.refunds)+1), "amount": amount, "currency": p["currency"],
		"payment_intent": p["id"], "metadata": metadataOf(form), "status": "succeeded"})
	f.refunds = append(f.refunds, made)
	return http.StatusOK, made
}

// show answers a GET.
func (f *stripeFake) show(u *url.URL, fixture object) (int, object) {
	switch u.Path {
	case "/v1/payment_intents/search":
		_, key, _ := strings.Cut(u.Query().Get("query"), `metadata["tieout_key"]:`)
		return http.StatusOK, f.with(fixture, object{"has_more": false, "data": f.matching(key)})
	case "/v1/refunds":
		data := []object{}
		for _, r := range f.refunds {
			if r["payment_intent"] == u.Query().Get("payment_intent") {
				data = append(data, r)
			}
		}
		return http.StatusOK, f.with(fixture, object{"has_more": false, "data": data})
	}
	p, known := f.intents[strings.TrimPrefix(u.Path, "/v1/payment_intents/")]
	if !known {
		return invalidRequest(http.StatusNotFound, "resource_missing", "intent")
	}
	return http.StatusOK, p
}

// matching are the payment intents whose key is as quoted.
func (f *stripeFake) matching(quoted string) []object {
	data := []object{}
	for _, p := range f.intents {
		if strconv.Quote(p["metadata"].(object)["tieout_key"].(string)) == quoted {
			data = append(data, p)
		}
	}
	return data
}

// movement is a balance transaction.
func (f *stripeFake) movement(id string, amount, fee float64, currency any) object {
	return f.with(f.fixture("/v1/balance_transactions/"+id), object{"id": id, "amount": amount, "fee": fee, "currency": currency})
}

// dispute is what Stripe sends when the customer's bank takes all of a payment intent back, for a fee of 15.00.
func (f *stripeFake) dispute(id string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.intents[id]
	f.last = f.with(f.fixture("/v1/disputes/du_1"), object{
		"id": "du_" + id, "payment_intent": id, "amount": p["amount"], "currency": p["currency"], "status": "needs_response",
		"balance_transactions": []object{f.movement("txn_1", -p["amount"].(float64), 1500, p["currency"])},
	})
	return f.event("charge.dispute.created", f.last)
}

// winDispute is what Stripe sends when the last dispute is decided for the merchant, who gets its fee back.
func (f *stripeFake) winDispute(id string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last["id"] != id {
		f.t.Fatalf("the last dispute is %v, not %s", f.last["id"], id)
	}
	moved := append(f.last["balance_transactions"].([]object), f.movement("txn_2", f.last["amount"].(float64), -1500, f.last["currency"]))
	f.last = f.with(f.last, object{"status": "won", "balance_transactions": moved})
	return f.event("charge.dispute.closed", f.last)
}

// event is what Stripe sends of what a key has brought about.
func (f *stripeFake) event(kind string, about object) []byte {
	f.events++
	body, err := json.Marshal(f.with(f.fixture("/v1/events/evt_1"), object{
		"id": fmt.Sprintf("evt_%d", f.events), "type": kind, "created": time.Now().Unix(), "data": object{"object": about},
	}))
	if err != nil {
		f.t.Fatal(err)
	}
	return body
}
