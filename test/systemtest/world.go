package systemtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	buslocal "github.com/tieout/tieout/pkg/bus/local"

	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/billing"
	"github.com/tieout/tieout/services/inventory"
	"github.com/tieout/tieout/services/orchestrator"
	"github.com/tieout/tieout/services/payment"
	"github.com/tieout/tieout/services/payment/pspsim"
	"github.com/tieout/tieout/services/reconciliation"
	"github.com/tieout/tieout/services/shipment"
)

// ProviderTimeout is how long the payment service waits for the provider in these tests: short, for many orders
// are paid with methods that never answer.
const ProviderTimeout = 300 * time.Millisecond

// World is what services live in.
type World struct {
	NATS *buslocal.Server
	PSP  *pspsim.Server
	// ProviderTimeout is how long the payment service waits for the provider.
	ProviderTimeout time.Duration
	// TieOut is when orders are tied out.
	TieOut reconciliation.TieOutConfig
	// DSN and Pool lead to each service's database.
	DSN  map[string]string
	Pool map[string]*pgxpool.Pool
}

// NewWorld makes a world that lasts until the test ends. The test binary's TestMain must be pgtest.Main.
func NewWorld(t testing.TB) *World {
	t.Helper()
	return NewWorldOn(t, func(s service.Service) string { return pgtest.DSN(t, s.Migrations...) })
}

// NewWorldOn is NewWorld with databases of the caller's making.
func NewWorldOn(t testing.TB, dsn func(service.Service) string) *World {
	t.Helper()
	psp, err := pspsim.Start(context.WithoutCancel(t.Context()), pspsim.Options{SlowDelay: ProviderTimeout / 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = psp.Close(context.Background()) })
	w := &World{NATS: bustest.Server(t), PSP: psp, ProviderTimeout: ProviderTimeout, TieOut: reconciliation.DefaultConfig().TieOut, DSN: map[string]string{}, Pool: map[string]*pgxpool.Pool{}}
	for _, s := range w.Services() {
		w.DSN[s.Name] = dsn(s)
		pool, err := pg.Open(t.Context(), pg.Config{DSN: w.DSN[s.Name], MaxConns: 4, ApplicationName: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		w.Pool[s.Name] = pool
	}
	return w
}

// webhookSecret is what the provider signs with.
const webhookSecret = "the webhooks of the world are signed with this"

// SendWebhooks has the provider tell the payment service, in a process, of what happens from now on.
func (w *World) SendWebhooks(p *service.Process) {
	w.PSP.SetWebhooks(pspsim.Webhooks{URL: "http://" + p.HTTPAddr() + payment.WebhookPath, Secret: webhookSecret})
}

// Services are all services of the system, in this world.
func (w *World) Services() []service.Service {
	order, stock, pay, ship := orchestrator.DefaultConfig(), inventory.DefaultConfig(), payment.DefaultConfig(), shipment.DefaultConfig()
	bill, recon := billing.DefaultConfig(), reconciliation.DefaultConfig()
	recon.TieOut = w.TieOut
	psp := &pay.Provider.PSP
	psp.URL, psp.Timeout, psp.NotFoundLag = w.PSP.URL(), w.ProviderTimeout, w.ProviderTimeout
	psp.Webhook.Secret = webhookSecret
	all := []service.Service{
		{Name: "inventory", Postgres: stock.Postgres, Migrations: inventory.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return inventory.Run(ctx, env, stock) }},
		{Name: "payment", Postgres: pay.Postgres, Migrations: payment.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return payment.Run(ctx, env, pay) }},
		{Name: "shipment", Postgres: ship.Postgres, Migrations: shipment.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return shipment.Run(ctx, env, ship) }},
		{Name: "orchestrator", Postgres: order.Postgres, Migrations: orchestrator.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return orchestrator.Run(ctx, env, order) }},
		{Name: "billing", Postgres: bill.Postgres, Migrations: billing.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return billing.Run(ctx, env, bill) }},
		{Name: "reconciliation", Postgres: recon.Postgres, Migrations: reconciliation.Migrations(),
			Run: func(ctx context.Context, env *service.Env) error { return reconciliation.Run(ctx, env, recon) }},
	}
	for i := range all {
		all[i].Postgres.DSN = w.DSN[all[i].Name]
	}
	return all
}

// End waits until an order is at rest and gives it. It watches again when a watch breaks, as a client would.
func End(t testing.TB, orders orderv1.OrderServiceClient, orderID string) *orderv1.Order {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for {
		last, err := watch(ctx, orders, orderID)
		switch {
		case AtRest(last):
			return last
		case ctx.Err() != nil:
			t.Errorf("order %s does not end; at last %s: %v", orderID, last.GetState(), err)
			return last
		}
	}
}

func watch(ctx context.Context, orders orderv1.OrderServiceClient, orderID string) (last *orderv1.Order, err error) {
	stream, err := orders.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: orderID})
	for err == nil {
		var answer *orderv1.WatchOrderResponse
		if answer, err = stream.Recv(); answer.GetOrder() != nil {
			last = answer.GetOrder()
		}
	}
	return last, err
}

// AtRest tells whether an order has ended, or waits for an operator.
func AtRest(o *orderv1.Order) bool {
	switch o.GetState() {
	case orderv1.OrderState_ORDER_STATE_COMPLETED, orderv1.OrderState_ORDER_STATE_COMPENSATED, orderv1.OrderState_ORDER_STATE_PARKED:
		return true
	}
	return false
}
