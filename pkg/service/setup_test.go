package service_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// noNATS is an address where no NATS answers: most of these tests need none.
const noNATS = "nats://127.0.0.1:1"

func quietConfig() service.Config {
	cfg := servicetest.Config()
	cfg.NATS.URL = noNATS
	return cfg
}

// warehouse is an inventory service that answers GetStock.
type warehouse struct {
	inventoryv1.UnimplementedInventoryServiceServer
	getStock func(context.Context, string) error
}

func (w warehouse) GetStock(ctx context.Context, r *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
	if err := w.getStock(ctx, r.GetSku()); err != nil {
		return nil, err
	}
	return &inventoryv1.GetStockResponse{Stock: &inventoryv1.Stock{Sku: r.GetSku()}}, nil
}

// inventoryService is a service whose GetStock is what the function says, and whose wiring runs the others.
func inventoryService(getStock func(context.Context, string) error, wiring ...func(*service.Env) error) service.Service {
	return service.Service{Name: "inventory", Run: func(_ context.Context, env *service.Env) error {
		inventoryv1.RegisterInventoryServiceServer(env.GRPC, warehouse{getStock: getStock})
		for _, wire := range wiring {
			if err := wire(env); err != nil {
				return err
			}
		}
		return nil
	}}
}

func answer(context.Context, string) error { return nil }

// clerk is an order service that asks inventory for the stock of a SKU named as the order.
type clerk struct {
	orderv1.UnimplementedOrderServiceServer
	inventory inventoryv1.InventoryServiceClient
}

func (c clerk) GetOrder(ctx context.Context, r *orderv1.GetOrderRequest) (*orderv1.GetOrderResponse, error) {
	_, err := c.inventory.GetStock(ctx, &inventoryv1.GetStockRequest{Sku: r.GetOrderId()})
	return &orderv1.GetOrderResponse{Order: &orderv1.Order{OrderId: r.GetOrderId()}}, err
}

// orderService reaches inventory at an address, or in memory.
func orderService(inventoryAddr string) service.Service {
	return service.Service{Name: "orchestrator", Run: func(_ context.Context, env *service.Env) error {
		conn, err := env.Dial("inventory", inventoryAddr)
		if err != nil {
			return err
		}
		orderv1.RegisterOrderServiceServer(env.GRPC, clerk{inventory: inventoryv1.NewInventoryServiceClient(conn)})
		return nil
	}}
}

func getOrder(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := orderv1.NewOrderServiceClient(conn).GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: "ord_1"})
	return err
}

func getStock(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := inventoryv1.NewInventoryServiceClient(conn).GetStock(ctx, &inventoryv1.GetStockRequest{Sku: "A1"})
	return err
}

// start starts a process that the test itself stops, if it starts at all.
func start(t *testing.T, cfg service.Config, services ...service.Service) (*service.Process, error) {
	t.Helper()
	for i := range services {
		if services[i].Postgres.DSN == "" {
			services[i].Postgres.DSN = pgtest.DSN(t)
		}
	}
	return service.Start(t.Context(), cfg, t.Output(), services...)
}

func mustStart(t *testing.T, cfg service.Config, services ...service.Service) *service.Process {
	t.Helper()
	p, err := start(t, cfg, services...)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	return p
}

func stop(t *testing.T, p *service.Process) {
	t.Helper()
	if err := p.Stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// get asks over HTTP.
func get(t *testing.T, p *service.Process, path string, header ...string) (status int, contentType, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.HTTPAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(text)
}

func healthOf(t *testing.T, conn *grpc.ClientConn, name string) healthv1.HealthCheckResponse_ServingStatus {
	t.Helper()
	resp, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
	if err != nil {
		t.Fatalf("health of %q: %v", name, err)
	}
	return resp.GetStatus()
}
