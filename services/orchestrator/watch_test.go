package orchestrator

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

// watching is a watch that a test reads answer by answer.
type watching struct {
	*testing.T
	recv   func() (*orderv1.WatchOrderResponse, error)
	cancel context.CancelFunc
}

func (f *fixture) watch(orderID, cursor string) watching {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	stream, err := f.orders.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: orderID, Cursor: cursor})
	if err != nil {
		f.Fatal(err)
	}
	return watching{f.T, stream.Recv, cancel}
}

// next gives the state that the next answer tells of, UNSPECIFIED for a heartbeat, and its cursor.
func (w watching) next() (orderv1.OrderState, string) {
	w.Helper()
	answer, err := w.recv()
	if err != nil {
		w.Fatal(err)
	}
	return answer.GetOrder().GetState(), answer.GetCursor()
}

// wantState wants a state next, whatever heartbeats come before it.
func (w watching) wantState(want orderv1.OrderState) (cursor string) {
	w.Helper()
	got, cursor := w.next()
	for got == heartbeat && want != heartbeat {
		got, cursor = w.next()
	}
	if got != want || cursor == "" {
		w.Fatalf("told of %s with cursor %q, want %s", got, cursor, want)
	}
	return cursor
}

func (w watching) wantEnd() {
	w.Helper()
	if answer, err := w.recv(); !errors.Is(err, io.EOF) {
		w.Fatalf("got %v, %v, want the end of the watch", answer, err)
	}
}

const (
	heartbeat    = orderv1.OrderState_ORDER_STATE_UNSPECIFIED
	processing   = orderv1.OrderState_ORDER_STATE_PROCESSING
	compensating = orderv1.OrderState_ORDER_STATE_COMPENSATING
	compensated  = orderv1.OrderState_ORDER_STATE_COMPENSATED
)

// gates has every call of a name wait for its release, after the first was seen.
func gates(t *testing.T, calls ...string) (trouble func(string, string, int, bool) error, seen, release map[string]chan struct{}) {
	seen, release = map[string]chan struct{}{}, map[string]chan struct{}{}
	once := map[string]*sync.Once{}
	for _, call := range calls {
		seen[call], release[call], once[call] = make(chan struct{}), make(chan struct{}), &sync.Once{}
	}
	return func(call, _ string, _ int, applied bool) error {
		if release[call] != nil && !applied {
			once[call].Do(func() { close(seen[call]) })
			select {
			case <-release[call]:
			case <-t.Context().Done():
			}
		}
		if call == callSchedule && !applied {
			return rpcerr.New(rpcerr.CarrierRefused, "no")
		}
		return nil
	}, seen, release
}

func TestWatchOrder_GoesOnBehindItsCursor(t *testing.T) {
	trouble, seen, release := gates(t, callReserve, callVoid, callRelease)
	f := setup(t, trouble)
	orderID := f.place("order-0001").GetOrderId()
	<-seen[callReserve]
	first := f.watch(orderID, "")
	begun := first.wantState(processing)
	first.cancel()

	again := f.watch(orderID, begun)
	if same := again.wantState(heartbeat); same != begun { // at once: it is there, and there is nothing new
		t.Errorf("a heartbeat has cursor %q, want %q", same, begun)
	}
	close(release[callReserve])
	turned := again.wantState(compensating)
	again.cancel()
	<-seen[callVoid]
	close(release[callVoid])
	close(release[callRelease])
	f.watch(orderID, turned).wantState(compensated)
	all := f.watch(orderID, begun) // what came in between is skipped, the end never
	ended := all.wantState(compensated)
	all.wantEnd()
	f.watch(orderID, ended).wantEnd()
}

func TestWatchOrder_RefusesACursorThatIsNone(t *testing.T) {
	f := setup(t, nil)
	one, other := f.place("order-0001"), f.place("order-0002")
	f.end(one.GetOrderId())
	w := f.watch(other.GetOrderId(), "")
	_, cursor := w.next()
	w.cancel()
	oid, err := parseOrderID(one.GetOrderId())
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"another order's": cursor, "noise": "%%%", "text": rpc.PageToken("x"), "ahead": cursorAt(oid, 99), "long": strings.Repeat("x", 300),
		"with more behind it": rpc.PageToken(oid.String() + " 1 1 1"),
	} {
		_, err := f.watch(one.GetOrderId(), bad).recv()
		if !rpcerr.Is(err, rpcerr.RequestInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "cursor")
	}
	_, err = f.watch("ord_019aab00-0000-7000-8000-000000000000", "").recv()
	rpcerrtest.Want(t, err, rpcerr.NotFound, "order_id")
}

