package provider

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/stripe/stripe-go/v85"

	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/waittest"
)

// measured makes a connector to a provider, and what reads its metrics: name and destination → value.
func measured(t *testing.T, cfg SimConfig) (*Sim, func() map[string]int64) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	s, err := NewSim(cfg, Instruments{Log: slog.New(slog.DiscardHandler), Meter: meter, Tracer: tracenoop.NewTracerProvider().Tracer("test")})
	if err != nil {
		t.Fatal(err)
	}
	return s, func() map[string]int64 {
		var data metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &data); err != nil {
			t.Fatal(err)
		}
		values := map[string]int64{}
		for _, scope := range data.ScopeMetrics {
			for _, m := range scope.Metrics {
				states, is := m.Data.(metricdata.Gauge[int64])
				if !is {
					continue
				}
				for _, p := range states.DataPoints {
					destination, _ := p.Attributes.Value("destination")
					values[m.Name+" "+destination.AsString()] = p.Value
				}
			}
		}
		return values
	}
}

// leaving is a context whose caller goes away as soon as the provider has the request.
func leaving(t *testing.T, arrived <-chan struct{}) context.Context {
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		select {
		case <-arrived:
		case <-t.Context().Done():
		}
		leave()
	}()
	return ctx
}

// untilItLeaves holds a request until its client has gone, which net/http notices only once it has read the body.
func untilItLeaves(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// connectors are all of them, each to a provider that answers a request with success as it says.
var connectors = map[string]struct {
	connect func(url string, timeout time.Duration, cfg rpc.BreakerConfig) (Account, error)
	success string
}{
	usePSP: {
		func(url string, timeout time.Duration, cfg rpc.BreakerConfig) (Account, error) {
			return NewSim(SimConfig{URL: url, Timeout: timeout, Breaker: cfg}, quiet())
		},
		chargeJSON,
	},
	useStripe: {
		func(url string, timeout time.Duration, cfg rpc.BreakerConfig) (Account, error) {
			return NewStripe(StripeConfig{SecretKey: "sk_test", URL: url, Timeout: timeout, Breaker: cfg}, quiet())
		},
		`{"id": "pi_1", "amount": 1000, "currency": "gbp", "capture_method": "automatic", "metadata": {"tieout_key": "k"}, "status": "succeeded"}`,
	},
}

func quiet() Instruments {
	return Instruments{Log: slog.New(slog.DiscardHandler), Tracer: tracenoop.NewTracerProvider().Tracer("test")}
}

// patience is how a caller waits for the provider.
type patience int

const (
	waits patience = iota
	leaves
	hasLittleTime
)

// speaking are the answers of a provider, what each means, and whether it speaks against the provider.
func speaking() map[string]struct {
	answer http.HandlerFunc // nil: success
	caller patience
	want   Kind
	counts bool
} {
	hang := func(_ http.ResponseWriter, r *http.Request) { untilItLeaves(r) }
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	drip := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		hang(w, r)
	}
	cutOff := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		says(200, "{")(w, r)
	}
	const unknownMethod = `, "code": "resource_missing", "param": "payment_method"`
	return map[string]struct {
		answer http.HandlerFunc
		caller patience
		want   Kind
		counts bool
	}{
		"success":                         {nil, waits, Succeeded, false},
		"declined":                        {says(402, errorJSON("card_error", "")), waits, Declined, false},
		"method unknown":                  {says(400, errorJSON("invalid_request_error", unknownMethod)), waits, MethodUnknown, false},
		"400":                             {says(400, errorJSON("invalid_request_error", "")), waits, Declined, false},
		"401, bad credentials":            {says(401, ""), waits, Unknown, false},
		"404":                             {says(404, errorJSON("invalid_request_error", "")), waits, Declined, false},
		"404 of somebody else":            {says(404, "page not found"), waits, Unknown, false},
		"409, key in flight":              {says(409, errorJSON("idempotency_error", "")), waits, Unknown, false},
		"429":                             {says(429, errorJSON("invalid_request_error", "")), waits, Unknown, false},
		"429 of a proxy":                  {says(429, ""), waits, Unknown, false},
		"malformed":                       {says(200, "<html>"), waits, Unknown, false},
		"breaks off in mid JSON":          {says(200, "{"), waits, Unknown, false},
		"too long":                        {says(200, strings.Repeat(" ", maxStripeAnswer)+chargeJSON), waits, Unknown, false},
		"redirect":                        {says(302, ""), waits, Unknown, false},
		"the caller leaves":               {hang, leaves, Unknown, false},
		"the caller has little time":      {hang, hasLittleTime, Unknown, false},
		"500":                             {says(500, errorJSON("api_error", "")), waits, Unknown, true},
		"502":                             {says(502, "<html>"), waits, Unknown, true},
		"503":                             {says(503, ""), waits, Unknown, true},
		"503 that is too long":            {says(503, strings.Repeat(" ", maxStripeAnswer+1)), waits, Unknown, true},
		"no answer in time":               {hang, waits, Unknown, true},
		"an answer that never ends":       {drip, waits, Unknown, true},
		"an answer whose connection dies": {cutOff, waits, Unknown, true},
		"connection reset":                {abort, waits, Unknown, true},
	}
}

