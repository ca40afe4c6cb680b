package pspsim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/waittest"
)

// An asking is a request for an operation, and how its effects are looked up.
type asking struct {
	path, body string
}

func (a asking) lookup(key string) string { return a.path + "?idempotency_key=" + key }

// asking prepares a request for an operation, with the charge that it follows.
func (b *bench) asking(op EntryType, method string) asking {
	b.t.Helper()
	charge := chargeBody(method)
	authorization := strings.Replace(charge, "{", `{"authorize_only": true, `, 1)
	followed := func(path, body string) asking {
		made := parse[chargeObject](b.t, b.mustDo(http.MethodPost, "/v1/charges", "followed", body), http.StatusCreated)
		return asking{path, `{"charge": "` + made.ID + `"}`}
	}
	switch op {
	case TypeAuthorize:
		return asking{"/v1/charges", authorization}
	case TypeCapture:
		return followed("/v1/captures", authorization)
	case TypeVoid:
		return followed("/v1/voids", authorization)
	case TypeRefund:
		return followed("/v1/refunds", charge)
	}
	return asking{"/v1/charges", charge}
}

// effects counts what a key has brought about, for whoever is in this process.
func (b *bench) effects(key string) (n int) {
	for _, e := range b.Journal() {
		if e.IdempotencyKey == key {
			n++
		}
	}
	return n
}

// untilGivenUp sends a request. If it is not answered, its client leaves once it is held.
func (b *bench) untilGivenUp(send func(ctx context.Context) (answered, error), held func() bool) (a answered, err error) {
	b.t.Helper()
	ctx, leave := context.WithCancel(b.t.Context())
	defer leave()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a, err = send(ctx)
	}()
	waittest.Until(b.t, "the request is answered or held", func() bool {
		select {
		case <-done:
			return true
		default:
			return held()
		}
	})
	leave()
	<-done
	return a, err
}

// gone says that a request was not answered in full.
const gone = 0

// misbehaviour is what each fault comes to.
var misbehaviour = []struct {
	kind    FaultKind
	status  int
	effects int
}{
	{FaultTimeoutBefore, gone, 0},
	{FaultTimeoutAfter, gone, 1},
	{FaultLostBefore, gone, 0},
	{FaultLostAfter, gone, 1},
	{FaultErrorBefore, 500, 0},
	{FaultErrorAfter, 500, 1},
	{FaultRateLimited, 429, 0},
	{FaultMalformed, 201, 1},
	{FaultOtherAmount, 201, 1},
	{FaultDrip, 201, 1},
	{FaultSlow, 201, 1},
}

func TestFault_HitsTheNextRequestOfEachOperation(t *testing.T) {
	t.Parallel()
	for _, op := range []EntryType{TypeCharge, TypeAuthorize, TypeCapture, TypeVoid, TypeRefund} {
		for _, tt := range misbehaviour {
			t.Run(fmt.Sprintf("%s %s", tt.kind, op), func(t *testing.T) {
				t.Parallel()
				b := setup(t, Options{})
				ask := b.asking(op, "pm_ok")
				b.order("/admin/faults", fmt.Sprintf(`{"fault": %q, "op": %q, "count": 1, "delay_ms": 1}`, tt.kind, op))
				first, err := b.untilGivenUp(func(ctx context.Context) (answered, error) {
					return b.do(ctx, http.MethodPost, ask.path, "k", ask.body)
				}, func() bool {
					return strings.HasPrefix(string(tt.kind), "timeout") && b.busy("k") && b.effects("k") == tt.effects
				})
				if (err != nil) != (tt.status == gone) || err == nil && first.status != tt.status {
					t.Errorf("got %d %s, error %v; want %d", first.status, first.body, err, tt.status)
				}
				if tt.kind == FaultMalformed && json.Valid([]byte(first.body)) {
					t.Errorf("got %s, want JSON that breaks off", first.body)
				}
				if got := b.effects("k"); got != tt.effects {
					t.Errorf("it took effect %d times, want %d", got, tt.effects)
				}
				waittest.Until(t, "the first request is over", func() bool { return !b.busy("k") })
				again := parse[chargeObject](t, b.mustDo(http.MethodPost, ask.path, "k", ask.body), http.StatusCreated)
				if got := b.effects("k"); got != 1 {
					t.Errorf("asked again: it took effect %d times, want once", got)
				}
				if other := again.AmountMinor != 1250; other != (tt.kind == FaultOtherAmount) {
					t.Errorf("asked again: got an amount of %d", again.AmountMinor)
				}
			})
		}
	}
}

