package e2e

import (
	"context"
	"crypto/rand"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// startTrace gives a context in a sampled trace of the client's own.
func startTrace(t *testing.T) (context.Context, trace.TraceID) {
	t.Helper()
	var traceID trace.TraceID
	var spanID trace.SpanID
	rand.Read(traceID[:])
	rand.Read(spanID[:])
	return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled,
	})), traceID
}
