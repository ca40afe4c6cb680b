package orchestrator

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// cluster is replicas of the orchestrator on one database and one NATS, each in a process with the fakes.
type cluster struct {
	*fixture
	config service.Config
}

func setupCluster(t *testing.T, trouble func(call, key string, nth int, applied bool) error) *cluster {
	t.Helper()
	t.Parallel()
	f := &fixture{T: t, participants: newParticipants(t), dsn: pgtest.DSN(t, Migrations()...)}
	f.participants.trouble = trouble
	c := &cluster{fixture: f, config: servicetest.Config()}
	c.config.NATS.URL = bustest.Server(t).URL()
	return c
}

// start starts a replica that knows some versions of the order saga, and has the cluster's clients speak to it.
func (c *cluster) start(orders ...saga.Definition) (*service.Process, *orchestrator) {
	c.Helper()
	var o *orchestrator
	p, err := service.Start(c.Context(), c.config, c.Output(), c.participants.with(c.dsn, &o, orders...)...)
	if err != nil {
		c.Fatal(err)
	}
	conn := servicetest.Dial(c, p, "test")
	c.orders, c.sagas = orderv1.NewOrderServiceClient(conn), sagav1.NewSagaServiceClient(conn)
	return p, o
}

// pool is a pool of the test's own on the fixture's database.
func (f *fixture) pool() *pgxpool.Pool {
	f.Helper()
	pool, err := pg.Open(f.Context(), pg.Config{DSN: f.dsn})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(pool.Close)
	return pool
}

func (c *cluster) stop(p *service.Process) {
	c.Helper()
	if err := p.Stop(); err != nil {
		c.Error(err)
	}
}

func (c *cluster) wantCompleted(orderIDs ...string) {
	c.Helper()
	for _, orderID := range orderIDs {
		if order, saga := c.end(orderID); order.GetState() != orderv1.OrderState_ORDER_STATE_COMPLETED {
			c.Errorf("%s ended as %s: %s", orderID, order.GetState(), types(saga))
		}
	}
}

func (c *cluster) placeMany(from, n int) (orderIDs []string) {
	c.Helper()
	for i := range n {
		orderIDs = append(orderIDs, c.place(fmt.Sprintf("order-%04d", from+i)).GetOrderId())
	}
	return orderIDs
}

// Wherever an order is taken in, the owner of its shard hears of it; and when replicas come and go, nothing is lost or
// done twice.
func TestEngine_ReplicasShareTheSagasAndComeAndGo(t *testing.T) {
	c := setupCluster(t, nil)
	first, a := c.start(orderV2)
	owns(t, a)
	placed := c.placeMany(0, 20)
	second, b := c.start(orderV2)
	waittest.Until(t, "the shards are shared", func() bool {
		return len(a.engine.shards.ours()) == 32 && len(b.engine.shards.ours()) == 32
	})
	placed = append(placed, c.placeMany(20, 40)...) // half of them are the other one's
	c.stop(first)
	owns(t, b)
	placed = append(placed, c.placeMany(60, 20)...)
	c.wantCompleted(placed...)
	c.stop(second)
	counts := map[string]int{}
	for _, call := range c.participants.seen() {
		counts[call]++
	}
	if len(c.participants.effects) != len(orderV2.Steps)*len(placed) {
		t.Errorf("%d effects of %d orders; calls: %v", len(c.participants.effects), len(placed), counts)
	}
	for _, view := range []string{"inv_25_epochs_rise", "inv_26_one_owner_an_epoch", "inv_18_rows_are_their_events"} {
		if bad := pgtest.Rows[struct{ ID, Detail string }](t, c.pool(), "SELECT id, detail FROM "+view); len(bad) > 0 {
			t.Errorf("%s: %v", view, bad)
		}
	}
}

