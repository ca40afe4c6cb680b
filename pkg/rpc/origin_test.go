package rpc_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/telemetry"
)

const (
	recordedTrace   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unrecordedTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// calling gives a tracer whose spans are kept.
func calling(t *testing.T) (*tracetest.SpanRecorder, trace.Tracer) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	return spans, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
}

func TestStartItem_RecordsItInTheTraceItComesFrom(t *testing.T) {
	t.Parallel()
	spans, tracer := calling(t)
	ctx, call := tracer.Start(t.Context(), "call")
	item, span := rpc.StartItem(ctx, tracer, "inventory.Reserve", recordedTrace)
	if got := trace.SpanContextFromContext(item); !got.Equal(span.SpanContext()) {
		t.Errorf("the item works in span %v, want its own, %v", got, span.SpanContext())
	}
	rpc.EndItem(span, rpcerr.New(rpcerr.InsufficientStock, "no mugs"))

	ended := spans.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans, want 1: the call goes on", len(ended))
	}
	s := ended[0]
	if parent := s.Parent(); parent.TraceID().String() != recordedTrace[3:35] || parent.SpanID().String() != recordedTrace[36:52] || !parent.IsRemote() {
		t.Errorf("the parent is %v, want %s", parent, recordedTrace)
	}
	if links := s.Links(); len(links) != 1 || !links[0].SpanContext.Equal(call.SpanContext()) {
		t.Errorf("got links %v, want one to the call", links)
	}
	if s.Name() != "inventory.Reserve" || s.Status().Code != codes.Error || s.Status().Description != "no mugs" {
		t.Errorf("got span %s with status %v", s.Name(), s.Status())
	}
}

func TestEndItem_TellsNoInternals(t *testing.T) {
	t.Parallel()
	spans, tracer := calling(t)
	_, span := rpc.StartItem(t.Context(), tracer, "inventory.Reserve", recordedTrace)
	rpc.EndItem(span, errors.New("password=secret"))
	if got := spans.Ended()[0].Status(); got.Code != codes.Error || got.Description != "internal error; the outcome is not known" {
		t.Errorf("got status %v", got)
	}
}

func TestEndItem_RecordsWhatFailsOfATraceThatIsNotRecorded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err   error
		spans int
	}{
		"refused":   {rpcerr.New(rpcerr.InsufficientStock, "no mugs"), 1},
		"not begun": {rpcerr.New(rpcerr.DestinationDown, "nobody there"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spans, tracer := calling(t)
			_, span := rpc.StartItem(t.Context(), tracer, "inventory.Reserve", unrecordedTrace)
			rpc.EndItem(span, test.err)
			ended := spans.Ended()
			if len(ended) != test.spans {
				t.Fatalf("%d spans, want %d", len(ended), test.spans)
			}
			for _, s := range ended {
				if s.Parent().SpanID().String() != unrecordedTrace[36:52] || s.Status().Description != "no mugs" || !s.EndTime().After(s.StartTime()) {
					t.Errorf("got %s below %v: %v", s.Name(), s.Parent(), s.Status())
				}
			}
		})
	}
}

func TestStartItem_RecordsNothingOfATraceThatIsNotRecorded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		traceparent string
		its         bool // the item belongs to it
	}{
		"not recorded": {unrecordedTrace, true},
		"none":         {"", false},
		"unreadable":   {"00-b7ad6b7169203331-01", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spans, tracer := calling(t)
			ctx, _ := tracer.Start(t.Context(), "call")
			item, span := rpc.StartItem(ctx, tracer, "inventory.Reserve", test.traceparent)
			rpc.EndItem(span, nil)
			if n := len(spans.Ended()); n != 0 {
				t.Errorf("%d spans ended, want none, and the call to go on", n)
			}
			want, _ := bus.TraceContext(ctx)
			if test.its {
				want = test.traceparent
			}
			if got, _ := bus.TraceContext(item); got != want {
				t.Errorf("the item belongs to %s, want %s", got, want)
			}
		})
	}
}

func TestServer_RecordsACallWithAnInternalErrorOfATraceThatIsNotRecorded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err   error
		spans int
	}{"internal": {errors.New(secret), 1}, "refused": {rpcerr.New(rpcerr.SKUUnknown, "no such SKU"), 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spans := tracetest.NewSpanRecorder()
			tel, err := telemetry.New(t.Context(), telemetry.Config{Processor: spans})
			if err != nil {
				t.Fatal(err)
			}
			server, err := rpc.NewServer(rpc.ServerConfig{Log: slog.New(slog.DiscardHandler), Telemetry: tel, Tracers: tel.Tracers("test")})
			if err != nil {
				t.Fatal(err)
			}
			inventoryv1.RegisterInventoryServiceServer(server, &warehouse{
				getStock: func(context.Context, *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
					return nil, test.err
				},
			})
			f := fixture{T: t, server: server, addr: nettest.ServeGRPC(t, server.Server), tel: newTelemetry(t)}
			if f.getStock() == nil {
				t.Fatal("no error")
			}
			ended := spans.Ended()
			if len(ended) != test.spans {
				t.Fatalf("%d spans, want %d", len(ended), test.spans)
			}
			for _, s := range ended {
				if s.Name() != "tieout.inventory.v1.InventoryService/GetStock" || s.Status().Code != codes.Error || strings.Contains(s.Status().Description, "hunter2") {
					t.Errorf("got %s: %v", s.Name(), s.Status())
				}
			}
		})
	}
}
