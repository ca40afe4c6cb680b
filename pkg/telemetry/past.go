package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Past is a span of something that is over. It is made when it is known to be worth it, whatever was decided when its trace
// began, and under an id that may follow from what is stored: whoever tells it again tells the same span.
type Past struct {
	// Trace is the trace that it belongs to.
	Trace trace.TraceID
	// ID is the span's own; zero makes one.
	ID trace.SpanID
	// Parent is the span that it is part of; zero for the root of its trace.
	Parent trace.SpanID
	Name   string
	// Kind is internal where nothing is said.
	Kind         trace.SpanKind
	Begun, Ended time.Time
	// Error says what went wrong; empty for nothing.
	Error      string
	Attributes []attribute.KeyValue
	Links      []trace.Link
}

// Record makes the span.
func (p Past) Record(tracer trace.Tracer) {
	ctx := context.WithValue(context.Background(), pastIDs{}, p)
	if p.Parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: p.Trace, SpanID: p.Parent, TraceFlags: trace.FlagsSampled, Remote: true,
		}))
	}
	_, span := tracer.Start(ctx, p.Name, trace.WithTimestamp(p.Begun), trace.WithSpanKind(p.Kind),
		trace.WithAttributes(p.Attributes...), trace.WithLinks(p.Links...))
	if p.Error != "" {
		span.SetStatus(codes.Error, p.Error)
	}
	span.End(trace.WithTimestamp(p.Ended))
}

// pastIDs is the key of a context's Past.
type pastIDs struct{}

func pastOf(ctx context.Context) (Past, bool) {
	p, ok := ctx.Value(pastIDs{}).(Past)
	return p, ok
}

// ids makes random ids, but for what is told afterwards, which has its own.
type ids struct{}

// NewIDs implements sdktrace.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if p, ok := pastOf(ctx); ok {
		return p.Trace, g.NewSpanID(ctx, p.Trace)
	}
	var id trace.TraceID
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64()|1)
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if p, ok := pastOf(ctx); ok && p.ID.IsValid() {
		return p.ID
	}
	return NewSpanID()
}

// NewSpanID makes a random id.
func NewSpanID() (id trace.SpanID) {
	binary.NativeEndian.PutUint64(id[:], rand.Uint64()|1)
	return id
}

// sampler records what is told afterwards, what a caller records, and a share of the new traces.
type sampler struct{ sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if _, ok := pastOf(p.ParentContext); ok {
		return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
	}
	return s.Sampler.ShouldSample(p)
}

// InTrace gives ctx the trace context (W3C) of what is stored, or was told; none, or one that cannot be read, leaves ctx as it is.
func InTrace(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// ParseTraceparent reads a W3C trace context; what is none is no valid span context.
func ParseTraceparent(traceparent string) trace.SpanContext {
	return trace.SpanContextFromContext(InTrace(context.Background(), traceparent))
}

// Traceparent writes a W3C trace context.
func Traceparent(traceID trace.TraceID, spanID trace.SpanID, recorded bool) string {
	flags := "-00"
	if recorded {
		flags = "-01"
	}
	return "00-" + traceID.String() + "-" + spanID.String() + flags
}

// IsRecorded tells, at little cost, whether a trace context may be that of a trace that is recorded.
func IsRecorded(traceparent string) bool { return strings.HasSuffix(traceparent, "-01") }

// OriginOf is the trace context (W3C) that goes into what is stored: that of whoever caused the work that ctx belongs to, for this
// process may end before it tells of its own part. Where nobody did, it is that of the work; empty where there is no trace.
func OriginOf(ctx context.Context) string {
	span := trace.SpanFromContext(ctx)
	origin := span.SpanContext()
	if caused, ok := span.(interface{ Parent() trace.SpanContext }); ok && caused.Parent().IsValid() {
		origin = caused.Parent()
	}
	if !origin.IsValid() {
		return ""
	}
	return Traceparent(origin.TraceID(), origin.SpanID(), span.SpanContext().IsSampled())
}
