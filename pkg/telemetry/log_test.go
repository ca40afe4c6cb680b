package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
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
