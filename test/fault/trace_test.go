package fault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	tracev1 "github.com/tieout/tieout/gen/tieout/trace/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/pkg/tracestore"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

// traced is services in processes of their own, which send their spans to one place.
type traced struct {
	*testing.T
	split    *systemtest.Split
	endpoint string
	env      []string
	running  map[string]*systemtest.Process
	orders   orderv1.OrderServiceClient // of a client who sends his spans there as well
	tracer   trace.Tracer
	traces   tracev1.TraceServiceClient
}

// startTraced starts the services. None of them records a trace of its own accord.
func startTraced(t *testing.T) *traced {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	t.Parallel()
	f := &traced{T: t, running: map[string]*systemtest.Process{}}
	f.collect()
	w := systemtest.NewWorld(t)
	f.split = w.SplitOf(t, systemtest.Build(t), t.Output())
	f.env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + f.endpoint, "OTEL_TRACES_SAMPLER_ARG=0"}
	for _, s := range w.Services() {
		f.start(s.Name)
	}
	t.Cleanup(func() {
		for _, p := range f.running {
			p.Kill()
		}
	})
	receive(t, f.split.Dial(t, "inventory"), 20)
	client, err := telemetry.New(t.Context(), telemetry.Config{OTLPEndpoint: "http://" + f.endpoint, SampleRatio: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Shutdown(context.Background()) })
	f.tracer = client.Tracers("client").Tracer("test")
	conn, err := rpc.Dial(rpc.ClientConfig{
		Caller: "client", Destination: "orchestrator", Target: f.split.Addr("orchestrator"), Telemetry: client, Tracers: client.Tracers("client"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f.orders = orderv1.NewOrderServiceClient(conn)
	return f
}

// collect keeps what is sent, as `tieout dev` does.
func (f *traced) collect() {
	f.Helper()
	server := grpc.NewServer()
	tracestore.New(64 << 20).Register(server)
	f.endpoint = nettest.ServeGRPC(f, server)
	f.traces = tracev1.NewTraceServiceClient(servicetest.DialAddr(f, f.endpoint, "operator"))
}

func (f *traced) start(name string) {
	f.Helper()
	f.running[name] = f.split.Launch(f, name, f.split.Addr(name), f.env...)
}

// place places an order in a trace that the client records, or does not.
func (f *traced) place(i int, method, country string, recorded bool) string {
	f.Helper()
	ctx := f.Context()
	if recorded {
		var span trace.Span
		ctx, span = f.tracer.Start(ctx, "buy")
		defer span.End()
	} else {
		ctx = trace.ContextWithRemoteSpanContext(ctx, telemetry.ParseTraceparent(fmt.Sprintf("00-%032x-%016x-00", 1000+i, 1)))
	}
	var answer *orderv1.PlaceOrderResponse
	err := status.Error(codes.Unavailable, "not sent")
	for status.Code(err) == codes.Unavailable { // asked again under the same key, as by any client: who is killed resets connections
		answer, err = f.orders.PlaceOrder(ctx, order(i, method, country), grpc.WaitForReady(true))
	}
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetOrder().GetOrderId()
}

// tree waits until an order's trace has all of some spans and is one tree, and gives it, each span with its depth.
func (f *traced) tree(orderID string, want ...string) (lines []string, found *tracev1.Trace) {
	f.Helper()
	problem := ""
	f.Cleanup(func() {
		if f.Failed() {
			f.Logf("trace of %s: %s\n%s", orderID, problem, strings.Join(lines, "\n"))
		}
	})
	waittest.Until(f, "the trace of "+orderID+" is one tree, and whole", func() bool {
		answer, err := f.traces.GetTrace(f.Context(), &tracev1.GetTraceRequest{Name: orderID})
		if err != nil {
			problem = err.Error()
			return false
		}
		found = answer.GetTrace()
		lines, problem = outline(found, want)
		return problem == ""
	})
	return lines, found
}

// outline gives the spans of a trace with their depth, and what is wrong with it.
func outline(found *tracev1.Trace, want []string) (lines []string, problem string) {
	depth, roots, names := map[string]int{}, 0, map[string]bool{}
	for _, s := range found.GetSpans() { // each behind its parent
		above, known := depth[s.GetParentSpanId()]
		if !known {
			roots, above = roots+1, -1
		}
		depth[s.GetSpanId()] = above + 1
		name := s.GetService() + ": " + s.GetName()
		names[name] = true
		lines = append(lines, strings.Repeat("  ", above+1)+name)
	}
	for _, name := range want {
		if !names[name] {
			return lines, name + " is missing"
		}
	}
	if roots != 1 {
		return lines, fmt.Sprintf("%d spans have no parent in it, want one", roots)
	}
	return lines, ""
}

// forward are spans of an order that is completed, and back those of one whose payment is declined.
var (
	forward = []string{
		"orchestrator: order", "orchestrator: commit orchestrator.intake", "orchestrator: execute reserve", "inventory: inventory.Reserve",
		"orchestrator: execute authorize", "payment: payment.Authorize", "payment: POST /v1/charges", "orchestrator: execute ship",
		"shipment: shipment.Schedule", "orchestrator: execute capture", "payment: payment.Capture", "orchestrator: execute commit",
		"inventory: inventory.Commit", "orchestrator: process tieout.orchestrator.order.completed.v1",
		"reconciliation: process tieout.orchestrator.order.completed.v1",
	}
	back = []string{
		"orchestrator: order", "orchestrator: execute reserve", "orchestrator: execute authorize", "payment: payment.Authorize",
		"orchestrator: compensation_decided", "orchestrator: compensate reserve", "inventory: inventory.Release",
		"orchestrator: process tieout.inventory.reservation.released.v1", "orchestrator: process tieout.orchestrator.order.compensated.v1",
		"reconciliation: process tieout.orchestrator.order.compensated.v1",
	}
)

func TestTrace_OfAnOrderIsOneTreeWhateverIsKilled(t *testing.T) {
	f := startTraced(t)
	happy, declined := f.place(1, "pm_ok", "GB", true), f.place(2, "pm_declined", "GB", true)
	systemtest.End(t, f.orders, happy)
	lines, _ := f.tree(happy, append(forward, "client: buy", "client: tieout.order.v1.OrderService/PlaceOrder",
		"orchestrator: tieout.order.v1.OrderService/PlaceOrder")...)
	if lines[0] != "client: buy" {
		t.Errorf("the trace begins with %s, want the client's", lines[0])
	}
	f.tree(declined, append(back, "client: buy")...)

	// Nobody records this one, until it goes wrong.
	unrecorded, failed := f.place(3, "pm_ok", "GB", false), f.place(4, "pm_declined", "GB", false)
	lines, found := f.tree(failed, back...)
	if lines[0] != "orchestrator: order" || found.GetSpans()[0].GetError() == "" {
		t.Errorf("the trace begins with %s and error %q, want the order and why it failed", lines[0], found.GetSpans()[0].GetError())
	}
	systemtest.End(t, f.orders, unrecorded)
	if got, err := f.traces.GetTrace(t.Context(), &tracev1.GetTraceRequest{Name: unrecorded}); err == nil {
		t.Errorf("an order that went well has a trace although none was to be recorded: %v", got)
	}

	// Payment is away, so that orders wait, and whoever drives them is killed.
	f.running["payment"].Kill()
	resumed := []string{f.place(5, "pm_ok", "GB", true), f.place(6, "pm_500_then_ok", "GB", false), f.place(7, "pm_slow", "GB", true)}
	waittest.Until(t, "the stock is reserved", func() bool {
		got, err := f.traces.GetTrace(t.Context(), &tracev1.GetTraceRequest{Name: resumed[0]})
		return err == nil && slices.ContainsFunc(got.GetTrace().GetSpans(), func(s *tracev1.Span) bool { return s.GetName() == "execute reserve" })
	})
	f.running["orchestrator"].Kill()
	f.start("payment")
	f.start("orchestrator")
	for i, id := range resumed {
		if o := systemtest.End(t, f.orders, id); o.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
			t.Errorf("order %d ended as %s: %s", i, o.GetState(), o.GetCause())
		}
	}
	later := slices.Index(forward, "orchestrator: execute authorize")
	f.tree(resumed[0], append(forward, "client: buy")...)
	f.tree(resumed[1], append(forward[later:], "orchestrator: order", "orchestrator: execute reserve")...)
	f.tree(resumed[2], append(forward[later:], "orchestrator: order", "orchestrator: execute reserve", "client: buy")...)

	f.killWhileUnderWay("payment", "orchestrator", "inventory")
}

// killWhileUnderWay places orders and kills services meanwhile; the orders' traces are trees all the same.
func (f *traced) killWhileUnderWay(services ...string) {
	f.Helper()
	var placed []string
	var driverKilled time.Time
	for n, name := range services {
		for i := range 4 {
			placed = append(placed, f.place(100+10*n+i, []string{"pm_ok", "pm_slow", "pm_declined", "pm_ok"}[i], "GB", i < 3))
		}
		f.running[name].Kill()
		if name == "orchestrator" {
			driverKilled = time.Now()
		}
		f.start(name)
	}
	for i, id := range placed {
		o := systemtest.End(f, f.orders, id)
		if i%4 == 3 {
			continue // nobody records it, unless its driver has met something
		}
		if o.GetUpdateTime().AsTime().Before(driverKilled) {
			continue // nobody drives it again, and its driver may have been killed before it had sent its spans
		}
		f.tree(id, "orchestrator: order", "orchestrator: execute reserve", "orchestrator: execute authorize",
			"reconciliation: process tieout.orchestrator.order."+strings.ToLower(strings.TrimPrefix(o.GetState().String(), "ORDER_STATE_"))+".v1")
	}
}
