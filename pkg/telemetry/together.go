package telemetry

import (
	"context"
	"sync"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// maxTogether is how many spans wait for the one that they are part of. A call that lasts, such as a watch, has no end of them.
const maxTogether = 256

// together hands on a span's parts behind the span itself, so that nothing is sent whose parent is lost when the process is
// killed. What a span of another process is the parent of is handed on when it ends.
type together struct {
	sdktrace.SpanProcessor

	mu   sync.Mutex
	open map[trace.SpanID]*tree
}

// tree is a span whose parent is not of this process, and its parts that have ended.
type tree struct {
	root  trace.SpanID
	ended []sdktrace.ReadOnlySpan
}

// OnStart implements sdktrace.SpanProcessor.
func (t *together) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	t.SpanProcessor.OnStart(ctx, s)
	id := s.SpanContext().SpanID()
	t.mu.Lock()
	defer t.mu.Unlock()
	if parent := s.Parent(); parent.IsValid() && !parent.IsRemote() {
		if of := t.open[parent.SpanID()]; of != nil {
			t.open[id] = of
		}
		return
	}
	t.open[id] = &tree{root: id}
}

// OnEnd implements sdktrace.SpanProcessor.
func (t *together) OnEnd(s sdktrace.ReadOnlySpan) {
	for _, ended := range t.end(s) {
		t.SpanProcessor.OnEnd(ended)
	}
}

// end takes in that a span has ended, and gives what is to be handed on.
func (t *together) end(s sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	id := s.SpanContext().SpanID()
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.open[id]
	delete(t.open, id)
	switch {
	case of == nil: // it outlived what it is part of
		return []sdktrace.ReadOnlySpan{s}
	case of.root == id:
		all := append([]sdktrace.ReadOnlySpan{s}, of.ended...)
		of.ended = nil
		return all
	case t.open[of.root] == nil:
		return []sdktrace.ReadOnlySpan{s}
	}
	if of.ended = append(of.ended, s); len(of.ended) < maxTogether {
		return nil
	}
	all := of.ended
	of.ended = nil
	return all
}
