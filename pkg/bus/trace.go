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
