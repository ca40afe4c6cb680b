// Package e2e holds tests of the whole system, in one process, from a client's point of view.
package e2e

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type fixture struct {
	*testing.T
	world   *systemtest.World
	process *service.Process
	conn    *grpc.ClientConn
	orders  orderv1.OrderServiceClient
	stock   inventoryv1.InventoryServiceClient
}

func setup(t *testing.T, change ...func(*service.Config)) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{T: t, world: systemtest.NewWorld(t)}
	cfg := servicetest.Config()
	cfg.NATS.URL = f.world.NATS.URL()
	for _, c := range change {
		c(&cfg)
	}
	f.process = servicetest.StartWith(t, cfg, f.world.Services()...)
	f.connect()
	return f
}

func (f *fixture) connect() {
	f.conn = servicetest.Dial(f, f.process, "test")
	f.orders, f.stock = orderv1.NewOrderServiceClient(f.conn), inventoryv1.NewInventoryServiceClient(f.conn)
}

func (f *fixture) receive(sku string, quantity int32) {
	f.Helper()
	_, err := f.stock.ReceiveStock(f.Context(), &inventoryv1.ReceiveStockRequest{
		IdempotencyKey: "receive/" + sku, Lines: []*inventoryv1.StockLine{{Sku: sku, Quantity: quantity}},
	})
	if err != nil {
		f.Fatal(err)
	}
}

func request(key, method, country string, quantity int32) *orderv1.PlaceOrderRequest {
	return &orderv1.PlaceOrderRequest{
		IdempotencyKey: key, CustomerId: "customer-1", PaymentMethod: method, ShipTo: &commonv1.Address{Country: country},
		Lines: []*orderv1.OrderLine{{Sku: "MUG", Quantity: quantity, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 255}}},
	}
}

func TestOrder_EndsAsItsPaymentMethodAndCountryMakeIt(t *testing.T) {
	f := setup(t)
	f.receive("MUG", 100)
	completed, compensated := orderv1.OrderState_ORDER_STATE_COMPLETED, orderv1.OrderState_ORDER_STATE_COMPENSATED
	tests := []struct {
		method, country string
		quantity        int32
		state           orderv1.OrderState
		cause           string // a part of it
		timeline        string // the types of events of all services, without prefix and version
	}{
		{"pm_ok", "GB", 2, completed, "", "order.placed reservation.held payment.authorized shipment.scheduled payment.captured reservation.committed order.completed"},
		{"pm_slow", "GB", 1, completed, "", ""},
		{"pm_500_then_ok", "GB", 1, completed, "", ""},
		{"pm_timeout_after", "GB", 1, completed, "", ""},
		{"pm_declined", "GB", 1, compensated, "PAYMENT_DECLINED", "order.placed reservation.held payment.declined order.compensating reservation.released order.compensated"},
		{"pm_timeout_before", "GB", 1, compensated, "unknown after", ""},
		{"pm_nonsense", "GB", 1, compensated, "PAYMENT_METHOD_UNKNOWN", ""},
		{"pm_ok", "XX", 1, compensated, "CARRIER_REFUSED", "order.placed reservation.held payment.authorized shipment.refused order.compensating payment.voided reservation.released order.compensated"},
		{"pm_ok", "GB", 1000, compensated, "INSUFFICIENT_STOCK", "order.placed order.compensating order.compensated"},
	}
	var placed []string
	for i, tt := range tests {
		answer, err := f.orders.PlaceOrder(t.Context(), request(fmt.Sprintf("order-%04d", i), tt.method, tt.country, tt.quantity))
		if err != nil {
			t.Fatal(err)
		}
		placed = append(placed, answer.GetOrder().GetOrderId())
	}
	for i, tt := range tests {
		o := systemtest.End(t, f.orders, placed[i])
		if o.GetState() != tt.state || !strings.Contains(o.GetCause(), tt.cause) || (tt.cause == "") != (o.GetCause() == "") {
			t.Errorf("%s to %s, %d pieces: ended as %s because of %q, want %s because of %q",
				tt.method, tt.country, tt.quantity, o.GetState(), o.GetCause(), tt.state, tt.cause)
		}
	}
	f.world.CheckQuiet(t, f.conn)
	for i, tt := range tests {
		if got := f.timeline(placed[i]); tt.timeline != "" && got != tt.timeline {
			t.Errorf("%s to %s: timeline %q, want %q", tt.method, tt.country, got, tt.timeline)
		}
	}
}

// timeline gives what happened to an order: "payment.captured".
func (f *fixture) timeline(orderID string) string {
	f.Helper()
	answer, err := f.orders.GetOrder(f.Context(), &orderv1.GetOrderRequest{OrderId: orderID})
	if err != nil {
		f.Fatal(err)
	}
	var types []string
	for _, e := range answer.GetOrder().GetTimeline() {
		parts := strings.Split(e.GetType(), ".")
		types = append(types, parts[2]+"."+parts[3])
	}
	return strings.Join(types, " ")
}

func TestPlaceOrder_RefusesAnUnknownSKU(t *testing.T) {
	f := setup(t)
	_, err := f.orders.PlaceOrder(t.Context(), request("order-0001", "pm_ok", "GB", 1))
	rpcerrtest.Want(t, err, rpcerr.SKUUnknown, "lines[0].sku")
	list, err := f.orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{})
	if err != nil || len(list.GetOrders()) > 0 {
		t.Errorf("%d orders were stored (%v), want none", len(list.GetOrders()), err)
	}
	f.receive("MUG", 1) // the refusal is not remembered
	if _, err := f.orders.PlaceOrder(t.Context(), request("order-0001", "pm_ok", "GB", 1)); err != nil {
		t.Errorf("after the SKU was received: %v", err)
	}
}

func TestOrder_IsOneTraceThroughServicesAndEvents(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	f := setup(t, func(c *service.Config) { c.Telemetry.Processor, c.Telemetry.SampleRatio = spans, 1 })
	f.receive("MUG", 10)
	ctx, traceID := startTrace(t)
	answer, err := f.orders.PlaceOrder(ctx, request("order-0001", "pm_ok", "GB", 1))
	if err != nil {
		t.Fatal(err)
	}
	systemtest.End(t, f.orders, answer.GetOrder().GetOrderId())
	want := []string{
		"tieout.order.v1.OrderService/PlaceOrder",
		"execute reserve", "inventory.Reserve",
		"execute authorize", "payment.Authorize",
		"execute ship", "shipment.Schedule",
		"execute capture", "payment.Capture",
		"execute commit", "inventory.Commit",
		"process tieout.payment.payment.captured.v1", "process tieout.orchestrator.order.completed.v1",
	}
	missing := func() (names []string) {
		seen := map[string]bool{}
		for _, s := range spans.Ended() {
			if s.SpanContext().TraceID() == traceID {
				seen[s.Name()] = true
			}
		}
		for _, name := range want {
			if !seen[name] {
				names = append(names, name)
			}
		}
		return names
	}
	waittest.Until(t, "the trace has every span", func() bool { return len(missing()) == 0 })
}
