package provider

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

var (
	ten       = money.Amount{Currency: "GBP", Minor: 1000}
	anyCharge = Request{Op: Charge, Key: "k", Amount: ten, PaymentMethod: "pm_ok", Reference: "ord_1"}
	back      = Request{Op: Refund, Key: "k/refund", ChargeID: "ch_1", Amount: ten}
)

func connect(t *testing.T, cfg SimConfig) (*Sim, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	s, err := NewSim(cfg, Instruments{Log: slog.New(slog.DiscardHandler), Meter: noop.Meter{}, Tracer: tracer})
	if err != nil {
		t.Fatal(err)
	}
	return s, spans
}

// answering runs a provider that answers everything alike.
func answering(t *testing.T, answer http.HandlerFunc) SimConfig {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return SimConfig{URL: s.URL, Timeout: 2 * time.Second}
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func wantOutcome(t *testing.T, what string, got, want Outcome) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Outcome{}, "Err")); diff != "" {
		t.Errorf("%s (-want +got):\n%s\nerror: %v", what, diff, got.Err)
	}
}

const (
	chargeJSON = `{"id": "ch_1", "status": "captured", "amount_minor": 1000, "currency": "GBP", "idempotency_key": "k"}`
	refundJSON = `{"id": "re_1", "status": "succeeded", "charge": "ch_1", "amount_minor": 1000, "currency": "GBP", "idempotency_key": "k/refund"}`
)

func errorJSON(kind, fields string) string {
	return `{"error": {"type": "` + kind + `"` + fields + `}}`
}

func TestSim_TellsAnswersApart(t *testing.T) {
	t.Parallel()
	instead := func(from, to string) string { return strings.Replace(chargeJSON, from, to, 1) }
	tests := map[string]struct {
		status int
		body   string
		want   Outcome
	}{
		"captured":             {201, chargeJSON, Outcome{Kind: Succeeded, ID: "ch_1"}},
		"another amount":       {201, instead("1000", "1"), Outcome{}},
		"another currency":     {201, instead("GBP", "EUR"), Outcome{}},
		"another key":          {201, instead(`"k"`, `"l"`), Outcome{}},
		"another status":       {201, instead("captured", "pending"), Outcome{}},
		"no id":                {201, instead("ch_1", ""), Outcome{}},
		"cut off":              {201, chargeJSON[:20], Outcome{}},
		"not JSON":             {200, "<html>", Outcome{}},
		"declined":             {402, errorJSON("card_error", `, "code": "card_declined", "decline_code": "lost_card", "charge": "ch_2"`), Outcome{Kind: Declined, ID: "ch_2", Reason: "lost_card"}},
		"declined without why": {402, errorJSON("card_error", ""), Outcome{Kind: Declined, Reason: "declined"}},
		"no such method":       {400, errorJSON("invalid_request_error", `, "code": "resource_missing", "param": "payment_method"`), Outcome{Kind: MethodUnknown, Reason: "resource_missing"}},
		"invalid":              {400, errorJSON("invalid_request_error", `, "code": "parameter_invalid", "param": "currency"`), Outcome{Kind: Declined, Reason: "parameter_invalid"}},
		"somebody else's 404":  {404, "404 page not found", Outcome{}},
		"somebody else's 400":  {400, `{}`, Outcome{}},
		"too slow a body":      {408, errorJSON("invalid_request_error", `, "code": "request_timeout"`), Outcome{}},
		"key in flight":        {409, errorJSON("idempotency_error", `, "code": "key_in_flight"`), Outcome{}},
		"too many requests":    {429, errorJSON("invalid_request_error", ""), Outcome{}},
		"not authenticated":    {401, errorJSON("invalid_request_error", ""), Outcome{}},
		"redirect":             {302, "", Outcome{}},
		"internal error":       {500, errorJSON("api_error", ""), Outcome{}},
		"endless":              {201, strings.Repeat(" ", maxAnswer) + chargeJSON, Outcome{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := connect(t, answering(t, says(tt.status, tt.body)))
			wantOutcome(t, "charge", s.Do(t.Context(), anyCharge), tt.want)
		})
	}
}

func TestSim_BelievesOnlyAListThatThereIsNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status         int
		charge, refund string
		want           Kind
	}{
		"there":          {200, `{"data": [` + chargeJSON + `]}`, `{"data": [` + refundJSON + `]}`, Succeeded},
		"nothing":        {200, `{"data": []}`, `{"data": []}`, NotFound},
		"no list":        {200, `{}`, `{"data": null}`, Unknown},
		"two":            {200, `{"data": [` + chargeJSON + `,` + chargeJSON + `]}`, `{"data": [` + refundJSON + `,` + refundJSON + `]}`, Unknown},
		"another's":      {200, `{"data": [{"id": "ch_2"}]}`, `{"data": [{"id": "re_2"}]}`, Unknown},
		"no such route":  {404, `{"data": []}`, `{"data": []}`, Unknown},
		"internal error": {500, `{"data": []}`, `{"data": []}`, Unknown},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := connect(t, answering(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/refunds" {
					says(tt.status, tt.refund)(w, r)
				} else {
					says(tt.status, tt.charge)(w, r)
				}
			}))
			if got := s.LookUp(t.Context(), anyCharge); got.Kind != tt.want {
				t.Errorf("charge: got %+v, want kind %d", got, tt.want)
			}
			if got := s.LookUp(t.Context(), back); got.Kind != tt.want {
				t.Errorf("refund: got %+v, want kind %d", got, tt.want)
			}
		})
	}
}

