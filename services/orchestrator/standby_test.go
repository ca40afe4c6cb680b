package orchestrator

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	buslocal "github.com/tieout/tieout/pkg/bus/local"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

// outage is a fixture whose database and NATS can be taken away.
type outage struct {
	*fixture
	postgres *pgtest.Stoppable
	nats     *buslocal.Server
}

func setupOutage(t *testing.T) *outage {
	t.Helper()
	t.Parallel()
	f := &outage{fixture: &fixture{T: t, participants: newParticipants(t)}, postgres: pgtest.NewStoppable(t), nats: bustest.Server(t)}
	f.dsn = f.postgres.DSN(t, "orchestrator", Migrations()...)
	cfg := servicetest.Config()
	cfg.NATS.URL = f.nats.URL()
	var o *orchestrator
	f.process = servicetest.StartWith(t, cfg, f.participants.with(f.dsn, &o, orderSagas...)...)
	conn := servicetest.Dial(t, f.process, "test")
	f.orders, f.sagas = orderv1.NewOrderServiceClient(conn), sagav1.NewSagaServiceClient(conn)
	js := bustest.Connect(t, f.nats)
	waittest.Until(t, "the intake stream is there", func() bool {
		_, err := js.Stream(t.Context(), intakeStream)
		return err == nil
	})
	return f
}

func (f *outage) get(orderID string) (*orderv1.Order, error) {
	answer, err := f.orders.GetOrder(f.Context(), &orderv1.GetOrderRequest{OrderId: orderID})
	return answer.GetOrder(), err
}

// ends waits until an order has ended, through an outage of whatever length.
func (f *outage) ends(orderID string) (last *orderv1.Order) {
	f.Helper()
	waittest.Until(f, "order "+orderID+" ends", func() bool {
		got, err := f.get(orderID)
		last = got
		return err == nil && got.GetState() == orderv1.OrderState_ORDER_STATE_COMPLETED
	})
	return last
}

// watch watches an order that waits, and gives what follows it to its end.
func (f *outage) watch(orderID string) (toItsEnd func() *orderv1.Order) {
	f.Helper()
	stream, err := f.orders.WatchOrder(f.Context(), &orderv1.WatchOrderRequest{OrderId: orderID})
	if err != nil {
		f.Fatal(err)
	}
	if seen, err := stream.Recv(); err != nil || seen.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_QUEUED {
		f.Errorf("watched while it waits: %v, %v", seen, err)
	}
	return func() (last *orderv1.Order) {
		for {
			seen, err := stream.Recv()
			if seen.GetOrder() != nil {
				last = seen.GetOrder()
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					f.Errorf("watched to its end: %v", err)
				}
				return last
			}
		}
	}
}

func TestPlace_GoesOnWithoutTheDatabase(t *testing.T) {
	f := setupOutage(t)
	before := f.place("before-0001")
	f.ends(before.GetOrderId())

	f.postgres.Stop(t)
	placed := map[string]string{}
	for i := range 20 {
		key := fmt.Sprintf("during-%04d", i)
		o := f.place(key)
		if o.GetState() != orderv1.OrderState_ORDER_STATE_QUEUED {
			t.Errorf("%s is %s", key, o.GetState())
		}
		placed[key] = o.GetOrderId()
	}
	if again := f.place("during-0003"); again.GetOrderId() != placed["during-0003"] {
		t.Errorf("under the same key: got %s, want %s", again.GetOrderId(), placed["during-0003"])
	}
	other := placeRequest("during-0003")
	other.CustomerId = "c-2"
	_, err := f.orders.PlaceOrder(t.Context(), other)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "customer_id")
	if got, err := f.get(placed["during-0007"]); err != nil || got.GetState() != orderv1.OrderState_ORDER_STATE_QUEUED || got.GetTotal().GetMinorUnits() != 750 {
		t.Errorf("while it waits: %v, %v", got, err)
	}
	twice := f.place("before-0001").GetOrderId() // nobody can know that it is there
	other = placeRequest("before-0001")
	other.CustomerId = "c-2"
	if _, err := f.orders.PlaceOrder(t.Context(), other); err == nil {
		t.Error("another request under a key of the outage was taken")
	}

	watched := f.watch(placed["during-0011"])
	f.postgres.Start(t)
	if last := watched(); last.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
		t.Errorf("watched to its end: %v", last)
	}
	for key, orderID := range placed {
		if got := f.ends(orderID); got.GetOrderId() != orderID {
			t.Errorf("%s became %s", key, got.GetOrderId())
		}
		if again := f.place(key); again.GetOrderId() != orderID {
			t.Errorf("%s again: got %s, want %s", key, again.GetOrderId(), orderID)
		}
	}
	if got := f.ends(twice); got.GetOrderId() != before.GetOrderId() {
		t.Errorf("what was accepted before the outage and in it is %s and %s", before.GetOrderId(), got.GetOrderId())
	}
	db := f.pool()
	if n := pgtest.Column[int](t, db, `SELECT count(*) FROM orders`)[0]; n != 1+len(placed) {
		t.Errorf("there are %d orders, want %d", n, 1+len(placed))
	}
	if violated := pgtest.Violations(t, db); len(violated) > 0 {
		t.Errorf("violated: %q", violated)
	}
}

// TestPlace_HonoursWhatItAcceptedUnderAKeyOfAnother is of a client that uses a key twice, and the second time while nobody can see
// it: what it was told is accepted is an order.
func TestPlace_HonoursWhatItAcceptedUnderAKeyOfAnother(t *testing.T) {
	f := setupOutage(t)
	first := f.place("misused-key")
	f.ends(first.GetOrderId())
	f.postgres.Stop(t)
	other := placeRequest("misused-key")
	other.CustomerId = "c-2"
	second, err := f.orders.PlaceOrder(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	f.postgres.Start(t)
	if got := f.ends(second.GetOrder().GetOrderId()); got.GetOrderId() != second.GetOrder().GetOrderId() || got.GetCustomerId() != "c-2" {
		t.Errorf("the second order is %v", got)
	}
}

func TestPlace_IsRefusedClearlyWithoutBoth(t *testing.T) {
	f := setupOutage(t)
	f.postgres.Stop(t)
	queued := f.place("queued-0001")
	f.nats.Shutdown()
	waittest.Until(t, "the orchestrator notices that NATS is away", func() bool {
		_, err := f.orders.PlaceOrder(t.Context(), placeRequest("refused-0001"))
		return rpcerr.Is(err, rpcerr.IntakeUnavailable)
	})
	_, err := f.orders.PlaceOrder(t.Context(), placeRequest("refused-0002"))
	rpcerrtest.Want(t, err, rpcerr.IntakeUnavailable)
	if e, ok := rpcerr.FromError(err); !ok || e.RetryAfter == 0 {
		t.Errorf("when to ask again is not said: %v", err)
	}
	_, err = f.get(queued.GetOrderId())
	rpcerrtest.Want(t, err, rpcerr.IntakeUnavailable)
	f.postgres.Start(t)
	waittest.Until(t, "orders are accepted again", func() bool {
		_, err := f.orders.PlaceOrder(t.Context(), placeRequest("accepted-01"))
		return err == nil
	})
	keys := pgtest.Column[string](t, f.pool(), `SELECT key FROM idem WHERE method = 'PlaceOrder' ORDER BY key`)
	if diff := cmp.Diff([]string{"accepted-01"}, keys); diff != "" {
		t.Errorf("orders in the database (-want +got):\n%s", diff)
	}
}
