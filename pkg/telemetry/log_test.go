package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/telemetry"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
)

// inSpan is a context with that trace and span.
func inSpan(t *testing.T) context.Context {
	t.Helper()
	carrier := propagation.MapCarrier{"traceparent": "00-" + traceID + "-" + spanID + "-01"}
	ctx := propagation.TraceContext{}.Extract(t.Context(), carrier)
	if !trace.SpanContextFromContext(ctx).IsValid() {
		t.Fatal("no span in the context")
	}
	return ctx
}

// logged is the one line that log writes, without its time.
func logged(t *testing.T, level slog.Level, log func(*slog.Logger)) map[string]any {
	t.Helper()
	var b bytes.Buffer
	log(telemetry.NewLogger(&b, level))
	if b.Len() == 0 {
		return nil
	}
	var line map[string]any
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, b.String())
	}
	delete(line, "time")
	return line
}

func TestLogger_AddsWhatTheContextKnows(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ctx  context.Context
		want map[string]any
	}{
		"nothing":    {t.Context(), map[string]any{}},
		"a span":     {inSpan(t), map[string]any{"trace_id": traceID, "span_id": spanID}},
		"a saga":     {telemetry.WithSaga(t.Context(), "sag_1"), map[string]any{"saga_id": "sag_1"}},
		"both":       {telemetry.WithSaga(inSpan(t), "sag_1"), map[string]any{"trace_id": traceID, "span_id": spanID, "saga_id": "sag_1"}},
		"a new saga": {telemetry.WithSaga(telemetry.WithSaga(t.Context(), "sag_1"), "sag_2"), map[string]any{"saga_id": "sag_2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, log := range map[string]func(*slog.Logger){
				"plainly": func(l *slog.Logger) { l.InfoContext(test.ctx, "charged", slog.String("service", "payment")) },
				"with attributes of old": func(l *slog.Logger) {
					l.With(slog.String("service", "payment")).InfoContext(test.ctx, "charged")
				},
			} {
				want := map[string]any{"level": "INFO", "msg": "charged", "service": "payment"}
				maps.Copy(want, test.want)
				if diff := cmp.Diff(want, logged(t, slog.LevelInfo, log)); diff != "" {
					t.Errorf("logged %s (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

func TestLogger_LeavesOutWhatIsBelowItsLevel(t *testing.T) {
	t.Parallel()
	if line := logged(t, slog.LevelWarn, func(l *slog.Logger) { l.Info("noise") }); line != nil {
		t.Errorf("got %v", line)
	}
	if line := logged(t, slog.LevelWarn, func(l *slog.Logger) { l.Warn("news") }); line == nil {
		t.Error("got nothing")
	}
}

func TestWithSaga_KeepsTheRestOfTheBaggage(t *testing.T) {
	t.Parallel()
	tenant, err := baggage.NewMemberRaw("tenant", "blue")
	if err != nil {
		t.Fatal(err)
	}
	before, err := baggage.New(tenant)
	if err != nil {
		t.Fatal(err)
	}
	after := baggage.FromContext(telemetry.WithSaga(baggage.ContextWithBaggage(t.Context(), before), "sag_1"))
	if after.Member("tenant").Value() != "blue" || after.Member("saga_id").Value() != "sag_1" {
		t.Errorf("got %s", after)
	}
}

func TestWithSaga_LeavesTheContextAloneForWhatIsNoBaggage(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"\xff", strings.Repeat("x", 1<<14)} {
		line := logged(t, slog.LevelInfo, func(l *slog.Logger) { l.InfoContext(telemetry.WithSaga(t.Context(), id), "charged") })
		if line["msg"] != "charged" {
			t.Errorf("got %v", line)
		}
	}
}

// card is a number that passes its check.
const card = "4111 1111 1111 1111"

type account struct {
	Name     string
	Password string
	hidden   string
}

// LogValue implements slog.LogValuer.
func (a *account) LogValue() slog.Value { return slog.StringValue(a.Name + " pays with " + card) }

func TestLogger_KeepsNothingThatMustNotBeKept(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		log  func(*slog.Logger)
		want map[string]any
	}{
		"message":          {func(l *slog.Logger) { l.Info("paid with " + card) }, map[string]any{"msg": "paid with [card]"}},
		"text":             {func(l *slog.Logger) { l.Info("m", "detail", "of a@b.example") }, map[string]any{"detail": "of [e-mail]"}},
		"number":           {func(l *slog.Logger) { l.Info("m", "n", 4111111111111111) }, map[string]any{"n": "[card]"}},
		"unsigned":         {func(l *slog.Logger) { l.Info("m", "n", uint64(4111111111111111)) }, map[string]any{"n": "[card]"}},
		"amount":           {func(l *slog.Logger) { l.Info("m", "minor", 125000) }, map[string]any{"minor": 125000.0}},
		"name":             {func(l *slog.Logger) { l.Info("m", "client_secret", "x", "page_token", 5) }, map[string]any{"client_secret": "[secret]", "page_token": "[secret]"}},
		"flag":             {func(l *slog.Logger) { l.Info("m", "secret", true) }, map[string]any{"secret": true}},
		"error":            {func(l *slog.Logger) { l.Info("m", "error", fmt.Errorf("dial: %w", errors.New("postgres://u:p@h/d"))) }, map[string]any{"error": "dial: postgres://[secret]@h/d"}},
		"no error":         {func(l *slog.Logger) { l.Info("m", "error", (*nilError)(nil)) }, map[string]any{"error": "<nil>"}},
		"nothing":          {func(l *slog.Logger) { l.Info("m", "error", nil) }, map[string]any{"error": nil}},
		"group":            {func(l *slog.Logger) { l.Info("m", slog.Group("g", "to", "a@b.example", "n", 1)) }, map[string]any{"g": map[string]any{"to": "[e-mail]", "n": 1.0}}},
		"list":             {func(l *slog.Logger) { l.Info("m", "to", []string{"x", "a@b.example"}) }, map[string]any{"to": []any{"x", "[e-mail]"}}},
		"struct":           {func(l *slog.Logger) { l.Info("m", "a", account{"Ann", "x", card}) }, map[string]any{"a": map[string]any{"Name": "Ann", "Password": "[secret]"}}},
		"map":              {func(l *slog.Logger) { l.Info("m", "a", map[string]string{"to": "a@b.example"}) }, map[string]any{"a": map[string]any{"to": "[e-mail]"}}},
		"no JSON":          {func(l *slog.Logger) { l.Info("m", "a", struct{ C chan int }{}) }, map[string]any{"a": "{<nil>}"}},
		"valuer":           {func(l *slog.Logger) { l.Info("m", "a", &account{Name: "Ann"}) }, map[string]any{"a": "Ann pays with [card]"}},
		"of old":           {func(l *slog.Logger) { l.With("to", "a@b.example").Info("m") }, map[string]any{"to": "[e-mail]"}},
		"in a group":       {func(l *slog.Logger) { l.WithGroup("g").With("to", "a@b.example").Info("m", "n", card) }, map[string]any{"g": map[string]any{"to": "[e-mail]", "n": "[card]"}}},
		"saga of a caller": {func(l *slog.Logger) { l.InfoContext(telemetry.WithSaga(t.Context(), "a@b.example"), "m") }, map[string]any{"saga_id": "[e-mail]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := map[string]any{"level": "INFO", "msg": "m"}
			maps.Copy(want, test.want)
			if diff := cmp.Diff(want, logged(t, slog.LevelInfo, test.log)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// BenchmarkLogger says what a line costs: as the standard library writes it, and as it is written here.
func BenchmarkLogger(b *testing.B) {
	carrier := propagation.MapCarrier{"traceparent": "00-" + traceID + "-" + spanID + "-01"}
	ctx := telemetry.WithSaga(propagation.TraceContext{}.Extract(b.Context(), carrier), "sag_0192f3a4-7b1c-7d2e-8a3b-0123456789ab")
	tel, err := telemetry.New(b.Context(), telemetry.Config{OTLPEndpoint: startCollector(b, &collector{})})
	if err != nil {
		b.Fatal(err)
	}
	exported, err := tel.NewLog(b.Context(), io.Discard, slog.LevelInfo)
	if err != nil {
		b.Fatal(err)
	}
	for name, log := range map[string]*slog.Logger{
		"plain":    slog.New(slog.NewJSONHandler(io.Discard, nil)),
		"redacted": telemetry.NewLogger(io.Discard, slog.LevelInfo),
		"exported": exported.Logger("payment"), // with the collector's own part
	} {
		log = log.With(slog.String("service", "orchestrator"))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(ctx, slog.LevelInfo, "saga recorded an event", slog.Int("seq", 12), slog.String("type", "saga.completed"),
					slog.String("step", "commit"), slog.String("reference", "ord_0192f3a4-7b1c-7d2e-8a3b-0123456789ab"))
			}
		})
		b.Run(name+", not enabled", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(ctx, slog.LevelDebug, "saga recorded an event", slog.Int("seq", 12))
			}
		})
	}
}
