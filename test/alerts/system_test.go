package alerts

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/test/systemtest"
)

// system is what is hurt. Only one of dev and split is there.
type system struct {
	binary  string
	targets []string // host:port of what is scraped
	stock   inventoryv1.InventoryServiceClient
	orders  orderv1.OrderServiceClient
	psp     string // URL

	dev      *systemtest.Dev
	split    *systemtest.Split
	postgres *pgtest.Stoppable
	nats     *bustest.Stoppable

	placed atomic.Int64
}

// startDev starts `tieout dev`.
func startDev(t *testing.T, binary string) *system { return startDevBehind(t, binary) }

// startNarrowDev starts one that lets one new order in at a time.
func startNarrowDev(t *testing.T, binary string) *system {
	return startDevBehind(t, binary, "env", "TIEOUT_CALL_LIMIT_INITIAL=1", "TIEOUT_CALL_LIMIT_MIN=1", "TIEOUT_CALL_LIMIT_MAX=1")
}

func startDevBehind(t *testing.T, binary string, behind ...string) *system {
	t.Helper()
	d := systemtest.StartDev(t, binary, behind...)
	metrics, err := url.Parse(d.Ready.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	conn := servicetest.DialAddr(t, d.Ready.GRPC, "load")
	return &system{
		binary: binary, dev: d, targets: []string{metrics.Host}, psp: d.Ready.PSP,
		stock: inventoryv1.NewInventoryServiceClient(conn), orders: orderv1.NewOrderServiceClient(conn),
	}
}

// startSplit starts each service in a process of its own, on a Postgres and a NATS that can be stopped.
func startSplit(t *testing.T, binary string) *system {
	t.Helper()
	s := &system{binary: binary, postgres: pgtest.NewStoppable(t), nats: bustest.NewStoppable(t)}
	world := systemtest.NewWorldOn(t, func(svc service.Service) string { return s.postgres.DSN(t, svc.Name, svc.Migrations...) })
	world.NATS.Shutdown()
	world.NATS = s.nats.Server
	s.split = world.SplitOf(t, binary, t.Output())
	for name := range s.split.HTTPAddrs() {
		s.split.Start(t, name)
		t.Cleanup(s.split.Process(name).Kill)
	}
	s.targets = slices.Sorted(maps.Values(s.split.HTTPAddrs()))
	s.psp = world.PSP.URL()
	s.stock = inventoryv1.NewInventoryServiceClient(s.split.Dial(t, "inventory"))
	s.orders = orderv1.NewOrderServiceClient(s.split.Dial(t, "orchestrator"))
	return s
}

// receive receives stock for all orders.
func (s *system) receive(t *testing.T) {
	t.Helper()
	request := &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receive-all", Lines: []*inventoryv1.StockLine{{Sku: "MUG", Quantity: 1_000_000}}}
	if _, err := s.stock.ReceiveStock(t.Context(), request, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
}

// place places an order of 12.50 GBP.
func (s *system) place(ctx context.Context, method string) (*orderv1.Order, error) {
	answer, err := s.orders.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		IdempotencyKey: fmt.Sprintf("alerts-%06d", s.placed.Add(1)), CustomerId: "load", PaymentMethod: method, ShipTo: &commonv1.Address{Country: "GB"},
		Lines: []*orderv1.OrderLine{{Sku: "MUG", Quantity: 1, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 1250}}},
	}, grpc.WaitForReady(true))
	return answer.GetOrder(), err
}

// trickle places four orders a second until the test ends, whatever comes of them.
func (s *system) trickle(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			one, end := context.WithTimeout(ctx, 5*time.Second)
			_, _ = s.place(one, "pm_ok")
			end()
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// tieout runs the command line against the system, as an operator would. What it found does not matter here (8, 7).
func (s *system) tieout(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.binary, args...)
	cmd.Env = append(os.Environ(), "TIEOUT_ADDR="+s.dev.Ready.GRPC)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); err != nil && code != 8 && code != 7 {
		t.Fatalf("tieout %v: %v\n%s%s", args, err, out, stderr.String())
	}
	return string(out)
}
