package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/pspsim"
	"github.com/tieout/tieout/test/systemtest"
)

// load is a small load of everything that the system does, and of what goes wrong with it. It knows the system by its addresses
// only.
type load struct {
	testing.TB
	conn      *grpc.ClientConn
	psp, rest string // URLs
	orders    orderv1.OrderServiceClient
	// name tells the loads of one system apart: it is part of all keys, ids and SKUs.
	name string
}

func newLoad(t testing.TB, conn *grpc.ClientConn, psp, rest, name string) *load {
	return &load{TB: t, conn: conn, psp: psp, rest: rest, orders: orderv1.NewOrderServiceClient(conn), name: name}
}

// run makes things happen, each way that they can end: orders that complete, turn back, are parked and stay in doubt; a batch that
// ends and one that is paused; a report of the provider with rows that are wrong, and a run that finds them.
func (l *load) run() {
	l.Helper()
	for _, fault := range []string{
		`{"fault": "error_before", "op": "capture", "payment_method": "pm_slow"}`,
		`{"fault": "error_before", "op": "capture", "payment_method": "pm_drip"}`,
		`{"fault": "error_before", "op": "capture", "payment_method": "pm_drip", "lookup": true}`,
	} {
		l.http(http.MethodPost, l.psp+"/admin/faults", fault, nil)
	}
	_, err := inventoryv1.NewInventoryServiceClient(l.conn).ReceiveStock(l.Context(), &inventoryv1.ReceiveStockRequest{
		IdempotencyKey: "receive/" + l.name, Lines: []*inventoryv1.StockLine{{Sku: l.sku(), Quantity: 1000}},
	})
	l.must(err, "receiving stock")
	for i, method := range []string{"pm_ok", "pm_declined", "pm_ok", "pm_500_after"} {
		systemtest.End(l, l.orders, l.order(i, method, "GB"))
	}
	systemtest.End(l, l.orders, l.order(10, "pm_ok", "XX"))
	l.inDoubt(l.order(11, "pm_drip", "GB"))
	l.park(l.order(12, "pm_slow", "GB"))
	l.placeREST()
	l.strange()
	l.batches()
	l.reconcile()
}

func (l *load) must(err error, what string) {
	l.Helper()
	if err != nil {
		l.Fatalf("%s: %v", what, err)
	}
}

func (l *load) sku() string { return "MUG-" + strings.ToUpper(l.name) }

func (l *load) order(n int, method, country string) (orderID string) {
	l.Helper()
	answer, err := l.orders.PlaceOrder(l.Context(), &orderv1.PlaceOrderRequest{
		IdempotencyKey: fmt.Sprintf("order/%s/%04d", l.name, n), CustomerId: "c-" + l.name, PaymentMethod: method,
		ShipTo: &commonv1.Address{Country: country},
		Lines:  []*orderv1.OrderLine{{Sku: l.sku(), Quantity: 2, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 255}}},
	})
	l.must(err, "placing an order")
	return answer.GetOrder().GetOrderId()
}

// inDoubt waits until nobody knows what became of an order's payment, which it gives.
func (l *load) inDoubt(orderID string) (paymentID string) {
	l.Helper()
	payments := paymentv1.NewPaymentServiceClient(l.conn)
	waittest.Until(l, "the payment of an order is in doubt", func() bool {
		found, err := payments.ListPayments(l.Context(), &paymentv1.ListPaymentsRequest{Reference: orderID, InDoubt: true})
		if err == nil && len(found.GetPayments()) == 1 {
			paymentID = found.GetPayments()[0].GetPaymentId()
		}
		return paymentID != ""
	})
	return paymentID
}

// park releases the money that is to be captured for an order, behind its back: what is shipped cannot be paid any more.
func (l *load) park(orderID string) {
	l.Helper()
	paymentID, payments := l.inDoubt(orderID), paymentv1.NewPaymentServiceClient(l.conn)
	waittest.Until(l, "the authorization of an order is voided", func() bool {
		_, err := payments.VoidPayment(l.Context(), &paymentv1.VoidPaymentRequest{
			IdempotencyKey: "void/" + l.name, PaymentId: paymentID, Reason: "so that an order is parked",
		})
		return err == nil
	})
	if o := systemtest.End(l, l.orders, orderID); o.GetState() != orderv1.OrderState_ORDER_STATE_PARKED {
		l.Errorf("order %s is %s", orderID, o.GetState())
	}
}

