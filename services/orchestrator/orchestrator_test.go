package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type fixture struct {
	*testing.T
	participants *participants
	orders       orderv1.OrderServiceClient
	sagas        sagav1.SagaServiceClient
	dsn          string
	process      *service.Process
}

// setup runs the orchestrator with fake participants; trouble may be nil.
func setup(t *testing.T, trouble func(call, key string, nth int, applied bool) error) *fixture {
	t.Helper()
	t.Parallel()
	p := newParticipants(t)
	p.trouble = trouble
	f := &fixture{T: t, participants: p, dsn: pgtest.DSN(t, Migrations()...)}
	f.process = servicetest.Start(t, append(p.services(), f.service())...)
	conn := servicetest.Dial(t, f.process, "test")
	f.orders, f.sagas = orderv1.NewOrderServiceClient(conn), sagav1.NewSagaServiceClient(conn)
	return f
}

func (f *fixture) service() service.Service {
	return service.Service{
		Name: "orchestrator", Postgres: service.Postgres{DSN: f.dsn, MaxConns: 10}, Migrations: Migrations(),
		Run: func(ctx context.Context, env *service.Env) error { return Run(ctx, env, DefaultConfig()) },
	}
}

func placeRequest(key string) *orderv1.PlaceOrderRequest {
	return &orderv1.PlaceOrderRequest{
		IdempotencyKey: key, CustomerId: "c-1", PaymentMethod: "pm_ok", ShipTo: &commonv1.Address{Country: "GB"},
		Lines: []*orderv1.OrderLine{
			{Sku: "MUG", Quantity: 2, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 255}},
			{Sku: "MUG", Quantity: 1, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 240}},
		},
	}
}

func (f *fixture) place(key string) *orderv1.Order {
	f.Helper()
	answer, err := f.orders.PlaceOrder(f.Context(), placeRequest(key))
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetOrder()
}

// end waits for an order's end and gives it with its saga.
func (f *fixture) end(orderID string) (*orderv1.Order, *sagav1.Saga) {
	f.Helper()
	stream, err := f.orders.WatchOrder(f.Context(), &orderv1.WatchOrderRequest{OrderId: orderID})
	if err != nil {
		f.Fatal(err)
	}
	var last *orderv1.Order
	for {
		answer, err := stream.Recv()
		if err != nil {
			break
		}
		if answer.GetOrder() != nil {
			last = answer.GetOrder()
		}
	}
	saga, err := f.sagas.GetSaga(f.Context(), &sagav1.GetSagaRequest{SagaId: orderID})
	if err != nil {
		f.Fatal(err)
	}
	return last, saga.GetSaga()
}

func types(s *sagav1.Saga) string {
	var names []string
	for _, e := range s.GetEvents() {
		names = append(names, strings.TrimSuffix(e.GetType()+":"+e.GetStep(), ":"))
	}
	return strings.Join(names, " ")
}

func TestPlaceOrder_DrivesEveryStepOnce(t *testing.T) {
	f := setup(t, nil)
	placed := f.place("order-0001")
	if got := placed.GetTotal().GetMinorUnits(); got != 750 {
		t.Errorf("total: got %d, want 750", got)
	}
	order, saga := f.end(placed.GetOrderId())
	if order.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
		t.Errorf("order ended as %s: %s", order.GetState(), types(saga))
	}
	if diff := cmp.Diff([]string{callReserve, callAuthorize, callSchedule, callCapture, callCommit}, f.participants.seen()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if want := "started step_done:reserve step_done:authorize step_done:ship step_done:capture step_done:commit completed"; types(saga) != want {
		t.Errorf("history: got %s, want %s", types(saga), want)
	}
}

// refuse has every call of a name refused.
func refuse(call string) func(string, string, int, bool) error {
	return func(c, _ string, _ int, applied bool) error {
		if c == call && !applied {
			return rpcerr.New(rpcerr.PaymentDeclined, "no")
		}
		return nil
	}
}

// lost has the first calls of a name under each key fail, before or after their effect.
func lost(call string, reason rpcerr.Reason, times int, after bool) func(string, string, int, bool) error {
	return func(c, _ string, nth int, applied bool) error {
		if c == call && nth <= times && applied == after {
			return rpcerr.New(reason, "lost")
		}
		return nil
	}
}

