package bus

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

// TraceContext is the trace that ctx belongs to, in the form in which an event carries it (W3C); both are empty when
// there is none.
func TraceContext(ctx context.Context) (traceparent, tracestate string) {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent"), carrier.Get("tracestate")
}

// InTrace gives ctx the trace context of what is stored, or was told; none, or one that cannot be read, leaves ctx as it is.
func InTrace(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}