func (l *load) placeREST() {
	l.Helper()
	body := fmt.Sprintf(`{"customer_id":"c-1","payment_method":"pm_ok","ship_to":{"country":"GB"},
"lines":[{"sku":%q,"quantity":1,"unit_price":{"currency_code":"GBP","minor_units":"255"}}]}`, l.sku())
	l.http(http.MethodPost, l.rest+"/v1/orders", body, nil, "Idempotency-Key", "rest/order/"+l.name)
}

// strange calls what there is not, and under names that nobody has heard of.
func (l *load) strange() {
	for _, method := range []string{"/no." + l.name + "/Method", "/tieout.order.v1.OrderService/Place" + l.name, "/grpc.health.v1.Health/" + l.name} {
		if err := l.conn.Invoke(l.Context(), method, &orderv1.GetOrderRequest{}, &orderv1.GetOrderResponse{}); err == nil {
			l.Errorf("%s was answered", method)
		}
	}
	if _, err := l.orders.GetOrder(l.Context(), &orderv1.GetOrderRequest{OrderId: "ord_" + l.name}); err == nil {
		l.Errorf("an order was found that there is not")
	}
}

func (l *load) batches() {
	l.Helper()
	batches := billingv1.NewBatchServiceClient(l.conn)
	begin := func(name string, items int, method string) string {
		file := systemtest.PaymentFile(items, func(i int) string {
			if i == 1 {
				return "pm_declined"
			}
			return method
		})
		planned, err := systemtest.Upload(l.Context(), batches, "upload/"+l.name+name, &billingv1.BatchHeader{Name: name, ProviderAccount: name},
			strings.ReplaceAll(file, "INV-", l.name+name))
		l.must(err, "uploading a batch")
		_, err = batches.StartBatch(l.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start/" + l.name + name, BatchId: planned.GetBatchId()})
		l.must(err, "starting a batch")
		return planned.GetBatchId()
	}
	systemtest.EndBatch(l, batches, begin("ends", 5, "pm_ok"), time.Minute)
	_, err := batches.PauseBatch(l.Context(), &billingv1.PauseBatchRequest{
		IdempotencyKey: "pause/" + l.name, BatchId: begin("stays", 1500, "pm_ok"), Reason: "so that there is a batch under way",
	})
	l.must(err, "pausing a batch")
}

// reconcile imports what the provider says, with two rows that are wrong, and compares.
func (l *load) reconcile() {
	l.Helper()
	runs, statements := reconciliationv1.NewReconciliationServiceClient(l.conn), reconciliationv1.NewStatementServiceClient(l.conn)
	var report pspsim.Settlement
	l.http(http.MethodGet, l.psp+"/v1/settlement?format=stripe-csv&plant=2&seed=1", "", &report)
	stream, err := statements.ImportStatement(l.Context())
	l.must(err, "importing a statement")
	l.must(stream.Send(&reconciliationv1.ImportStatementRequest{
		IdempotencyKey: "import/" + l.name, Part: &reconciliationv1.ImportStatementRequest_Header{Header: &reconciliationv1.StatementHeader{Name: l.name}},
	}), "importing a statement")
	l.must(stream.Send(&reconciliationv1.ImportStatementRequest{
		Part: &reconciliationv1.ImportStatementRequest_Chunk{Chunk: []byte(report.Content)}}), "importing a statement")
	_, err = stream.CloseAndRecv()
	l.must(err, "importing a statement")
	waittest.Until(l, "a run has finished", func() bool {
		begun, err := runs.RunReconciliation(l.Context(), &reconciliationv1.RunReconciliationRequest{
			IdempotencyKey: fmt.Sprintf("run/%s/%d", l.name, time.Now().UnixNano()), AsOf: time.Now().AddDate(0, 0, 3).Format(time.DateOnly),
		})
		if err != nil {
			return false // one is under way
		}
		watch, err := runs.WatchRun(l.Context(), &reconciliationv1.WatchRunRequest{RunId: begun.GetRun().GetRunId()})
		for err == nil {
			var told *reconciliationv1.WatchRunResponse
			if told, err = watch.Recv(); told.GetRun().GetEndTime() != nil {
				return true
			}
		}
		return false
	})
}

// http makes a request and reads its answer into to, if that is wanted.
func (l *load) http(method, url, body string, to any, header ...string) {
	l.Helper()
	raw, err := request(l.Context(), method, url, body, header...)
	l.must(err, url)
	if to != nil {
		l.must(json.Unmarshal(raw, to), url)
	}
}

func request(ctx context.Context, method, url, body string, header ...string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", answer.Status, raw)
	}
	return raw, err
}
