package inbox

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/bus"
)

type metrics struct {
	attributes  metric.MeasurementOption
	processed   metric.Int64Counter
	duplicates  metric.Int64Counter
	deadLetters metric.Int64Counter
	lag         metric.Int64Gauge
}

func newMetrics(meter metric.Meter, consumer string, log *slog.Logger) metrics {
	processed, err1 := meter.Int64Counter("tieout.inbox.processed",
		metric.WithDescription("Events that took effect."), metric.WithUnit("{event}"))
	duplicates, err2 := meter.Int64Counter("tieout.inbox.duplicates",
		metric.WithDescription("Deliveries of events that had taken effect before."), metric.WithUnit("{event}"))
	deadLetters, err3 := meter.Int64Counter("tieout.inbox.dead_letters",
		metric.WithDescription("Messages given up on."), metric.WithUnit("{event}"))
	lag, err4 := meter.Int64Gauge("tieout.inbox.lag",
		metric.WithDescription("Events waiting in the stream, as of the last batch."), metric.WithUnit("{event}"))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		log.Error("inbox metrics are incomplete", slog.Any("error", err))
	}
	return metrics{
		attributes: metric.WithAttributeSet(
			attribute.NewSet(semconv.MessagingConsumerGroupName(consumer))),
		processed:   processed,
		duplicates:  duplicates,
		deadLetters: deadLetters,
		lag:         lag,
	}
}

// startSpans starts a span for each event whose writer's trace is recorded, in that trace. A single event's span is in the
// context that it returns; there is no one span for several, which end together.
func (in *Inbox) startSpans(ctx context.Context, deliveries []delivery) (context.Context, func(error)) {
	var spans []trace.Span
	own := ctx
	for _, d := range deliveries {
		writer := propagation.MapCarrier{"traceparent": d.event.Traceparent, "tracestate": d.event.Tracestate}
		own = propagation.TraceContext{}.Extract(ctx, writer)
		if !trace.SpanContextFromContext(own).IsSampled() {
			continue
		}
		var span trace.Span
		own, span = in.tracer.Start(own, "process "+d.event.Type(),
			trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(
				semconv.MessagingSystemKey.String("nats"),
				semconv.MessagingOperationTypeProcess,
				semconv.MessagingOperationName("process"),
				semconv.MessagingDestinationName(bus.Stream),
				semconv.MessagingConsumerGroupName(in.consumer.Name),
				semconv.MessagingMessageID(d.event.ID.String()),
				attribute.String("tieout.reference", d.event.Reference),
			))
		spans = append(spans, span)
	}
	if len(deliveries) == 1 {
		ctx = own
	}
	return ctx, func(err error) {
		for _, span := range spans {
			if err != nil {
				span.RecordError(err)
				span.SetStatus(codes.Error, "")
			}
			span.End()
		}
	}
}