// Only what says that the provider does not answer speaks against it.
func TestBreaker_CountsWhatSaysThatTheProviderIsDown(t *testing.T) {
	t.Parallel()
	for name, tt := range speaking() {
		for of, c := range connectors {
			t.Run(name+", "+of, func(t *testing.T) {
				t.Parallel()
				answer := tt.answer
				if answer == nil {
					answer = says(200, c.success)
				}
				arrived := make(chan struct{}, 1)
				url := answering(t, func(w http.ResponseWriter, r *http.Request) {
					select {
					case arrived <- struct{}{}:
					default:
					}
					answer(w, r)
				}).URL
				timeout, ctx := time.Minute, t.Context()
				switch {
				case tt.caller == leaves:
					ctx = leaving(t, arrived)
				case tt.caller == hasLittleTime:
					short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
					defer cancel()
					ctx = short
				case tt.counts:
					timeout = 500 * time.Millisecond
				}
				a, err := c.connect(url, timeout, rpc.BreakerConfig{MinimumCalls: 1, FailureRatio: 0.01, OpenFor: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				if got := a.Do(ctx, anyCharge); got.Kind != tt.want {
					t.Errorf("got %s, error %v; want %s", got.Kind, got.Err, tt.want)
				}
				if got := a.Breaker().State() == BreakerOpen; got != tt.counts {
					t.Errorf("open: got %t, want %t", got, tt.counts)
				}
			})
		}
	}
}

func TestBreaker_CountsConnectionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for of, c := range connectors {
		a, err := c.connect("http://127.0.0.1:1", time.Minute, rpc.BreakerConfig{MinimumCalls: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Do(t.Context(), anyCharge); got.Kind != NotSent {
			t.Errorf("%s: got %s, want not sent", of, got.Kind)
		}
		if got := a.Breaker().State(); got != BreakerOpen {
			t.Errorf("%s: got %s, want open", of, got)
		}
	}
}

// A probe that hangs ends with its call's timeout, and another one is let through later.
func TestBreaker_IsNotStuckBehindAProbeThatHangs(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	cfg := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if up.Load() {
			says(201, chargeJSON)(w, r)
			return
		}
		untilItLeaves(r)
	})
	cfg.Timeout = 50 * time.Millisecond
	cfg.Breaker = rpc.BreakerConfig{MinimumCalls: 1, OpenFor: 10 * time.Millisecond, Probes: 1}
	s, metrics := measured(t, cfg)
	for range 3 {
		waittest.Until(t, "a call is let through, and hangs", func() bool { return s.Do(t.Context(), anyCharge).Kind == Unknown })
	}
	up.Store(true)
	waittest.Until(t, "it closes", func() bool {
		return s.Do(t.Context(), anyCharge).Kind == Succeeded && metrics()["tieout.breaker.state psp"] == 0
	})
}

func TestForce_HoldsBackEveryCallUntilItIsLifted(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	cfg := answering(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		says(201, chargeJSON)(w, r)
	})
	s, metrics := measured(t, cfg)
	s.Breaker().Force(true)
	wantOutcome(t, "do", s.Do(t.Context(), anyCharge), Outcome{Kind: NotSent})
	if got := s.LookUp(t.Context(), anyCharge); got.Kind != NotSent || calls.Load() != 0 {
		t.Errorf("got %s, %d calls; want that nothing is sent", got.Kind, calls.Load())
	}
	const forced = "tieout.breaker.forced_open psp"
	if got := metrics()[forced]; got != 1 {
		t.Errorf("got %d while it is held, want 1", got)
	}
	s.Breaker().Force(false)
	wantOutcome(t, "lifted", s.Do(t.Context(), anyCharge), Outcome{Kind: Succeeded, ID: "ch_1"})
	if got, known := metrics()[forced]; got != 0 || !known {
		t.Errorf("got %d, %t when it is lifted, want 0", got, known)
	}
}

func TestStripeAmount_IsInStripesMinorUnits(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{
		"GBP 1250": 1250, "JPY 500": 500, "KWD 1230": 1230, "ISK 7": 700, "UGX 7": 700, "MGA 500": 5, "MGA 501": -1, "UGX 9223372036854775807": -1,
	} {
		a := ten
		if _, err := fmt.Sscanf(in, "%s %d", &a.Currency, &a.Minor); err != nil {
			t.Fatal(err)
		}
		got, err := stripeAmount(a)
		if want < 0 {
			if err == nil {
				t.Errorf("%s: got %d, want an error", in, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s: got %d, error %v; want %d", in, got, err, want)
		}
		back, err := fromStripe(got, "")
		if err == nil {
			t.Errorf("%s: got %s of no currency", in, back)
		}
		if back, err = fromStripe(got, stripe.Currency(strings.ToLower(string(a.Currency)))); err != nil || back != a {
			t.Errorf("%s: came back as %s, error %v", in, back, err)
		}
	}
	if a, err := fromStripe(750, "isk"); err == nil {
		t.Errorf("half a króna is %s", a)
	}
}

func TestSearchByKey_CannotBeBrokenOutOf(t *testing.T) {
	t.Parallel()
	got := searchByKey(`a" OR status:"succeeded\`)
	if want := `metadata["tieout_key"]:"a\" OR status:\"succeeded\\"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
