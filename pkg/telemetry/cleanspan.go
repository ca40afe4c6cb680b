package telemetry

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tieout/tieout/pkg/redact"
)

// cleanSpans hands spans on without what must not be kept: what a call was refused for may repeat what was asked.
type cleanSpans struct{ sdktrace.SpanProcessor }

// OnEnd implements sdktrace.SpanProcessor.
func (c cleanSpans) OnEnd(s sdktrace.ReadOnlySpan) {
	clean := cleanSpan{ReadOnlySpan: s, status: s.Status(), events: s.Events()}
	clean.status.Description = redact.Text(clean.status.Description)
	changed := clean.status.Description != s.Status().Description
	if clean.attributes = cleanAttributes(s.Attributes()); clean.attributes != nil {
		changed = true
	} else {
		clean.attributes = s.Attributes()
	}
	for i, e := range s.Events() {
		if attributes := cleanAttributes(e.Attributes); attributes != nil {
			clean.events = slices.Clone(clean.events)
			clean.events[i].Attributes, changed = attributes, true
		}
	}
	if !changed {
		c.SpanProcessor.OnEnd(s)
		return
	}
	c.SpanProcessor.OnEnd(clean)
}

// cleanAttributes is nil when there is nothing to take out.
func cleanAttributes(all []attribute.KeyValue) (clean []attribute.KeyValue) {
	for i, a := range all {
		if a.Value.Type() != attribute.STRING {
			continue
		}
		text := a.Value.AsString()
		redacted := redact.Text(text)
		if redacted == text {
			continue
		}
		if clean == nil {
			clean = slices.Clone(all)
		}
		clean[i] = a.Key.String(redacted)
	}
	return clean
}

// cleanSpan is a span of which something was taken out.
type cleanSpan struct {
	sdktrace.ReadOnlySpan
	status     sdktrace.Status
	attributes []attribute.KeyValue
	events     []sdktrace.Event
}

// Status implements sdktrace.ReadOnlySpan.
func (s cleanSpan) Status() sdktrace.Status { return s.status }

// Attributes implements sdktrace.ReadOnlySpan.
func (s cleanSpan) Attributes() []attribute.KeyValue { return s.attributes }

// Events implements sdktrace.ReadOnlySpan.
func (s cleanSpan) Events() []sdktrace.Event { return s.events }
