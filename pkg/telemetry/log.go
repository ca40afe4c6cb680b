package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
)

// sagaMember is the W3C baggage member by which a saga's id travels with its calls.
const sagaMember = "saga_id"

// WithSaga returns a context whose calls, in every service they reach, log the saga's id.
func WithSaga(ctx context.Context, sagaID string) context.Context {
	member, err := baggage.NewMemberRaw(sagaMember, sagaID)
	if err != nil {
		return ctx // not a baggage value: the log goes without it
	}
	b, err := baggage.FromContext(ctx).SetMember(member)
	if err != nil {
		return ctx
	}
	return baggage.ContextWithBaggage(ctx, b)
}

// NewLogger writes JSON lines that carry trace_id, span_id and saga_id of the context they are logged with.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(contextHandler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})})
}

// contextHandler adds to each record what its context knows.
type contextHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	if saga := baggage.FromContext(ctx).Member(sagaMember).Value(); saga != "" {
		r.AddAttrs(slog.String("saga_id", saga))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}
