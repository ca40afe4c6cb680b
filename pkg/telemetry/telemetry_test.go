package telemetry_test

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/telemetry"
)

func newTelemetry(t *testing.T, cfg telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

// scrape gets the metrics in the form that is asked for.
func scrape(t *testing.T, tel *telemetry.Telemetry, accept string) (contentType, body string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, r)
	text, err := io.ReadAll(w.Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("got status %d, %v", w.Code, err)
	}
	return w.Header().Get("Content-Type"), string(text)
}

func TestHandler_ServesOpenMetricsAndThePrometheusText(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t, telemetry.Config{Version: "1.2.3"})
	parked, err := tel.Meters.Meter("test").Int64Counter("tieout.saga.parked", metric.WithDescription("Sagas parked."))
	if err != nil {
		t.Fatal(err)
	}
	parked.Add(t.Context(), 3, metric.WithAttributes(attribute.String("definition", "order")))
	for accept, want := range map[string]string{
		"application/openmetrics-text; version=1.0.0": "application/openmetrics-text",
		"text/plain": "text/plain",
	} {
		contentType, body := scrape(t, tel, accept)
		if !strings.HasPrefix(contentType, want) {
			t.Errorf("%s: got content type %s", accept, contentType)
		}
		if got := strings.HasSuffix(body, "# EOF\n"); got != (want == "application/openmetrics-text") {
			t.Errorf("%s: ends with EOF: %v", accept, got)
		}
		for _, metric := range []string{
			`tieout_saga_parked_total{definition="order"`, "go_goroutines ", "process_open_fds ", `service_version="1.2.3"`,
		} {
			if !strings.Contains(body, metric) {
				t.Errorf("%s: %s is missing", accept, metric)
			}
		}
	}
}

func TestTelemetry_OfOneProcessKnowsNothingOfAnother(t *testing.T) {
	t.Parallel()
	first, second := newTelemetry(t, telemetry.Config{}), newTelemetry(t, telemetry.Config{})
	c, err := first.Meters.Meter("test").Int64Counter("tieout.only.here")
	if err != nil {
		t.Fatal(err)
	}
	c.Add(t.Context(), 1)
	if _, body := scrape(t, second, "text/plain"); strings.Contains(body, "tieout_only_here") {
		t.Error("a metric of one shows in the other")
	}
}

func TestTracers_SayWhoseASpanIs(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	tel := newTelemetry(t, telemetry.Config{Processor: spans, SampleRatio: 1, Version: "1.2.3"})
	for _, service := range []string{"payment", "inventory", "payment"} {
		_, span := tel.Tracers(service).Tracer("test").Start(t.Context(), service)
		span.End()
	}
	if got := len(spans.Ended()); got != 3 {
		t.Fatalf("got %d spans, want 3", got)
	}
	for _, s := range spans.Ended() {
		of := s.Resource().Set()
		for key, want := range map[attribute.Key]string{
			"service.name": s.Name(), "service.namespace": "tieout", "service.version": "1.2.3",
		} {
			if got, _ := of.Value(key); got.AsString() != want {
				t.Errorf("%s: got %s %q, want %q", s.Name(), key, got.AsString(), want)
			}
		}
	}
	if tel.Tracers("payment") != tel.Tracers("payment") {
		t.Error("a service has two providers")
	}
}

// Whether a trace is recorded is decided once, where it begins; who cannot record it must not end it for the others.
func TestTracers_FollowTheCallersDecision(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flags    string // of the caller; "" for no caller
		ratio    float64
		recorder bool
		sampled  bool
		spans    int
	}{
		"recorded by the caller":                  {"01", 0, true, true, 1},
		"not recorded by the caller":              {"00", 1, true, false, 0},
		"new, all are recorded":                   {"", 1, true, true, 1},
		"new, none is recorded":                   {"", 0, true, false, 0},
		"recorded by the caller, no exporter":     {"01", 0, false, true, 0},
		"new, no exporter, whatever the ratio is": {"", 1, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spans, cfg := tracetest.NewSpanRecorder(), telemetry.Config{SampleRatio: test.ratio}
			if test.recorder {
				cfg.Processor = spans
			}
			tel := newTelemetry(t, cfg)
			carrier := propagation.MapCarrier{}
			if test.flags != "" {
				carrier["traceparent"] = "00-" + traceID + "-" + spanID + "-" + test.flags
			}
			ctx, span := tel.Tracers("payment").Tracer("test").Start(tel.Propagator.Extract(t.Context(), carrier), "charge")
			span.End()
			made := span.SpanContext()
			if !made.IsValid() || made.IsSampled() != test.sampled {
				t.Errorf("got %v, sampled %v; want sampled %v", made.TraceID(), made.IsSampled(), test.sampled)
			}
			if got := len(spans.Ended()); got != test.spans {
				t.Errorf("got %d spans, want %d", got, test.spans)
			}
			onward := propagation.MapCarrier{}
			tel.Propagator.Inject(ctx, onward)
			if !strings.Contains(onward["traceparent"], made.TraceID().String()) {
				t.Errorf("hands on %q", onward["traceparent"])
			}
			if test.flags != "" && made.TraceID().String() != traceID {
				t.Errorf("got trace %s, want the caller's", made.TraceID())
			}
		})
	}
}

func TestPropagator_CarriesTheSaga(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t, telemetry.Config{})
	carrier := propagation.MapCarrier{}
	tel.Propagator.Inject(telemetry.WithSaga(inSpan(t), "sag_1"), carrier)
	if carrier["baggage"] != "saga_id=sag_1" || !strings.Contains(carrier["traceparent"], traceID) {
		t.Errorf("got %v", carrier)
	}
	if got := trace.SpanContextFromContext(tel.Propagator.Extract(t.Context(), carrier)); got.TraceID().String() != traceID {
		t.Errorf("got trace %s", got.TraceID())
	}
}

func TestNew_DoesNotWaitForTheCollector(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t, telemetry.Config{OTLPEndpoint: "http://127.0.0.1:1", SampleRatio: 1})
	_, span := tel.Tracers("payment").Tracer("test").Start(t.Context(), "charge")
	if !span.SpanContext().IsSampled() {
		t.Error("not recorded")
	}
}

func TestNew_NamesAnEndpointThatIsNone(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"http://%zz", "localhost:4317", "collector"} {
		_, err := telemetry.New(t.Context(), telemetry.Config{OTLPEndpoint: endpoint})
		if err == nil || !strings.Contains(err.Error(), endpoint) || !strings.Contains(err.Error(), "otlp_endpoint") {
			t.Errorf("%s: got %v, want an error that names setting and value", endpoint, err)
		}
	}
}

func TestShutdown_EndsTheProcessor(t *testing.T) {
	t.Parallel()
	spans := &closing{SpanRecorder: tracetest.NewSpanRecorder()}
	tel := newTelemetry(t, telemetry.Config{Processor: spans})
	if err := tel.Shutdown(t.Context()); err != nil || !spans.closed {
		t.Errorf("got %v, closed %v", err, spans.closed)
	}
}

// closing is a recorder that tells that it was shut down.
type closing struct {
	*tracetest.SpanRecorder
	closed bool
}

func (c *closing) Shutdown(ctx context.Context) error {
	c.closed = true
	return c.SpanRecorder.Shutdown(ctx)
}