func cursorAt(oid OrderID, seq int64) string { return cursor{seq: seq, phase: 1}.token(oid) }

// Whoever drives an order, each replica's watches see it, and long before they would look by themselves.
func TestWatchOrder_WorksOnEveryReplica(t *testing.T) {
	c := setupCluster(t, nil)
	first, _ := c.start(orderV2)
	defer c.stop(first)
	clients := []orderv1.OrderServiceClient{c.orders}
	second, _ := c.start(orderV2)
	defer c.stop(second)
	clients = append(clients, c.orders)
	began := time.Now()
	for i := range 4 {
		orderID := c.place("order-000" + string(rune('0'+i))).GetOrderId()
		for replica := range clients {
			c.orders = clients[replica]
			if o, _ := c.end(orderID); o.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
				t.Errorf("replica %d told of order %d last that it is %s", replica, i, o.GetState())
			}
		}
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("took %s: nobody told the replicas", took)
	}
}

// impatient is an orchestrator whose watches have a short heartbeat and patience. The test stops it.
func impatient(t *testing.T, trouble func(string, string, int, bool) error) (*fixture, *orchestrator) {
	t.Helper()
	t.Parallel()
	p := newParticipants(t)
	p.trouble = trouble
	f := &fixture{T: t, participants: p, dsn: pgtest.DSN(t, Migrations()...)}
	var o *orchestrator
	s := f.service()
	s.Run = func(ctx context.Context, env *service.Env) (err error) {
		cfg := DefaultConfig()
		cfg.Watch = Watch{Heartbeat: 20 * time.Millisecond, Patience: 20 * time.Millisecond}
		o, err = wire(ctx, env, cfg, orderV2)
		return err
	}
	cfg := servicetest.Config()
	cfg.NATS.URL = bustest.Server(t).URL()
	participants := p.services()
	for i := range participants {
		participants[i].Postgres.DSN = pgtest.DSN(t)
	}
	var err error
	if f.process, err = service.Start(t.Context(), cfg, t.Output(), append(participants, s)...); err != nil {
		t.Fatal(err)
	}
	f.orders = orderv1.NewOrderServiceClient(servicetest.Dial(t, f.process, "test"))
	return f, o
}

func TestWatchOrder_SaysThatItIsAliveAndWhereToGoOn(t *testing.T) {
	trouble, seen, release := gates(t, callReserve)
	f, o := impatient(t, trouble)
	orderID := f.place("order-0001").GetOrderId()
	<-seen[callReserve]
	w := f.watch(orderID, "")
	begun := w.wantState(processing)
	for range 3 {
		if again := w.wantState(heartbeat); again != begun {
			t.Errorf("a heartbeat has cursor %q, want %q", again, begun)
		}
	}

	// Somebody who reads the first answer and no heartbeat.
	told := 0
	err := o.watch(t.Context(), orderID, "", func(sighting) error {
		if told++; told > 1 {
			<-t.Context().Done()
		}
		return nil
	})
	e, ok := rpcerr.FromError(err)
	if !ok || e.Reason != rpcerr.WatchNotRead || e.Metadata["cursor"] != begun || status.Code(e) != codes.Aborted {
		t.Errorf("one that is not read ended with %v %v, want WATCH_NOT_READ and cursor %s", err, e, begun)
	}

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			answer, err := w.recv()
			if err == nil {
				continue
			}
			if e, _ := rpcerr.FromError(err); e == nil || e.Reason != rpcerr.ShuttingDown || e.Metadata["cursor"] != begun {
				t.Errorf("at the stop: %v, %v", answer, err)
			}
			return
		}
	}()
	if n := o.orders.Followers(); n != 1 {
		t.Errorf("%d watch, want 1", n)
	}
	ended := make(chan error, 1)
	go func() { ended <- f.process.Stop() }()
	<-stopped
	close(release[callReserve])
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
