// Package providertest is what every connector to a payment provider must pass, whatever the provider: an operation
// takes effect once, an outcome is never guessed, what was lost is found, and a webhook is believed only if it is
// authentic. The author of a connector runs it alone, against the provider's sandbox or a stand-in for it.
package providertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/payment/provider"
)

// Harness is one account at a provider, which nobody else uses.
type Harness struct {
	Provider provider.Provider
	// Method succeeds. Declined is declined for Reason. Unknown is none that the provider knows.
	Method, Declined, Reason, Unknown string
	// LoseAnswer has the next request that changes anything take effect, and its answer get lost.
	LoseAnswer func(t *testing.T)
	// Effects is how often a request under a key has taken effect, by the word of somebody else than the connector.
	Effects func(t *testing.T, key string) int
	// Webhook is what the provider sends now of what a request under a key has brought about.
	Webhook func(t *testing.T, key string) (http.Header, []byte)
	// Chargeback has the customer's bank take all of a charge back, for a fee of 15.00, and is what the provider then
	// sends. Nil where that cannot be made happen.
	Chargeback func(t *testing.T, chargeID string) (http.Header, []byte)
	// WinChargeback decides a chargeback for us, and is what the provider then sends. Not nil if Chargeback is not.
	WinChargeback func(t *testing.T, chargebackID string) (http.Header, []byte)
}

// suite is a harness at work.
type suite struct {
	Harness
	keys atomic.Int64
}

// Run checks a connector, each rule as a subtest.
func Run(t *testing.T, h Harness) {
	t.Helper()
	s := &suite{Harness: h}
	for name, rule := range map[string]func(*testing.T){
		"operations take effect once and are found": s.takesEffectOnce,
		"nothing is found of what was not asked":    s.findsNothing,
		"a decline is the provider's word":          s.declines,
		"parts are captured and refunded":           s.parts,
		"what contradicts is declined":              s.contradictions,
		"a lost answer is unknown, then found":      s.lostAnswer,
		"a key of another request does nothing":     s.otherRequest,
		"duplicates in parallel take effect once":   s.parallel,
		"without time nothing is sent":              s.withoutTime,
		"what it cannot do is not sent":             s.cannot,
		"webhooks are believed only if authentic":   s.webhooks,
		"chargebacks are told of":                   s.chargebacks,
	} {
		t.Run(name, rule)
	}
}

// request is a new one, of 12.50 GBP.
func (s *suite) request(op provider.Op, chargeID string) provider.Request {
	r := provider.Request{
		Op: op, Key: fmt.Sprintf("conformance/%d/%d", time.Now().UnixNano(), s.keys.Add(1)),
		Amount: money.Amount{Currency: "GBP", Minor: 1250}, ChargeID: chargeID,
	}
	if !op.Follows() {
		r.PaymentMethod, r.Reference = s.Method, "ord_conformance"
	}
	return r
}

// mustDo carries a request out, which must succeed and have an id.
func (s *suite) mustDo(t *testing.T, r provider.Request) provider.Outcome {
	t.Helper()
	o := s.Provider.Do(t.Context(), r)
	if o.Kind != provider.Succeeded || o.ID == "" {
		t.Fatalf("%s: got %s %q, error %v; want success", r.Op, o.Kind, o.ID, o.Err)
	}
	return o
}

func (s *suite) wantKind(t *testing.T, what string, got provider.Outcome, want provider.Kind) {
	t.Helper()
	if got.Kind != want {
		t.Errorf("%s: got %s %s, error %v; want %s", what, got.Kind, got.Reason, got.Err, want)
	}
}

func (s *suite) wantEffects(t *testing.T, key string, want int) {
	t.Helper()
	if got := s.Effects(t, key); got != want {
		t.Errorf("key %s took effect %d times, want %d", key, got, want)
	}
}

// prepare gives a request for an operation, with the charge that it follows.
func (s *suite) prepare(t *testing.T, op provider.Op) provider.Request {
	t.Helper()
	switch op {
	case provider.Capture, provider.Void:
		return s.request(op, s.mustDo(t, s.request(provider.Authorize, "")).ID)
	case provider.Refund:
		return s.request(op, s.mustDo(t, s.request(provider.Charge, "")).ID)
	}
	return s.request(op, "")
}

// operations runs a subtest for each operation that the provider can be asked for.
func (s *suite) operations(t *testing.T, check func(*testing.T, provider.Request)) {
	for _, op := range s.Provider.Capabilities().Operations {
		t.Run(string(op), func(t *testing.T) { check(t, s.prepare(t, op)) })
	}
}

func (s *suite) takesEffectOnce(t *testing.T) {
	s.operations(t, func(t *testing.T, r provider.Request) {
		first := s.mustDo(t, r)
		for what, again := range map[string]provider.Outcome{
			"again": s.Provider.Do(t.Context(), r), "looked up": s.Provider.LookUp(t.Context(), r),
		} {
			if again.Kind != provider.Succeeded || again.ID != first.ID {
				t.Errorf("%s: got %s %q, error %v; want %q", what, again.Kind, again.ID, again.Err, first.ID)
			}
		}
		s.wantEffects(t, r.Key, 1)
	})
}

