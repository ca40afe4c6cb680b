package rpc

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// StartItem leads an item of a call into the trace that it comes from, which one call's items do not share. When that
// trace is recorded, so is a span of the item, linked to the call's; else the span records nothing. An item that
// names no trace, or one that cannot be read, stays in the call's.
func StartItem(ctx context.Context, tracer trace.Tracer, name string, from *commonv1.Origin) (context.Context, trace.Span) {
	if from.GetTraceparent() == "" {
		return ctx, noop.Span{}
	}
	item := propagation.TraceContext{}.Extract(ctx, traceparent(from.GetTraceparent()))
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

// traceparent is a carrier of nothing else.
type traceparent string

// Get implements propagation.TextMapCarrier.
func (t traceparent) Get(key string) string {
	if key == "traceparent" {
		return string(t)
	}
	return ""
}

// Set implements propagation.TextMapCarrier; nothing is injected here.
func (traceparent) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (traceparent) Keys() []string { return []string{"traceparent"} }
