package rpc

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/telemetry"
)

// StartItem leads an item of a call into the trace that it comes from (W3C), which a call's items do not share. When
// that trace is recorded, so is a span of the item, linked to the call's where that is recorded as well; else there is a span
// only if the item fails. An item that names no trace, or one that cannot be read, stays in the call's.
func StartItem(ctx context.Context, tracer trace.Tracer, name, traceparent string) (context.Context, trace.Span) {
	parent := telemetry.ParseTraceparent(traceparent)
	if !parent.IsValid() {
		return ctx, noop.Span{}
	}
	item := trace.ContextWithRemoteSpanContext(ctx, parent)
	if !parent.IsSampled() {
		return item, &unrecorded{tracer: tracer, name: name, parent: parent, begun: time.Now()}
	}
	var links []trace.Link
	if call := trace.SpanContextFromContext(ctx); call.IsSampled() {
		links = []trace.Link{{SpanContext: call}}
	}
	return tracer.Start(item, name, trace.WithLinks(links...))
}

// EndItem ends an item's span with what came of the item. What fails has a span: whoever sent it records it as well. What was
// not begun has failed at nothing.
func EndItem(span trace.Span, err error) {
	if err == nil {
		span.End()
		return
	}
	told := rpcerr.ToStatus(err).Message()
	if u, ok := span.(*unrecorded); ok {
		if e, ours := rpcerr.FromError(err); !ours || !e.Reason.NotBegun() {
			u.record(told)
		}
		return
	}
	if span.IsRecording() {
		span.SetStatus(codes.Error, told)
	}
	span.End()
}

// unrecorded is the span of an item whose trace is not recorded.
type unrecorded struct {
	noop.Span
	tracer trace.Tracer
	name   string
	parent trace.SpanContext
	begun  time.Time
}

func (u *unrecorded) record(why string) {
	telemetry.Past{
		Trace: u.parent.TraceID(), Parent: u.parent.SpanID(), Name: u.name, Begun: u.begun, Ended: time.Now(), Error: why,
	}.Record(u.tracer)
}
