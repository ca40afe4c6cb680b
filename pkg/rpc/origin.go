package rpc

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// StartItem leads an item of a call into the trace that it comes from (W3C), which a call's items do not share. When
// that trace is recorded, so is a span of the item, linked to the call's; else the span records nothing. An item that
// names no trace, or one that cannot be read, stays in the call's.
func StartItem(ctx context.Context, tracer trace.Tracer, name, traceparent string) (context.Context, trace.Span) {
	if traceparent == "" {
		return ctx, noop.Span{}
	}
	item := propagation.TraceContext{}.Extract(ctx, only(traceparent))
	if parent := trace.SpanContextFromContext(item); !parent.IsRemote() || !parent.IsSampled() {
		return item, noop.Span{} // the call's own span is not remote
	}
	return tracer.Start(item, name, trace.WithLinks(trace.LinkFromContext(ctx)))
}

// EndItem ends an item's span with what came of the item.
func EndItem(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, rpcerr.ToStatus(err).Message())
	}
	span.End()
}

// only is a carrier of a traceparent and nothing else.
type only string

// Get implements propagation.TextMapCarrier.
func (t only) Get(key string) string {
	if key == "traceparent" {
		return string(t)
	}
	return ""
}

// Set implements propagation.TextMapCarrier; nothing is injected here.
func (only) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (only) Keys() []string { return []string{"traceparent"} }
