package tracestore

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"go.opentelemetry.io/otel/trace"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	tracev1 "github.com/tieout/tieout/gen/tieout/trace/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// Register makes the store the TraceService of a server, and has it take what others send over OTLP.
func (s *Store) Register(r grpc.ServiceRegistrar) {
	tracev1.RegisterTraceServiceServer(r, &server{store: s})
	collectorv1.RegisterTraceServiceServer(r, receiver{store: s})
}

type server struct {
	tracev1.UnimplementedTraceServiceServer
	store *Store
}

// GetTrace implements tracev1.TraceServiceServer.
func (s *server) GetTrace(_ context.Context, r *tracev1.GetTraceRequest) (*tracev1.GetTraceResponse, error) {
	f, ok := s.store.find(r.GetName())
	if !ok {
		return nil, rpcerr.ForField(rpcerr.NotFound, "name",
			"no trace of %s is kept: nothing of it was recorded, or it had to make room; %d traces are kept", r.GetName(), s.store.count())
	}
	out := &tracev1.Trace{TraceId: f.id.String(), DroppedCount: int32(f.dropped)} //nolint:gosec // spans of one trace
	for _, sp := range ordered(f.spans) {
		out.Spans = append(out.Spans, spanToProto(sp))
	}
	return &tracev1.GetTraceResponse{Trace: out}, nil
}

// ordered puts spans behind the one that they are part of, by when they began.
func ordered(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.begun.Compare(b.begun), bytes.Compare(a.id[:], b.id[:])) })
	known, parts := make(map[trace.SpanID]bool, len(spans)), map[trace.SpanID][]span{}
	for _, sp := range spans {
		known[sp.id] = true
	}
	var roots []span
	for _, sp := range spans {
		if known[sp.parent] && sp.parent != sp.id {
			parts[sp.parent] = append(parts[sp.parent], sp)
		} else {
			roots = append(roots, sp)
		}
	}
	out, seen := make([]span, 0, len(spans)), make(map[trace.SpanID]bool, len(spans))
	var add func(of []span)
	add = func(of []span) {
		for _, sp := range of {
			if !seen[sp.id] {
				seen[sp.id], out = true, append(out, sp)
				add(parts[sp.id])
			}
		}
	}
	add(roots)
	add(spans) // those that are parts of each other
	return out
}

func spanToProto(sp span) *tracev1.Span {
	out := &tracev1.Span{
		SpanId: sp.id.String(), Name: sp.name, Service: sp.service, StartTime: timestamppb.New(sp.begun), EndTime: timestamppb.New(sp.ended),
		Failed: sp.failed, Error: sp.err, Attributes: make(map[string]string, len(sp.attributes)), Links: sp.links,
	}
	if sp.parent.IsValid() {
		out.ParentSpanId = sp.parent.String()
	}
	for _, a := range sp.attributes {
		out.Attributes[a.name] = a.value
	}
	return out
}
