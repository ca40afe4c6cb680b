package telemetry

import (
	"slices"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func TestTogether_HandsOnPartsBehindTheWhole(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	keeper := &together{SpanProcessor: spans, open: map[trace.SpanID]*tree{}}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(keeper)).Tracer("test")
	names := func() (got []string) {
		for _, s := range spans.Ended() {
			got = append(got, s.Name())
		}
		return got
	}
	whole, root := tracer.Start(trace.ContextWithRemoteSpanContext(t.Context(), ParseTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")), "whole")
	inner, part := tracer.Start(whole, "part")
	_, smaller := tracer.Start(inner, "smaller")
	_, late := tracer.Start(whole, "late")
	smaller.End()
	part.End()
	if got := names(); len(got) > 0 {
		t.Errorf("%v were handed on before what they are part of", got)
	}
	root.End()
	late.End()
	if got, want := names(), []string{"whole", "smaller", "part", "late"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(keeper.open) > 0 {
		t.Errorf("%d spans are remembered", len(keeper.open))
	}
}

func TestTogether_DoesNotHoldBackWithoutEnd(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	keeper := &together{SpanProcessor: spans, open: map[trace.SpanID]*tree{}}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(keeper)).Tracer("test")
	watch, root := tracer.Start(t.Context(), "watch")
	for range 3 * maxTogether {
		_, s := tracer.Start(watch, "look")
		s.End()
	}
	if got := len(spans.Ended()); got < 2*maxTogether {
		t.Errorf("%d of %d parts were handed on", got, 3*maxTogether)
	}
	root.End()
	if got := len(spans.Ended()); got != 3*maxTogether+1 {
		t.Errorf("%d spans were handed on, want %d", got, 3*maxTogether+1)
	}
}
