package telemetry_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/telemetry"
)

func TestPast_IsRecordedUnderItsOwnIDsWhateverWasDecided(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	tracer := newTelemetry(t, telemetry.Config{Processor: spans}).Tracers("payment").Tracer("test")
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	unrecorded := telemetry.ParseTraceparent("00-" + traceID + "-" + spanID + "-00")
	root := telemetry.Past{
		Trace: unrecorded.TraceID(), ID: trace.SpanID{7}, Name: "order", Begun: at, Ended: at.Add(time.Second), Error: "declined",
	}
	part := telemetry.Past{Trace: unrecorded.TraceID(), Parent: root.ID, Name: "charge", Begun: at, Ended: at}
	root.Record(tracer)
	part.Record(tracer)
	ended := spans.Ended()
	if len(ended) != 2 {
		t.Fatalf("%d spans, want 2", len(ended))
	}
	got := ended[0]
	if c := got.SpanContext(); c.TraceID() != root.Trace || c.SpanID() != root.ID || got.Parent().IsValid() || !c.IsSampled() {
		t.Errorf("got span %v below %v", c, got.Parent())
	}
	if got.EndTime().Sub(got.StartTime()) != time.Second || got.Status().Code != codes.Error || got.Status().Description != "declined" {
		t.Errorf("got %v to %v, %v", got.StartTime(), got.EndTime(), got.Status())
	}
	if got := ended[1]; got.Parent().SpanID() != root.ID || got.SpanContext().TraceID() != root.Trace || !got.SpanContext().SpanID().IsValid() {
		t.Errorf("got span %v below %v", got.SpanContext(), got.Parent())
	}
}

func TestPast_IsNothingWithoutAnExporter(t *testing.T) {
	t.Parallel()
	tracer := newTelemetry(t, telemetry.Config{SampleRatio: 1}).Tracers("payment").Tracer("test")
	telemetry.Past{Trace: trace.TraceID{1}, Name: "order", Begun: time.Now(), Ended: time.Now()}.Record(tracer)
}

func TestOriginOf_IsTheCaller(t *testing.T) {
	t.Parallel()
	tracer := newTelemetry(t, telemetry.Config{Processor: tracetest.NewSpanRecorder()}).Tracers("payment").Tracer("test")
	const recorded, unrecorded = "00-" + traceID + "-" + spanID + "-01", "00-" + traceID + "-" + spanID + "-00"
	for _, origin := range []string{recorded, unrecorded} {
		caller := trace.ContextWithRemoteSpanContext(t.Context(), telemetry.ParseTraceparent(origin))
		if got := telemetry.OriginOf(caller); got != origin {
			t.Errorf("without a span of its own: got %s, want %s", got, origin)
		}
	}
	ctx, span := tracer.Start(trace.ContextWithRemoteSpanContext(t.Context(), telemetry.ParseTraceparent(recorded)), "called")
	defer span.End()
	if got := telemetry.OriginOf(ctx); got != recorded {
		t.Errorf("got %s, want the caller's %s", got, recorded)
	}
	if got := telemetry.OriginOf(t.Context()); got != "" {
		t.Errorf("without a trace: got %s", got)
	}
}
