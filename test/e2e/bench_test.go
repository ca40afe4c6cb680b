package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/benchtest"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/test/systemtest"
)

// BenchmarkOrders tells orders per second through the whole system in one process, with their real effects: stock,
// authorizations and captures over HTTP to the simulator, ledger, shipments, events on the stream. Clients place each
// order and watch it to its end over gRPC; Postgres syncs every commit.
func BenchmarkOrders(b *testing.B) {
	for _, inFlight := range []int{1, 64, 512, 2048} {
		b.Run(fmt.Sprintf("in_flight=%d", inFlight), func(b *testing.B) { benchmarkOrders(b, inFlight, telemetry.Config{}) })
	}
}

func benchmarkOrders(b *testing.B, inFlight int, traces telemetry.Config) {
	server := pgtest.Durable(b)
	world := systemtest.NewWorldOn(b, func(s service.Service) string { return pgtest.DurableDSN(b, server, s.Name, s.Migrations...) })
	world.ProviderTimeout = 2 * time.Second
	cfg := servicetest.Config()
	cfg.NATS.URL, cfg.Telemetry = world.NATS.URL(), traces
	conn := servicetest.Dial(b, servicetest.StartWith(b, cfg, world.Services()...), "bench")
	orders, stock := orderv1.NewOrderServiceClient(conn), inventoryv1.NewInventoryServiceClient(conn)
	var lines []*inventoryv1.StockLine
	for i := range 200 {
		lines = append(lines, &inventoryv1.StockLine{Sku: fmt.Sprintf("SKU-%03d", i), Quantity: 1 << 30})
	}
	if _, err := stock.ReceiveStock(b.Context(), &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receive-all", Lines: lines}); err != nil {
		b.Fatal(err)
	}
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	benchtest.Load(b, server, "order", inFlight, func(n int64) (time.Duration, error) {
		r := request(fmt.Sprintf("order-%08d", n), "pm_ok", "GB", 1)
		r.Lines[0].Sku = lines[n%int64(len(lines))].GetSku()
		ctx := b.Context()
		if traces.SampleRatio > 0 && rand.Float64() < traces.SampleRatio {
			ctx = trace.ContextWithRemoteSpanContext(ctx, telemetry.ParseTraceparent(fmt.Sprintf("00-%032x-%016x-01", n+1, n+1)))
		}
		answer, err := orders.PlaceOrder(ctx, r)
		for rpcerr.Is(err, rpcerr.Overloaded) {
			<-again.C
			answer, err = orders.PlaceOrder(ctx, r)
		}
		if err != nil {
			return 0, err
		}
		accepted := time.Now()
		if o := systemtest.End(b, orders, answer.GetOrder().GetOrderId()); o.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
			return 0, fmt.Errorf("ended as %s: %s", o.GetState(), o.GetCause())
		}
		return time.Since(accepted), nil
	})
}

// BenchmarkTracing tells what it costs that one order in ten is traced, and that each one could turn out to be worth it: orders
// with telemetry off, and with spans sent to a collector that throws them away, in turn.
func BenchmarkTracing(b *testing.B) {
	collector := discardSpans(b)
	for round := range 4 {
		variants := []traced{{"off", telemetry.Config{}}, {"10%", telemetry.Config{OTLPEndpoint: collector.url, SampleRatio: 0.1}}}
		if round%2 > 0 { // whatever drifts speaks for neither
			slices.Reverse(variants)
		}
		for _, traces := range variants {
			b.Run(fmt.Sprintf("round=%d/traced=%s", round, traces.name), func(b *testing.B) {
				before, used := collector.bytes.Load(), processorTime(b)
				benchmarkOrders(b, 128, traces.Config)
				b.ReportMetric(float64(processorTime(b)-used)/float64(time.Millisecond)/float64(b.N), "cpu-ms/order")
				b.ReportMetric(float64(collector.bytes.Load()-before)/float64(b.N), "sent-B/order")
			})
		}
	}
}

// processorTime is how long the processors have worked for this process.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// traced is a way to be traced.
type traced struct {
	name string
	telemetry.Config
}

// sink is a collector that takes spans and forgets them.
type sink struct {
	url   string
	bytes atomic.Int64
}

func discardSpans(b *testing.B) *sink {
	b.Helper()
	s := &sink{}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var taken emptypb.Empty // what it does not know it keeps as it came
		if err := stream.RecvMsg(&taken); err != nil {
			return err
		}
		s.bytes.Add(int64(len(taken.ProtoReflect().GetUnknown())))
		return stream.SendMsg(&emptypb.Empty{})
	}))
	s.url = "http://" + nettest.ServeGRPC(b, server)
	return s
}
