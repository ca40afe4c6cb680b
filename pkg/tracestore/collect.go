package tracestore

import (
	"context"
	"encoding/hex"
	"strconv"
	"time"

	otel "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
)

// serviceName is the attribute of a resource that says whose spans they are.
const serviceName = "service.name"

// OnStart implements sdktrace.SpanProcessor.
func (s *Store) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (s *Store) OnEnd(ended sdktrace.ReadOnlySpan) {
	sp := span{
		id: ended.SpanContext().SpanID(), parent: ended.Parent().SpanID(), name: ended.Name(), begun: ended.StartTime(), ended: ended.EndTime(),
		failed: ended.Status().Code == codes.Error, err: ended.Status().Description,
	}
	if of, ok := ended.Resource().Set().Value(serviceName); ok {
		sp.service = of.AsString()
	}
	for _, a := range ended.Attributes() {
		sp.attributes = append(sp.attributes, attribute{string(a.Key), a.Value.String()})
	}
	for _, l := range ended.Links() {
		sp.links = append(sp.links, l.SpanContext.TraceID().String()+"/"+l.SpanContext.SpanID().String())
	}
	s.add(ended.SpanContext().TraceID(), sp)
}

// Shutdown implements sdktrace.SpanProcessor.
func (s *Store) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (s *Store) ForceFlush(context.Context) error { return nil }

// receiver takes spans over OTLP.
type receiver struct {
	collectorv1.UnimplementedTraceServiceServer
	store *Store
}

// Export implements collectorv1.TraceServiceServer.
func (r receiver) Export(_ context.Context, sent *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	for _, of := range sent.GetResourceSpans() {
		service := ""
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == serviceName {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, sp := range scope.GetSpans() {
				if id := trace.TraceID(padded(sp.GetTraceId(), 16)); id.IsValid() {
					r.store.add(id, spanFrom(sp, service))
				}
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func spanFrom(sp *tracev1.Span, service string) span {
	out := span{
		id: trace.SpanID(padded(sp.GetSpanId(), 8)), parent: trace.SpanID(padded(sp.GetParentSpanId(), 8)), name: sp.GetName(), service: service,
		begun: at(sp.GetStartTimeUnixNano()), ended: at(sp.GetEndTimeUnixNano()),
		failed: sp.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR, err: sp.GetStatus().GetMessage(),
	}
	for _, a := range sp.GetAttributes() {
		out.attributes = append(out.attributes, attribute{a.GetKey(), text(a.GetValue())})
	}
	for _, l := range sp.GetLinks() {
		out.links = append(out.links, hex.EncodeToString(l.GetTraceId())+"/"+hex.EncodeToString(l.GetSpanId()))
	}
	return out
}

// padded makes an id as long as it has to be; one of another length is none, and comes out as zeros.
func padded(id []byte, n int) []byte {
	if len(id) != n {
		return make([]byte, n)
	}
	return id
}

func at(unixNano uint64) time.Time { return time.Unix(0, int64(unixNano)) } //nolint:gosec // until 2262

func text(v *commonv1.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *commonv1.AnyValue_StringValue:
		return v.StringValue
	case *commonv1.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *commonv1.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *commonv1.AnyValue_DoubleValue:
		return otel.Float64Value(v.DoubleValue).String()
	}
	return v.String()
}
