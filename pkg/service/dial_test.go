package service_test

import (
	"context"
	"log/slog"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestDial_ReachesAServiceOfTheSameProcessAndOfAnother(t *testing.T) {
	t.Parallel()
	var caller string
	inventory := inventoryService(func(ctx context.Context, _ string) error {
		caller = rpc.Caller(ctx)
		return nil
	})
	other := mustStart(t, quietConfig(), inventory)
	defer stop(t, other)
	for name, services := range map[string][]service.Service{
		"in memory":  {inventoryService(answer), orderService("")},
		"at an addr": {orderService(other.GRPCAddr())},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustStart(t, quietConfig(), services...)
			defer stop(t, p)
			if err := getOrder(t.Context(), servicetest.Dial(t, p, "shop")); err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
	if caller != "orchestrator" {
		t.Errorf("the other process sees caller %q, want orchestrator", caller)
	}
}

func TestDial_PassesOnThatADestinationIsDown(t *testing.T) {
	t.Parallel()
	p := mustStart(t, quietConfig(), orderService("127.0.0.1:1"))
	defer stop(t, p)
	if err := getOrder(t.Context(), servicetest.Dial(t, p, "shop")); !rpcerr.Is(err, rpcerr.DestinationDown) {
		t.Errorf("got %v, want DESTINATION_DOWN", err)
	}
}

// recorded is a process and a client whose spans are kept.
func recorded(t *testing.T, services ...service.Service) (*tracetest.SpanRecorder, *logtest.Book, *grpc.ClientConn, trace.Tracer) {
	t.Helper()
	spans, log := tracetest.NewSpanRecorder(), &logtest.Book{}
	tel, err := telemetry.New(t.Context(), telemetry.Config{Processor: spans, SampleRatio: 1})
	if err != nil {
		t.Fatal(err)
	}
	cfg := quietConfig()
	cfg.Telemetry = telemetry.Config{Processor: spans} // records what the caller records
	cfg.Log.Level = "info"
	for i := range services {
		services[i].Postgres.DSN = pgtest.DSN(t)
	}
	p, err := service.Start(t.Context(), cfg, log, services...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	conn, err := rpc.Dial(rpc.ClientConfig{
		Caller: "shop", Destination: "orchestrator", Target: p.GRPCAddr(), Telemetry: tel, Tracers: tel.Tracers("shop"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return spans, log, conn, tel.Tracers("shop").Tracer("test")
}

func TestTrace_IsOneFromTheClientThroughAllServices(t *testing.T) {
	t.Parallel()
	var log *slog.Logger
	inventory := inventoryService(
		func(ctx context.Context, _ string) error {
			log.InfoContext(ctx, "looked")
			return nil
		},
		func(env *service.Env) error {
			log = env.Log
			return nil
		})
	spans, logged, conn, tracer := recorded(t, inventory, orderService(""))
	ctx, root := tracer.Start(telemetry.WithSaga(t.Context(), "sag_1"), "shopping")
	if err := getOrder(ctx, conn); err != nil {
		t.Fatal(err)
	}
	root.End()

	// A server's span ends after its answer is on its way.
	const calls = 4
	ofTheTrace := func() (all []sdktrace.ReadOnlySpan) {
		for _, s := range spans.Ended() {
			if s.SpanContext().TraceID() == root.SpanContext().TraceID() && s.SpanKind() != trace.SpanKindInternal {
				all = append(all, s)
			}
		}
		return all
	}
	waittest.Until(t, "all spans have ended", func() bool { return len(ofTheTrace()) == calls })

	parent := root.SpanContext().SpanID()
	for _, want := range []struct {
		kind trace.SpanKind
		name string
	}{
		{trace.SpanKindClient, "tieout.order.v1.OrderService/GetOrder"},
		{trace.SpanKindServer, "tieout.order.v1.OrderService/GetOrder"},
		{trace.SpanKindClient, "tieout.inventory.v1.InventoryService/GetStock"},
		{trace.SpanKindServer, "tieout.inventory.v1.InventoryService/GetStock"},
	} {
		found := false
		for _, s := range ofTheTrace() {
			if s.SpanKind() == want.kind && s.Name() == want.name && s.Parent().SpanID() == parent {
				parent, found = s.SpanContext().SpanID(), true
				break
			}
		}
		if !found {
			t.Fatalf("no %s span %s below the one before", want.kind, want.name)
		}
	}

	line := logged.Find("looked")
	if line["trace_id"] != root.SpanContext().TraceID().String() || line["span_id"] != parent.String() ||
		line["saga_id"] != "sag_1" || line["service"] != "inventory" {
		t.Errorf("got log line %v, want trace %s, span %s, saga sag_1, service inventory", line, root.SpanContext().TraceID(), parent)
	}
}