func TestSim_RefundOfAnotherAmountIsNoAnswer(t *testing.T) {
	t.Parallel()
	s, _ := connect(t, answering(t, says(201, strings.Replace(refundJSON, "1000", "1", 1))))
	wantOutcome(t, "refund", s.Do(t.Context(), back), Outcome{})
}

func TestSim_SpeaksToTheSimulator(t *testing.T) {
	t.Parallel()
	psp, err := pspsim.Start(t.Context(), pspsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := connect(t, SimConfig{URL: psp.URL() + "/", Timeout: 10 * time.Second})
	wantOutcome(t, "lookup before", s.LookUp(t.Context(), anyCharge), Outcome{Kind: NotFound})
	charged := s.Do(t.Context(), anyCharge)
	wantOutcome(t, "charge", charged, Outcome{Kind: Succeeded, ID: psp.Journal()[0].ID})
	wantOutcome(t, "lookup", s.LookUp(t.Context(), anyCharge), charged)
	refund := Request{Op: Refund, Key: "k/refund", ChargeID: charged.ID, Amount: ten}
	wantOutcome(t, "lookup of a refund before", s.LookUp(t.Context(), refund), Outcome{Kind: NotFound})
	refunded := s.Do(t.Context(), refund)
	wantOutcome(t, "refund", refunded, Outcome{Kind: Succeeded, ID: psp.Journal()[1].ID})
	wantOutcome(t, "lookup of the refund", s.LookUp(t.Context(), refund), refunded)
	refund.Key = "another"
	wantOutcome(t, "refund once more", s.Do(t.Context(), refund), Outcome{Kind: Declined, Reason: "charge_already_refunded"})
}

func TestSim_KnowsWhenNothingLeft(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	cfg := answering(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	s, _ := connect(t, cfg)
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	wantOutcome(t, "without time", s.Do(late, anyCharge), Outcome{Kind: NotSent})
	cfg.URL = "http://127.0.0.1:1"
	s, _ = connect(t, cfg)
	wantOutcome(t, "refused", s.Do(t.Context(), anyCharge), Outcome{Kind: NotSent})
	if calls.Load() != 0 {
		t.Error("something left")
	}
}

func TestSim_HoldsBackWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var up atomic.Bool
	cfg := answering(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if up.Load() {
			says(201, chargeJSON)(w, r)
		} else {
			says(503, "")(w, r)
		}
	})
	cfg.Breaker = rpc.BreakerConfig{MinimumCalls: 4, OpenFor: 50 * time.Millisecond, Probes: 1}
	s, _ := connect(t, cfg)
	for range 4 {
		wantOutcome(t, "down", s.Do(t.Context(), anyCharge), Outcome{Kind: Unknown})
	}
	wantOutcome(t, "held back", s.Do(t.Context(), anyCharge), Outcome{Kind: NotSent})
	if got := calls.Load(); got != 4 {
		t.Errorf("%d calls arrived, want 4", got)
	}
	up.Store(true)
	waittest.Until(t, "the breaker closes", func() bool { return s.Do(t.Context(), anyCharge).Kind == Succeeded })
}

func TestSim_DoesNotHoldBackForDeclinesAndCallersThatLeave(t *testing.T) {
	t.Parallel()
	cfg := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			<-r.Context().Done()
			return
		}
		says(402, errorJSON("card_error", ""))(w, r)
	})
	cfg.Breaker = rpc.BreakerConfig{MinimumCalls: 1, FailureRatio: 0.01}
	s, _ := connect(t, cfg)
	for range 5 {
		wantOutcome(t, "charge", s.Do(t.Context(), anyCharge), Outcome{Kind: Declined, Reason: "declined"})
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Millisecond, leave)
		if got := s.LookUp(ctx, anyCharge); got.Kind == Succeeded || got.Kind == NotFound {
			t.Errorf("got %+v from a lookup that was given up", got)
		}
	}
}

func TestSim_CarriesTheTrace(t *testing.T) {
	t.Parallel()
	var header atomic.Value
	s, spans := connect(t, answering(t, func(w http.ResponseWriter, r *http.Request) {
		header.Store(r.Header.Get("traceparent"))
		says(201, chargeJSON)(w, r)
	}))
	s.Do(t.Context(), anyCharge)
	ended := spans.Ended()
	if len(ended) != 1 || ended[0].SpanKind() != trace.SpanKindClient || ended[0].Name() != "POST /v1/charges" {
		t.Fatalf("got spans %v, want one of the call", ended)
	}
	if got := header.Load().(string); !strings.Contains(got, ended[0].SpanContext().SpanID().String()) {
		t.Errorf("the provider was sent traceparent %q, want span %s", got, ended[0].SpanContext().SpanID())
	}
}

func TestNewSim_RefusesAConfigurationThatCannotWork(t *testing.T) {
	t.Parallel()
	good := DefaultSimConfig()
	good.URL = "http://127.0.0.1:7490"
	connect(t, good)
	tests := map[string]func(*SimConfig){
		"no URL":         func(c *SimConfig) { c.URL = "" },
		"not HTTP":       func(c *SimConfig) { c.URL = "ftp://psp" },
		"no host":        func(c *SimConfig) { c.URL = "http://" },
		"no timeout":     func(c *SimConfig) { c.Timeout = 0 },
		"negative lag":   func(c *SimConfig) { c.NotFoundLag = -1 },
		"negative lives": func(c *SimConfig) { c.KeyLifetime = -1 },
	}
	for name, spoil := range tests {
		cfg := good
		spoil(&cfg)
		if _, err := NewSim(cfg, Instruments{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
