package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/bus"
)

type metrics struct {
	meter       metric.Meter
	attributes  metric.MeasurementOption
	processed   metric.Int64Counter
	duplicates  metric.Int64Counter
	deadLetters metric.Int64Counter
	lag         metric.Int64ObservableGauge
}

func newMetrics(meter metric.Meter, consumer string, log *slog.Logger) metrics {
	processed, err1 := meter.Int64Counter("tieout.inbox.processed",
		metric.WithDescription("Events that took effect."), metric.WithUnit("{event}"))
	duplicates, err2 := meter.Int64Counter("tieout.inbox.duplicates",
		metric.WithDescription("Deliveries of events that had taken effect before."), metric.WithUnit("{event}"))
	deadLetters, err3 := meter.Int64Counter("tieout.inbox.dead_letters",
		metric.WithDescription("Messages given up on."), metric.WithUnit("{event}"))
	lag, err4 := meter.Int64ObservableGauge("tieout.inbox.lag",
		metric.WithDescription("Events in the stream that the consumer has not done with."), metric.WithUnit("{event}"))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		log.Error("inbox metrics are incomplete", slog.Any("error", err))
	}
	attributes := metric.WithAttributeSet(attribute.NewSet(semconv.MessagingConsumerGroupName(consumer)))
	for _, c := range []metric.Int64Counter{processed, duplicates, deadLetters} {
		c.Add(context.Background(), 0, attributes)
	}
	return metrics{
		meter:       meter,
		attributes:  attributes,
		processed:   processed,
		duplicates:  duplicates,
		deadLetters: deadLetters,
		lag:         lag,
	}
}

// observe measures how far the consumer is behind, from now on, at each collection. While NATS cannot be asked, nobody knows.
func (m metrics) observe(js jetstream.JetStream, consumer string) (metric.Registration, error) {
	registration, err := m.meter.RegisterCallback(func(ctx context.Context, to metric.Observer) error {
		if !js.Conn().IsConnected() {
			return nil
		}
		durable, err := js.Consumer(ctx, bus.Stream, consumer)
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("measuring consumer %s: %w", consumer, err)
		}
		info := durable.CachedInfo()
		to.ObserveInt64(m.lag, int64(info.NumPending)+int64(info.NumAckPending), m.attributes) //nolint:gosec // a count of messages
		return nil
	}, m.lag)
	if err != nil {
		return nil, fmt.Errorf("registering metric of consumer %s: %w", consumer, err)
	}
	return registration, nil
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
