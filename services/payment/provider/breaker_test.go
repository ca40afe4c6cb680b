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
				for _, p := range m.Data.(metricdata.Gauge[int64]).DataPoints {
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

// Only what says that the provider does not answer speaks against it.
func TestBreaker_CountsWhatSaysThatTheProviderIsDown(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) { untilItLeaves(r) }
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	drip := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		hang(w, r)
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		leaves bool // its caller does
		counts bool
	}{
		"success":                   {says(201, chargeJSON), false, false},
		"malformed":                 {says(201, "<html>"), false, false},
		"decline":                   {says(402, errorJSON("card_error", "")), false, false},
		"bad request":               {says(400, errorJSON("invalid_request_error", "")), false, false},
		"bad credentials":           {says(401, ""), false, false},
		"key in flight":             {says(409, errorJSON("idempotency_error", "")), false, false},
		"too many requests":         {says(429, ""), false, false},
		"the caller leaves":         {hang, true, false},
		"internal error":            {says(500, ""), false, true},
		"bad gateway":               {says(502, ""), false, true},
		"unavailable":               {says(503, ""), false, true},
		"no answer in time":         {hang, false, true},
		"an answer that never ends": {drip, false, true},
		"connection reset":          {abort, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan struct{}, 1)
			cfg := answering(t, func(w http.ResponseWriter, r *http.Request) {
				select {
				case arrived <- struct{}{}:
				default:
				}
				tt.answer(w, r)
			})
			cfg.Timeout = 100 * time.Millisecond
			if tt.leaves || !tt.counts {
				cfg.Timeout = time.Minute
			}
			cfg.Breaker = rpc.BreakerConfig{MinimumCalls: 1, FailureRatio: 0.01, OpenFor: time.Hour}
			s, metrics := measured(t, cfg)
			ctx := t.Context()
			if tt.leaves {
				ctx = leaving(t, arrived)
			}
			s.Do(ctx, anyCharge)
			want := int64(0)
			if tt.counts {
				want = 2
			}
			if got := metrics()["tieout.breaker.state payment provider"]; got != want {
				t.Errorf("got state %d, want %d", got, want)
			}
		})
	}
}

func TestBreaker_CountsConnectionsThatAreRefused(t *testing.T) {
	t.Parallel()
	s, metrics := measured(t, SimConfig{URL: "http://127.0.0.1:1", Timeout: time.Minute, Breaker: rpc.BreakerConfig{MinimumCalls: 1}})
	s.Do(t.Context(), anyCharge)
	if got := metrics()["tieout.breaker.state payment provider"]; got != 2 {
		t.Errorf("got state %d, want 2", got)
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
		return s.Do(t.Context(), anyCharge).Kind == Succeeded && metrics()["tieout.breaker.state payment provider"] == 0
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
	s.Force(true)
	wantOutcome(t, "do", s.Do(t.Context(), anyCharge), Outcome{Kind: NotSent})
	if got := s.LookUp(t.Context(), anyCharge); got.Kind != NotSent || calls.Load() != 0 {
		t.Errorf("got %s, %d calls; want that nothing is sent", got.Kind, calls.Load())
	}
	const forced = "tieout.breaker.forced_open payment provider"
	if got := metrics()[forced]; got != 1 {
		t.Errorf("got %d while it is held, want 1", got)
	}
	s.Force(false)
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