func (s *suite) findsNothing(t *testing.T) {
	s.operations(t, func(t *testing.T, r provider.Request) {
		s.wantKind(t, "looked up", s.Provider.LookUp(t.Context(), r), provider.NotFound)
		s.wantEffects(t, r.Key, 0)
	})
}

func (s *suite) declines(t *testing.T) {
	r := s.request(provider.Charge, "")
	r.PaymentMethod = s.Declined
	for range 2 {
		if o := s.Provider.Do(t.Context(), r); o.Kind != provider.Declined || o.Reason != s.Reason {
			t.Errorf("got %s for %q, error %v; want it declined for %q", o.Kind, o.Reason, o.Err, s.Reason)
		}
	}
	if o := s.Provider.LookUp(t.Context(), r); o.Kind != provider.Declined || o.Reason != s.Reason {
		t.Errorf("looked up: got %s for %q, error %v; want it declined for %q", o.Kind, o.Reason, o.Err, s.Reason)
	}
	r = s.request(provider.Charge, "")
	r.PaymentMethod = s.Unknown
	s.wantKind(t, "no such method", s.Provider.Do(t.Context(), r), provider.MethodUnknown)
	s.wantEffects(t, r.Key, 0)
}

func (s *suite) parts(t *testing.T) {
	can := s.Provider.Capabilities()
	if can.PartialCaptures {
		authorized := s.mustDo(t, s.request(provider.Authorize, ""))
		part := s.request(provider.Capture, authorized.ID)
		part.Amount.Minor = 1000
		s.mustDo(t, part)
		s.wantKind(t, "looked up", s.Provider.LookUp(t.Context(), part), provider.Succeeded)
		tooMuch := s.request(provider.Refund, authorized.ID) // of all that was authorized
		s.wantKind(t, "refund of more than was captured", s.Provider.Do(t.Context(), tooMuch), provider.Declined)
		s.wantKind(t, "another capture", s.Provider.Do(t.Context(), s.request(provider.Capture, authorized.ID)), provider.Declined)
	}
	if can.PartialRefunds {
		charged := s.mustDo(t, s.request(provider.Charge, ""))
		for _, minor := range []int64{400, 850} {
			r := s.request(provider.Refund, charged.ID)
			r.Amount.Minor = minor
			s.mustDo(t, r)
			s.wantKind(t, "looked up", s.Provider.LookUp(t.Context(), r), provider.Succeeded)
		}
		r := s.request(provider.Refund, charged.ID)
		r.Amount.Minor = 1
		s.wantKind(t, "refund of what is refunded", s.Provider.Do(t.Context(), r), provider.Declined)
		s.wantEffects(t, r.Key, 0)
	}
}

func (s *suite) contradictions(t *testing.T) {
	if !s.Provider.Capabilities().Can(provider.Authorize) {
		t.Skip("it cannot authorize")
	}
	capture, void := s.prepare(t, provider.Capture), s.prepare(t, provider.Void)
	s.mustDo(t, capture)
	s.mustDo(t, void)
	for what, r := range map[string]provider.Request{
		"void of what was captured":   s.request(provider.Void, capture.ChargeID),
		"capture of what was voided":  s.request(provider.Capture, void.ChargeID),
		"refund of what was voided":   s.request(provider.Refund, void.ChargeID),
		"capture of nothing":          s.request(provider.Capture, "none"),
		"refund of nothing":           s.request(provider.Refund, "none"),
		"void of what is not a thing": s.request(provider.Void, "none"),
	} {
		s.wantKind(t, what, s.Provider.Do(t.Context(), r), provider.Declined)
		s.wantEffects(t, r.Key, 0)
	}
}

func (s *suite) lostAnswer(t *testing.T) {
	s.operations(t, func(t *testing.T, r provider.Request) {
		s.LoseAnswer(t)
		s.wantKind(t, "answer lost", s.Provider.Do(t.Context(), r), provider.Unknown)
		found := s.Provider.LookUp(t.Context(), r)
		s.wantKind(t, "looked up", found, provider.Succeeded)
		if again := s.mustDo(t, r); again.ID != found.ID {
			t.Errorf("asked again: got %q, looked up was %q", again.ID, found.ID)
		}
		s.wantEffects(t, r.Key, 1)
	})
}

func (s *suite) otherRequest(t *testing.T) {
	r := s.request(provider.Charge, "")
	s.mustDo(t, r)
	r.Amount.Minor++
	s.wantKind(t, "another amount", s.Provider.Do(t.Context(), r), provider.Unknown)
	s.wantKind(t, "another amount, looked up", s.Provider.LookUp(t.Context(), r), provider.Unknown)
	s.wantEffects(t, r.Key, 1)
}

