package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/redact"
)

// sagaMember is the W3C baggage member by which a saga's id travels with its calls.
const sagaMember = "saga_id"

// WithSaga returns a context whose calls, in every service they reach, log the saga's id. No id leaves it as it is.
func WithSaga(ctx context.Context, sagaID string) context.Context {
	if sagaID == "" {
		return ctx
	}
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

// SagaIn gives the saga that a context is of; empty for none.
func SagaIn(ctx context.Context) string { return baggage.FromContext(ctx).Member(sagaMember).Value() }

// SagaOf gives the saga whose step asks under an idempotency key, saga/<id>/<step>; empty for what no saga asks.
func SagaOf(key string) string {
	rest, isStep := strings.CutPrefix(key, "saga/")
	sagaID, _, named := strings.Cut(rest, "/")
	if !isStep || !named {
		return ""
	}
	return sagaID
}

// NewLogger writes JSON lines that carry trace_id, span_id and saga_id of the context they are logged with, and no card
// number, e-mail address or secret.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(handler{lines: newLines(w, level)})
}

func newLines(w io.Writer, level slog.Leveler) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
}

// handler takes out of each record what must not be kept, and adds what its context knows.
type handler struct {
	lines slog.Handler
	// exported takes the same records for the collector, which are given their span by the exporter; nil exports none.
	exported slog.Handler
}

// Enabled implements slog.Handler. What is not in the lines is not exported.
func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.lines.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	clean := cleanRecord(r)
	if saga := SagaIn(ctx); saga != "" {
		clean.AddAttrs(slog.String(sagaMember, redact.Text(saga))) // who calls chooses it
	}
	if h.exported != nil {
		if err := h.exported.Handle(ctx, clean.Clone()); err != nil {
			return err
		}
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		clean.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.lines.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	attrs = cleanAttrs(attrs)
	h.lines = h.lines.WithAttrs(attrs)
	if h.exported != nil {
		h.exported = h.exported.WithAttrs(attrs)
	}
	return h
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	h.lines = h.lines.WithGroup(name)
	if h.exported != nil {
		h.exported = h.exported.WithGroup(name)
	}
	return h
}