// Whoever watches an order at a replica that does not drive it hears of its end as soon as the event is out.
func TestWaker_HearsOfTheOrdersOfOtherReplicas(t *testing.T) {
	t.Parallel()
	nc := bustest.JetStream(t).Conn()
	w := newWaker(nc, slog.New(slog.DiscardHandler))
	moved := make(chan OrderID, 4)
	unsubscribe, err := w.listen(hearers{woken: func([]SagaID) {}, moved: func(orderID OrderID) { moved <- orderID }, paid: func(*nats.Msg) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer unsubscribe()
	placed, ended := id.New[orderKind](), id.New[orderKind]()
	for _, subject := range []string{
		"evt.orchestrator.order.placed." + placed.String(), "evt.orchestrator.order.completed.nonsense",
		"evt.orchestrator.order.completed." + ended.String(),
	} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-moved; got != ended {
		t.Errorf("heard of %s, want %s", got, ended)
	}
}

// What is under way runs the version it started with, whatever version new sagas run: what was charged is refunded, what
// was authorized is captured or voided.
func TestEngine_VersionsRunSideBySide(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var refused sync.Map // keys of steps
	c := setupCluster(t, func(call, key string, _ int, applied bool) error {
		if _, refuse := refused.Load(key); refuse && !applied {
			return rpcerr.New(rpcerr.CarrierRefused, "no")
		}
		if applied || call != callCharge && call != callAuthorize {
			return nil
		}
		once.Do(func() { close(asked) })
		select {
		case <-release:
			return nil
		default:
			return rpcerr.New(rpcerr.DestinationDown, "not yet")
		}
	})
	placeTwo := func(version string) (goesOn, turnsBack string) {
		refusedOne := c.place(version + "-turns-back")
		refused.Store("saga/"+refusedOne.GetSagaId()+"/"+stepShip, true)
		return c.place(version + "-goes-on").GetOrderId(), refusedOne.GetOrderId()
	}
	first, _ := c.start(orderV1)
	v1, v1Back := placeTwo("version-1")
	<-asked
	c.stop(first)
	second, _ := c.start(orderV1, orderV2)
	v2, v2Back := placeTwo("version-2")
	close(release)
	for orderID, want := range map[string]string{
		v1:     "started step_done:reserve step_done:charge step_done:ship step_done:commit completed",
		v2:     "started step_done:reserve step_done:authorize step_done:ship step_done:capture step_done:commit completed",
		v1Back: "started step_done:reserve step_done:charge step_refused:ship compensation_decided step_compensated:charge step_compensated:reserve compensated",
		v2Back: "started step_done:reserve step_done:authorize step_refused:ship compensation_decided step_compensated:authorize step_compensated:reserve compensated",
	} {
		if _, saga := c.end(orderID); types(saga) != want {
			t.Errorf("v%d ran %s, want %s", saga.GetDefinitionVersion(), types(saga), want)
		}
	}
	counts := map[string]int{}
	for _, call := range c.participants.seen() {
		counts[call]++
	}
	if counts[callRefund] != 1 || counts[callVoid] != 1 || counts[callCapture] != 1 {
		t.Errorf("want one refund, one void and one capture: %v", counts)
	}
	third, _ := c.start(orderV1) // a replica that starts sagas of the version before, and drives all
	c.stop(second)
	c.wantCompleted(c.place("version-1-again").GetOrderId())
	c.stop(third)
}

// While a participant is away its sagas wait and lose no attempt; when it is back they come in growing batches.
func TestLane_WaitsForAParticipantAndComesBackSlowly(t *testing.T) {
	var away sync.Map
	away.Store(callAuthorize, true)
	c := setupCluster(t, func(call, _ string, _ int, _ bool) error {
		if _, isAway := away.Load(call); isAway {
			return rpcerr.New(rpcerr.DestinationDown, "%s is away", call)
		}
		return nil
	})
	p, o := c.start(orderV2)
	placed := c.placeMany(0, 60)
	lane := o.engine.lanes[callAuthorize]
	waittest.Until(t, "all wait for the authorization", func() bool {
		n, blocked := lane.waits()
		return blocked && n >= len(placed)-1 // one may be probing
	})
	c.participants.mu.Lock()
	c.participants.batches = nil
	c.participants.mu.Unlock()
	away.Delete(callAuthorize)
	c.wantCompleted(placed...)
	_, s := c.end(placed[0])
	if strings.Contains(types(s), "unknown") || s.GetSteps()[1].GetAttempts() != 1 {
		t.Errorf("waiting cost attempts: %s", types(s))
	}
	c.participants.mu.Lock()
	batches := slices.Clone(c.participants.batches[callAuthorize])
	c.participants.mu.Unlock()
	if want := []int{1, 2, 4, 8, 16}; len(batches) < len(want) || !slices.Equal(batches[:len(want)], want) {
		t.Errorf("the batches had %v items, want them to double from 1", batches)
	}
	c.stop(p)
}

// A saga whose deadline passes while its participant is away turns back.
func TestLane_ADeadlineEndsTheWait(t *testing.T) {
	hurried := orderV2
	hurried.Version, hurried.Deadline = 3, 500*time.Millisecond
	c := setupCluster(t, func(call, _ string, _ int, _ bool) error {
		if call == callAuthorize {
			return rpcerr.New(rpcerr.DestinationDown, "away")
		}
		return nil
	})
	p, _ := c.start(hurried)
	order, s := c.end(c.place("order-0001").GetOrderId())
	want := "started step_done:reserve compensation_decided step_compensated:authorize step_compensated:reserve compensated"
	if order.GetState() != orderv1.OrderState_ORDER_STATE_COMPENSATED || types(s) != want {
		t.Errorf("ended as %s: %s, want %s", order.GetState(), types(s), want)
	}
	c.stop(p)
}

// A saga that cannot be understood is parked with the reason, and the others of its shard go on.
func TestEngine_APoisonousSagaParksItself(t *testing.T) {
	c := setupCluster(t, nil)
	pool := c.pool()
	sagas := plant(t, pool, planted{}, planted{}, planted{})
	for i, detail := range []string{`"no object"`, `{"result": 1}`} {
		if _, err := pool.Exec(t.Context(), `INSERT INTO saga_event (saga_id, seq, type, step, at, detail) VALUES ($1, 2, $2, 'reserve', now(), $3)`,
			sagas[i].sagaID.UUID(), []string{"step_done", "no_such_type"}[i], detail); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(t.Context(), `UPDATE saga SET seq = 2 WHERE id = $1`, sagas[i].sagaID.UUID()); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := c.start(orderV2)
	c.wantCompleted(sagas[2].orderID.String(), c.place("order-0001").GetOrderId())
	type row struct {
		Phase, Seq int
		Cause      string
		AtRisk     bool
	}
	for i, want := range []string{"decoding saga event 2", "no_such_type"} {
		var got row
		waittest.Until(t, "it is parked", func() bool {
			got = pgtest.Rows[row](t, pool, `SELECT phase, seq, cause, at_risk FROM saga WHERE id = $1`, sagas[i].sagaID.UUID())[0]
			return saga.Phase(got.Phase) == saga.Parked
		})
		if got.Seq != 3 || !got.AtRisk || !strings.Contains(got.Cause, "cannot be driven") || !strings.Contains(got.Cause, want) {
			t.Errorf("saga %d: got %+v, want it parked for %q", i, got, want)
		}
	}
	c.stop(p)
}

// While replicas are replaced, one of the build before may own sagas of a definition that it does not know.
func TestEngine_ASagaOfALaterBuildWaitsForIt(t *testing.T) {
	t.Parallel()
	e := &engine{log: slog.New(slog.DiscardHandler), timers: newTimers(func(*live) {})}
	l := &live{term: &term{ctx: t.Context()}, failures: maxFailures}
	e.undriveable(l, fmt.Errorf("order v9: %w", errNoDefinition))
	if l.failures != maxFailures+1 || l.alarm.at.IsZero() {
		t.Errorf("after %d failures it does not wait to be read again", l.failures)
	}
}

// A participant that takes a step over is asked again, at its time or when an event says that something happened.
func TestEngine_APendingStepIsAskedAgain(t *testing.T) {
	taken := make(chan string, 1)
	c := setupCluster(t, func(call, key string, nth int, applied bool) error {
		if call == callAuthorize && nth == 1 && applied {
			taken <- key
			e := rpcerr.New(rpcerr.IdempotencyKeyInFlight, "the bank is at it")
			e.RetryAfter = time.Hour
			return e
		}
		return nil
	})
	p, o := c.start(orderV2)
	placed := c.place("order-0001")
	<-taken
	var pending bool
	waittest.Until(t, "it waits to be told", func() bool {
		o.engine.mu.Lock()
		defer o.engine.mu.Unlock()
		for _, l := range o.engine.pending {
			pending = l.view.subjectID() == placed.GetOrderId()
		}
		return pending
	})
	orderID, err := parseOrderID(placed.GetOrderId())
	if err != nil {
		t.Fatal(err)
	}
	o.engine.told([]uuid.UUID{orderID.UUID()})
	_, s := c.end(placed.GetOrderId())
	want := "started step_done:reserve step_pending:authorize step_done:authorize step_done:ship step_done:capture step_done:commit completed"
	if diff := cmp.Diff(want, types(s)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if attempts := s.GetSteps()[1].GetAttempts(); attempts != 1 {
		t.Errorf("%d attempts, want 1: to be taken over costs none", attempts)
	}
	c.stop(p)
}

// At the pivot nothing is done again before it was looked up.
func TestEngine_LooksUpAnUnknownPivot(t *testing.T) {
	for name, applied := range map[string]bool{"it happened": true, "it did not": false} {
		t.Run(name, func(t *testing.T) {
			c := setupCluster(t, func(call, _ string, nth int, after bool) error {
				if call == callSchedule && nth == 1 && after == applied {
					return rpcerr.New(rpcerr.Internal, "the answer is lost")
				}
				return nil
			})
			p, _ := c.start(orderV2)
			c.wantCompleted(c.place("order-0001").GetOrderId())
			want := []string{callReserve, callAuthorize, callSchedule, callLookUp, callCapture, callCommit}
			if !applied {
				want = []string{callReserve, callAuthorize, callSchedule, callLookUp, callSchedule, callCapture, callCommit}
			}
			if diff := cmp.Diff(want, c.participants.seen()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			c.stop(p)
		})
	}
}