func (s *suite) parallel(t *testing.T) {
	r := s.request(provider.Charge, "")
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if o := s.Provider.Do(t.Context(), r); o.Kind != provider.Succeeded && o.Kind != provider.Unknown {
				t.Errorf("got %s, error %v; want success, or unknown while another is in flight", o.Kind, o.Err)
			}
		})
	}
	all.Wait()
	s.mustDo(t, r)
	s.wantEffects(t, r.Key, 1)
}

func (s *suite) withoutTime(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	r := s.request(provider.Charge, "")
	s.wantKind(t, "do", s.Provider.Do(ctx, r), provider.NotSent)
	if o := s.Provider.LookUp(ctx, r); o.Kind == provider.NotFound || o.Kind == provider.Succeeded {
		t.Errorf("looked up without time: got %s", o.Kind)
	}
	s.wantEffects(t, r.Key, 0)
}

func (s *suite) cannot(t *testing.T) {
	r := s.request(provider.Charge, "")
	r.Op = "lend"
	s.wantKind(t, "do", s.Provider.Do(t.Context(), r), provider.NotSent)
	s.wantKind(t, "look up", s.Provider.LookUp(t.Context(), r), provider.NotSent)
}

func (s *suite) webhooks(t *testing.T) {
	r := s.request(provider.Charge, "")
	charged := s.mustDo(t, r)
	header, body := s.Webhook(t, r.Key)
	e, err := s.Provider.VerifyWebhook(header, body, time.Now())
	if err != nil {
		t.Fatalf("authentic: %v", err)
	}
	if e.Kind != provider.EventOutcome || e.ID == "" || e.At.IsZero() || e.Op != provider.Charge || e.Key != r.Key || e.ChargeID != charged.ID || e.Amount != r.Amount ||
		e.Outcome.Kind != provider.Succeeded || e.Outcome.ID != charged.ID {
		t.Errorf("got %+v, want the charge %s under %s", e, charged.ID, r.Key)
	}
	s.onlyAuthentic(t, header, body)
}

// chargebacks checks what is told of a chargeback that is won.
func (s *suite) chargebacks(t *testing.T) {
	if s.Chargeback == nil {
		t.Skip("no chargeback can be made happen")
	}
	r := s.request(provider.Charge, "")
	charged := s.mustDo(t, r)
	header, body := s.Chargeback(t, charged.ID)
	opened := s.wantChargeback(t, header, body, provider.EventChargeback)
	if want := (money.Amount{Currency: r.Amount.Currency, Minor: 1500}); opened.ChargeID != charged.ID || opened.Amount != r.Amount || opened.Fee != want {
		t.Errorf("got %s of %q for %s, want all of %s, %s, for %s", opened.Amount, opened.ChargeID, opened.Fee, charged.ID, r.Amount, want)
	}
	s.onlyAuthentic(t, header, body)
	header, body = s.WinChargeback(t, opened.Outcome.ID)
	won := s.wantChargeback(t, header, body, provider.EventChargebackReversal)
	if won.ID == opened.ID || won.ChargeID != opened.ChargeID || won.Amount != opened.Amount || won.Outcome.ID != opened.Outcome.ID || won.Fee.Minor > 0 {
		t.Errorf("got %+v, want that %+v is undone", won, opened)
	}
}

// wantChargeback reads a webhook that tells of a chargeback or of its end.
func (s *suite) wantChargeback(t *testing.T, header http.Header, body []byte, kind provider.EventKind) provider.Event {
	t.Helper()
	e, err := s.Provider.VerifyWebhook(header, body, time.Now())
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	if e.Kind != kind || e.ID == "" || e.At.IsZero() || e.Op != "" || e.Key != "" || e.Outcome.Kind != provider.Succeeded || e.Outcome.ID == "" {
		t.Fatalf("got %+v, want a %s, of no request, with its id", e, kind)
	}
	return e
}

// onlyAuthentic checks that a webhook is believed as it was sent, when it was sent, and not otherwise.
func (s *suite) onlyAuthentic(t *testing.T, header http.Header, body []byte) {
	t.Helper()
	now := time.Now()
	changed := append([]byte(" "), body...)
	for what, bad := range map[string]struct {
		header http.Header
		body   []byte
		now    time.Time
		want   error
	}{
		"another body":    {header, changed, now, provider.ErrForged},
		"no signature":    {http.Header{}, body, now, provider.ErrForged},
		"sent long ago":   {header, body, now.Add(time.Hour), provider.ErrStale},
		"of the future":   {header, body, now.Add(-time.Hour), provider.ErrStale},
		"changed and old": {header, changed, now.Add(time.Hour), provider.ErrForged},
	} {
		if e, err := s.Provider.VerifyWebhook(bad.header, bad.body, bad.now); !errors.Is(err, bad.want) || cmp.Or(e.ID, e.Key) != "" {
			t.Errorf("%s: got %+v, error %v; want %v and nothing else", what, e, err, bad.want)
		}
	}
}
