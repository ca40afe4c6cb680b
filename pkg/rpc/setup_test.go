package rpc_test

import (
	"context"
	"log/slog"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/telemetry"
)

// warehouse is an inventory whose answers a test gives; what is not set fails.
type warehouse struct {
	inventoryv1.UnimplementedInventoryServiceServer
	getStock func(context.Context, *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error)
	reserve  func(context.Context, *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error)
}

func (w *warehouse) GetStock(ctx context.Context, r *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
	return w.getStock(ctx, r)
}

func (w *warehouse) Reserve(ctx context.Context, r *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
	return w.reserve(ctx, r)
}

// orders is an order service with one method, a stream.
type orders struct {
	orderv1.UnimplementedOrderServiceServer
	watch func(*orderv1.WatchOrderRequest, grpc.ServerStreamingServer[orderv1.WatchOrderResponse]) error
}

func (o *orders) WatchOrder(r *orderv1.WatchOrderRequest, s grpc.ServerStreamingServer[orderv1.WatchOrderResponse]) error {
	return o.watch(r, s)
}

// fixture is a server on a loopback listener.
type fixture struct {
	*testing.T
	server *rpc.Server
	addr   string
	log    *logtest.Book
	tel    *telemetry.Telemetry
}

func setup(t *testing.T, w *warehouse, o *orders) fixture {
	t.Helper()
	f := fixture{T: t, log: &logtest.Book{}, tel: newTelemetry(t)}
	f.server = newServer(t, f.log)
	inventoryv1.RegisterInventoryServiceServer(f.server, w)
	orderv1.RegisterOrderServiceServer(f.server, o)
	f.addr = nettest.ServeGRPC(t, f.server.Server)
	return f
}

func newTelemetry(t *testing.T) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func newServer(t *testing.T, log *logtest.Book) *rpc.Server {
	t.Helper()
	tel := newTelemetry(t)
	s, err := rpc.NewServer(rpc.ServerConfig{
		Log: telemetry.NewLogger(log, slog.LevelDebug), Telemetry: tel, Tracers: tel.Tracers("test"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dial connects with the client of the system.
func (f fixture) dial(change func(*rpc.ClientConfig)) *grpc.ClientConn {
	f.Helper()
	cfg := rpc.ClientConfig{
		Caller: "orchestrator", Destination: "inventory", Target: f.addr, Telemetry: f.tel, Tracers: f.tel.Tracers("client"),
	}
	if change != nil {
		change(&cfg)
	}
	conn, err := rpc.Dial(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { conn.Close() })
	return conn
}

func (f fixture) inventory() inventoryv1.InventoryServiceClient {
	f.Helper()
	return inventoryv1.NewInventoryServiceClient(f.dial(nil))
}

// stranger connects as a client that is not of the system: no caller, no default deadline.
func (f fixture) stranger() *grpc.ClientConn {
	f.Helper()
	conn, err := grpc.NewClient(f.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { conn.Close() })
	return conn
}

// passThrough sends and receives bytes as they are.
type passThrough struct{}

var _ encoding.CodecV2 = passThrough{}

func (passThrough) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (passThrough) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (passThrough) Name() string { return "proto" }