func TestSaga_Faults(t *testing.T) {
	t.Parallel()
	const done = "executed executed executed executed executed"
	tests := map[string]struct {
		trouble func(string, string, int, bool) error
		state   orderv1.OrderState
		effects string // of reserve, authorize, ship, capture, commit
	}{
		"reserve refused":                        {refuse(callReserve), orderv1.OrderState_ORDER_STATE_COMPENSATED, "    "},
		"authorize refused":                      {refuse(callAuthorize), orderv1.OrderState_ORDER_STATE_COMPENSATED, "undone    "},
		"ship refused":                           {refuse(callSchedule), orderv1.OrderState_ORDER_STATE_COMPENSATED, "undone undone   "},
		"capture refused":                        {refuse(callCapture), orderv1.OrderState_ORDER_STATE_PARKED, "executed executed executed  "},
		"commit refused":                         {refuse(callCommit), orderv1.OrderState_ORDER_STATE_PARKED, "executed executed executed executed "},
		"reserve failed, not applied":            {lost(callReserve, rpcerr.Internal, 2, false), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"reserve failed, but applied":            {lost(callReserve, rpcerr.Internal, 2, true), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"authorize failed, not applied":          {lost(callAuthorize, rpcerr.PaymentOutcomeUnknown, 2, false), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"authorize failed, but applied":          {lost(callAuthorize, rpcerr.PaymentOutcomeUnknown, 2, true), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"ship failed, not applied":               {lost(callSchedule, rpcerr.Internal, 2, false), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"ship failed, but applied":               {lost(callSchedule, rpcerr.Internal, 2, true), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"capture failed, not applied":            {lost(callCapture, rpcerr.PaymentOutcomeUnknown, 3, false), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"capture failed, but applied":            {lost(callCapture, rpcerr.PaymentOutcomeUnknown, 3, true), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"commit failed, but applied":             {lost(callCommit, rpcerr.Internal, 2, true), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"authorize not sent for a while":         {lost(callAuthorize, rpcerr.DestinationDown, 3, false), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"authorize not sent, too much to do":     {lost(callAuthorize, rpcerr.Overloaded, 3, false), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"authorize not sent, beyond a quota":     {lost(callAuthorize, rpcerr.QuotaExceeded, 2, false), orderv1.OrderState_ORDER_STATE_COMPLETED, done},
		"authorize unknown to the end, applied":  {lost(callAuthorize, rpcerr.PaymentOutcomeUnknown, 99, true), orderv1.OrderState_ORDER_STATE_COMPENSATED, "undone undone   "},
		"authorize unknown to the end, not done": {lost(callAuthorize, rpcerr.PaymentOutcomeUnknown, 99, false), orderv1.OrderState_ORDER_STATE_COMPENSATED, "undone undone   "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := setup(t, tt.trouble)
			order, saga := f.end(f.place("order-fault").GetOrderId())
			var effects []string
			for _, step := range []string{stepReserve, stepAuthorize, stepShip, stepCapture, stepCommit} {
				effects = append(effects, f.participants.effect(order.GetSagaId(), step))
			}
			if got := strings.Join(effects, " "); order.GetState() != tt.state || got != tt.effects {
				t.Errorf("got %s with effects %q, want %s with %q; history: %s", order.GetState(), got, tt.state, tt.effects, types(saga))
			}
			for _, s := range saga.GetSteps() {
				if tt.trouble != nil && strings.Contains(name, "not sent") && s.GetAttempts() != 1 {
					t.Errorf("step %s: %d attempts were counted, want the one that was sent", s.GetName(), s.GetAttempts())
				}
			}
		})
	}
}

func TestPlaceOrder_SameKeyIsOneOrder(t *testing.T) {
	f := setup(t, nil)
	first := f.place("order-0001")
	f.end(first.GetOrderId())
	var header metadata.MD
	again, err := f.orders.PlaceOrder(t.Context(), placeRequest("order-0001"), grpc.Header(&header))
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(first, again.GetOrder()) {
		t.Errorf("the replay differs:\n%s", cmp.Diff(first.String(), again.GetOrder().String()))
	}
	if got := header.Get("idempotency-replayed"); !slices.Equal(got, []string{"true"}) {
		t.Errorf("header idempotency-replayed: got %v", got)
	}
	other := placeRequest("order-0001")
	other.PaymentMethod, other.Lines[1].Quantity = "pm_other", 5
	_, err = f.orders.PlaceOrder(t.Context(), other)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "lines", "payment_method")
}

func TestPlaceOrder_RefusesBadInputAndStoresNothing(t *testing.T) {
	f := setup(t, nil)
	price := func(currency string, minor int64) *commonv1.Amount {
		return &commonv1.Amount{CurrencyCode: currency, MinorUnits: minor}
	}
	many := make([]*orderv1.OrderLine, 10_000)
	for i := range many {
		many[i] = &orderv1.OrderLine{Sku: "MUG", Quantity: 1, UnitPrice: price("GBP", 1)}
	}
	tests := map[string]struct {
		change func(*orderv1.PlaceOrderRequest)
		reason rpcerr.Reason
		field  string
	}{
		"no key":           {func(r *orderv1.PlaceOrderRequest) { r.IdempotencyKey = "" }, rpcerr.IdempotencyKeyMissing, "idempotency_key"},
		"short key":        {func(r *orderv1.PlaceOrderRequest) { r.IdempotencyKey = "short" }, rpcerr.IdempotencyKeyInvalid, "idempotency_key"},
		"no customer":      {func(r *orderv1.PlaceOrderRequest) { r.CustomerId = "" }, rpcerr.RequestInvalid, "customer_id"},
		"no lines":         {func(r *orderv1.PlaceOrderRequest) { r.Lines = nil }, rpcerr.RequestInvalid, "lines"},
		"10,000 lines":     {func(r *orderv1.PlaceOrderRequest) { r.Lines = many }, rpcerr.RequestInvalid, "lines"},
		"no country":       {func(r *orderv1.PlaceOrderRequest) { r.ShipTo.Country = "" }, rpcerr.RequestInvalid, "ship_to.country"},
		"no address":       {func(r *orderv1.PlaceOrderRequest) { r.ShipTo = nil }, rpcerr.RequestInvalid, "ship_to"},
		"zero quantity":    {func(r *orderv1.PlaceOrderRequest) { r.Lines[1].Quantity = 0 }, rpcerr.RequestInvalid, "lines[1].quantity"},
		"no price":         {func(r *orderv1.PlaceOrderRequest) { r.Lines[1].UnitPrice = nil }, rpcerr.RequestInvalid, "lines[1].unit_price"},
		"zero price":       {func(r *orderv1.PlaceOrderRequest) { r.Lines[1].UnitPrice = price("GBP", 0) }, rpcerr.AmountNotPositive, "lines[1].unit_price.minor_units"},
		"negative price":   {func(r *orderv1.PlaceOrderRequest) { r.Lines[1].UnitPrice = price("GBP", -1) }, rpcerr.AmountNotPositive, "lines[1].unit_price.minor_units"},
		"overflowing line": {func(r *orderv1.PlaceOrderRequest) { r.Lines[0].UnitPrice = price("GBP", 1<<62) }, rpcerr.AmountOverflow, "lines[0].unit_price.minor_units"},
		"overflowing total": {func(r *orderv1.PlaceOrderRequest) {
			r.Lines[0].UnitPrice, r.Lines[1].UnitPrice = price("GBP", 1<<61), price("GBP", 1<<62)
		}, rpcerr.AmountOverflow, "lines[1].unit_price.minor_units"},
		"mixed currencies": {func(r *orderv1.PlaceOrderRequest) { r.Lines[1].UnitPrice = price("EUR", 1) }, rpcerr.MixedCurrencies, "lines[1].unit_price.currency_code"},
		"unknown currency": {func(r *orderv1.PlaceOrderRequest) { r.Lines[0].UnitPrice = price("XTS", 1) }, rpcerr.CurrencyUnknown, "lines[0].unit_price.currency_code"},
	}
	for name, tt := range tests {
		r := placeRequest("order-bad-input")
		tt.change(r)
		_, err := f.orders.PlaceOrder(t.Context(), r)
		e, _ := rpcerr.FromError(err)
		if e == nil || e.Reason != tt.reason || len(e.Fields) == 0 || e.Fields[0].Path != tt.field {
			t.Errorf("%s: got %+v (%v), want %s at %s", name, e, err, tt.reason, tt.field)
		}
	}
	list, err := f.orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{})
	if err != nil || len(list.GetOrders()) != 0 {
		t.Errorf("stored %d orders (%v), want none", len(list.GetOrders()), err)
	}
}

func TestCancelOrder_CompensatesBeforeThePivotAndIsRefusedAfter(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	f := setup(t, func(call, _ string, _ int, applied bool) error {
		if call == callAuthorize && applied && once.CompareAndSwap(false, true) {
			close(asked)
			<-release
		}
		return nil
	})
	placed := f.place("order-0001")
	<-asked
	cancelled, err := f.orders.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{
		IdempotencyKey: "cancel-0001", OrderId: placed.GetOrderId(), Reason: "changed my mind",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := cancelled.GetOrder().GetState(); got != orderv1.OrderState_ORDER_STATE_COMPENSATING {
		t.Errorf("after cancelling: %s", got)
	}
	close(release) // the authorization succeeds after the decision
	order, saga := f.end(placed.GetOrderId())
	if order.GetState() != orderv1.OrderState_ORDER_STATE_COMPENSATED || f.participants.effect(order.GetSagaId(), stepAuthorize) != "undone" {
		t.Errorf("ended as %s with authorization %q: %s", order.GetState(), f.participants.effect(order.GetSagaId(), stepAuthorize), types(saga))
	}
	finished := f.place("order-0002")
	f.end(finished.GetOrderId())
	_, err = f.orders.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{IdempotencyKey: "cancel-0002", OrderId: finished.GetOrderId()})
	if !rpcerr.Is(err, rpcerr.OrderNotCancellable) {
		t.Errorf("cancelling a completed order: got %v", err)
	}
}

func TestEngine_AnotherReplicaTakesOver(t *testing.T) {
	blocked := make(chan struct{})
	f := setup(t, func(call, _ string, nth int, applied bool) error {
		if call == callAuthorize && nth == 1 && applied {
			close(blocked)
			return rpcerr.New(rpcerr.Internal, "the answer is lost with the replica")
		}
		return nil
	})
	standby := servicetest.Start(t, append(f.participants.services(), f.service())...)
	taken := orderv1.NewOrderServiceClient(servicetest.Dial(t, standby, "test"))
	answer, err := taken.PlaceOrder(t.Context(), placeRequest("order-0001")) // taken in where nothing is driven
	if err != nil {
		t.Fatal(err)
	}
	<-blocked
	order, saga := f.end(answer.GetOrder().GetOrderId())
	if order.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
		t.Errorf("ended as %s: %s", order.GetState(), types(saga))
	}
}

// An orderly stop in the middle of everything leaves nothing in doubt: what was under way is simply asked again.
func TestEngine_HandsOverAtAnOrderlyStop(t *testing.T) {
	t.Parallel()
	f := &fixture{T: t, participants: newParticipants(t), dsn: pgtest.DSN(t, Migrations()...)}
	cfg := servicetest.Config()
	cfg.NATS.URL = bustest.Server(t).URL()
	var asked atomic.Int64
	reached := make(chan struct{})
	f.participants.trouble = func(call, _ string, _ int, applied bool) error {
		if call == callAuthorize && !applied && asked.Add(1) == 20 {
			close(reached)
		}
		return nil
	}
	services := func() []service.Service {
		all := append(f.participants.services(), f.service())
		for i := range all {
			if all[i].Postgres.DSN == "" {
				all[i].Postgres.DSN = f.dsn // the fakes keep nothing
			}
		}
		return all
	}
	first, err := service.Start(t.Context(), cfg, t.Output(), services()...)
	if err != nil {
		t.Fatal(err)
	}
	f.orders = orderv1.NewOrderServiceClient(servicetest.Dial(t, first, "test"))
	var placed []string
	for i := range 60 {
		placed = append(placed, f.place(fmt.Sprintf("order-%04d", i)).GetOrderId())
	}
	<-reached
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	conn := servicetest.Dial(t, servicetest.StartWith(t, cfg, services()...), "test")
	f.orders, f.sagas = orderv1.NewOrderServiceClient(conn), sagav1.NewSagaServiceClient(conn)
	for _, orderID := range placed {
		order, saga := f.end(orderID)
		if order.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED || strings.Contains(types(saga), "unknown") {
			t.Errorf("ended as %s: %s", order.GetState(), types(saga))
		}
	}
}

func TestListOrders_PagesNewestFirst(t *testing.T) {
	f := setup(t, nil)
	var want []string
	for i := range 5 {
		want = append(want, f.place(fmt.Sprintf("order-%04d", i)).GetOrderId())
	}
	slices.Reverse(want)
	var got []string
	for token := ""; ; {
		page, err := f.orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.GetOrders() {
			got = append(got, o.GetOrderId())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := f.orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{PageToken: "%%%"}); !rpcerr.Is(err, rpcerr.RequestInvalid) {
		t.Errorf("bad page token: got %v", err)
	}
}