func TestFault_HitsTheNextLookupOfEachOperation(t *testing.T) {
	t.Parallel()
	for _, op := range []EntryType{TypeCharge, TypeAuthorize, TypeCapture, TypeVoid, TypeRefund} {
		for _, tt := range misbehaviour {
			if tt.kind == FaultOtherAmount {
				continue
			}
			t.Run(fmt.Sprintf("%s %s", tt.kind, op), func(t *testing.T) {
				t.Parallel()
				b := setup(t, Options{})
				ask := b.asking(op, "pm_ok")
				made := parse[chargeObject](t, b.mustDo(http.MethodPost, ask.path, "k", ask.body), http.StatusCreated)
				other := "/v1/refunds?idempotency_key=k"
				if op == TypeRefund {
					other = "/v1/charges?idempotency_key=k"
				}
				b.order("/admin/faults", fmt.Sprintf(`{"fault": %q, "lookup": true, "op": %q, "count": 1, "delay_ms": 1}`, tt.kind, op))
				if got := b.mustDo(http.MethodGet, other, "", ""); got.status != http.StatusOK {
					t.Errorf("another lookup: got %d %s", got.status, got.body)
				}
				first, err := b.untilGivenUp(func(ctx context.Context) (answered, error) {
					return b.do(ctx, http.MethodGet, ask.lookup("k"), "", "")
				}, func() bool { return strings.HasPrefix(string(tt.kind), "timeout") && len(b.faults.list()) == 0 })
				want := tt.status
				if want == http.StatusCreated {
					want = http.StatusOK
				}
				if (err != nil) != (want == gone) || err == nil && first.status != want {
					t.Errorf("got %d %s, error %v; want %d", first.status, first.body, err, want)
				}
				again := b.mustDo(http.MethodGet, ask.lookup("k"), "", "")
				if found := parse[list[chargeObject]](t, again, http.StatusOK).Data; len(found) != 1 || found[0].ID != made.ID {
					t.Errorf("looked up again: got %s, want %s", again.body, made.ID)
				}
			})
		}
	}
}

func TestFault_LookupsDoNotFindWhatIsYoung(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(time.Now().Unix())
	b := setup(t, Options{Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	b.order("/admin/faults", `{"fault": "not_found", "lookup": true, "delay_ms": 5000}`)
	charge := b.mustCharge("k", "pm_ok")
	b.postRefund("r", refundBody(charge.ID, 1))
	now.Add(4)
	if found := len(b.chargesOf("k")) + len(b.refundsOf("r")); found != 0 {
		t.Errorf("found %d of what is 4 s old", found)
	}
	now.Add(1)
	if found := len(b.chargesOf("k")) + len(b.refundsOf("r")); found != 2 {
		t.Errorf("found %d of what is 5 s old, want both", found)
	}
}

func TestFault_OfALookupIsNotThatOfARequest(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	for _, order := range []string{
		`{"fault": "not_found"}`, `{"fault": "decline", "lookup": true}`, `{"fault": "other_amount", "lookup": true}`,
	} {
		if got := b.order("/admin/faults", order); got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want 400", order, got.status, got.body)
		}
	}
}

// What a payment method does to a capture, void or refund leaves the charge alone.
func TestMethod_GoesWrongWithWhatFollows(t *testing.T) {
	t.Parallel()
	for _, op := range []EntryType{TypeCapture, TypeVoid, TypeRefund} {
		for name, tt := range map[string]struct{ status, effects int }{
			"500_then_ok": {500, 0}, "500_after": {500, 1}, "429_then_ok": {429, 0}, "malformed": {201, 1}, "other_amount": {201, 1}, "slow": {201, 1},
		} {
			b := setup(t, Options{SlowDelay: time.Millisecond})
			ask := b.asking(op, "pm_"+string(op)+"_"+name)
			if got := b.mustDo(http.MethodPost, ask.path, "k", ask.body); got.status != tt.status || b.effects("k") != tt.effects {
				t.Errorf("%s %s: got %d %s, %d effects; want %d, %d", op, name, got.status, got.body, b.effects("k"), tt.status, tt.effects)
			}
			if got := b.mustDo(http.MethodPost, ask.path, "k", ask.body); got.status != http.StatusCreated || b.effects("k") != 1 {
				t.Errorf("%s %s again: got %d %s, %d effects; want one", op, name, got.status, got.body, b.effects("k"))
			}
		}
	}
}

func TestMethod_GoesWrongWithLookups(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(time.Now().Unix())
	b := setup(t, Options{SlowDelay: 3 * time.Second, Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	for _, method := range []string{"pm_lag", "pm_lookup_fails"} {
		wantError(t, b.postCharge(method, method), 500, apiError{Type: typeAPI, Code: codeInternal})
	}
	lookup := asking{path: "/v1/charges"}.lookup("pm_lookup_fails")
	wantError(t, b.mustDo(http.MethodGet, lookup, "", ""), 500, apiError{Type: typeAPI, Code: codeInternal})
	if found := b.chargesOf("pm_lag"); len(found) != 0 {
		t.Errorf("found %+v at once", found)
	}
	now.Add(3)
	if found := b.chargesOf("pm_lag"); len(found) != 1 {
		t.Errorf("found %+v after the lag, want the charge", found)
	}
	b.mustCharge("pm_lag", "pm_lag")
	wantError(t, b.mustDo(http.MethodGet, lookup, "", ""), 500, apiError{Type: typeAPI, Code: codeInternal})
	b.wantEffects(TypeCharge, TypeCharge)
}

func TestMethods_AreDocumented(t *testing.T) {
	t.Parallel()
	doc := readFile(t, "doc.go")
	for _, method := range slices.Sorted(maps.Keys(methods)) {
		name := method
		for _, op := range []EntryType{TypeCapture, TypeVoid, TypeRefund} {
			if rest, found := strings.CutPrefix(method, "pm_"+string(op)+"_"); found {
				name = rest
			}
		}
		if !strings.Contains(doc, name) {
			t.Errorf("%s is not in the table of doc.go", method)
		}
	}
}

func TestKey_IsForgottenOnDemand(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	first := b.mustCharge("k", "pm_ok")
	b.mustDo(http.MethodDelete, "/admin/keys", "", "")
	if second := b.mustCharge("k", "pm_ok"); second.ID == first.ID || len(b.chargesOf("k")) != 2 {
		t.Errorf("got %s again, found %d; want another charge", second.ID, len(b.chargesOf("k")))
	}
}
