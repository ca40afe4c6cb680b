package orchestrator

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// desk is an orchestrator that nothing is driven by, for people to operate on.
type desk struct {
	*testing.T
	*orchestrator
	db   *pgxpool.Pool // without faults
	keys int
	mu   sync.Mutex
	told []SagaID // of whose transitions was told
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	t.Parallel()
	return deskOn(t, pgtest.Pool(t, Migrations()...), nil)
}

// deskOn is a replica on a database, which it may reach through a faulty pool.
func deskOn(t *testing.T, db, faulty *pgxpool.Pool) *desk {
	t.Helper()
	pool := db
	if faulty != nil {
		pool = faulty
	}
	known, err := registered(t.Context(), db, peers{}.actions(), orderSagas...)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{T: t, db: db}
	e := &engine{pool: pool, outbox: outbox.New(outbox.Config{Pool: pool, Service: "orchestrator"}), definitions: known}
	d.orchestrator = &orchestrator{pool: pool, engine: e, watchers: watch.New(nil), keyTTL: time.Hour}
	d.bulk = &bulk{
		pool: pool, watchers: d.watchers, log: slog.New(slog.DiscardHandler), wake: make(chan struct{}, 1), load: e.loadAll, record: e.record,
		recorded: func(_ context.Context, durable []transition) {
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, r := range durable {
				d.told = append(d.told, r.view.id)
			}
		},
	}
	return d
}

func (d *desk) request() request {
	d.keys++
	return request{caller: "ada", key: fmt.Sprintf("request-%04d", d.keys)}
}

func (d *desk) mustPlan(filter string, verb saga.Verb) operation {
	d.Helper()
	op, err := d.plan(d.Context(), planCommand{
		request: d.request(), filter: filter, instruction: saga.Instruction{Verb: verb, Actor: "ada", Reason: "ticket 7"},
	})
	if err != nil {
		d.Fatal(err)
	}
	return op
}

func (d *desk) mustApply(op operation, rate int32) {
	d.Helper()
	r := d.request()
	r.caller = "grace"
	if _, err := d.apply(d.Context(), applyCommand{request: r, operationID: op.id.String(), rate: rate}); err != nil {
		d.Fatal(err)
	}
}

// work does what is due, and reports how many batches that were.
func (d *desk) work() (batches int) {
	d.Helper()
	for {
		again, err := d.bulk.runOnce(d.Context())
		if err != nil {
			d.Fatal(err)
		}
		if !again {
			return batches
		}
		batches++
	}
}

func (d *desk) now(op operation) operation {
	d.Helper()
	op, err := d.getOperation(d.Context(), op.id.String())
	if err != nil {
		d.Fatal(err)
	}
	return op
}

// many are n sagas of a kind.
func many(n int, p planted) []planted { return slices.Repeat([]planted{p}, n) }

// checkOnce fails the test unless so many sagas have taken the verb of an operation, each once and with its audit row.
func (d *desk) checkOnce(op operation, event saga.EventType, want int) {
	d.Helper()
	type audited struct {
		Events, Actions int
		Actor, Reason   string
	}
	got := pgtest.Rows[audited](d, d.db, `
SELECT count(*), count(a.saga_id), coalesce(min(a.actor), ''), coalesce(min(a.reason), '')
  FROM saga_event e LEFT JOIN operator_action a ON a.saga_id = e.saga_id AND a.seq = e.seq AND a.operation_id = $1 AND a.verb = $2
 WHERE e.type = $3`, op.id.UUID(), string(op.instruction.Verb), string(event))
	if diff := cmp.Diff([]audited{{want, want, "grace", "ticket 7"}}, got); diff != "" {
		d.Errorf("events and their audit rows (-want +got):\n%s", diff)
	}
	if twice := pgtest.Column[string](d, d.db, `SELECT 'sag_' || saga_id FROM saga_event WHERE type = $1 GROUP BY saga_id HAVING count(*) > 1`, string(event)); len(twice) > 0 {
		d.Errorf("%d sagas took it more than once, as %s", len(twice), twice[0])
	}
}

// checkInvariants fails the test where the database says that something is wrong.
func (d *desk) checkInvariants() {
	d.Helper()
	for _, view := range []string{"inv_18_events_have_no_gaps", "inv_18_transitions_are_legal", "inv_18_rows_are_their_events", "inv_36_operators_leave_a_record"} {
		if wrong := pgtest.Column[string](d, d.db, `SELECT id || ' ' || detail FROM `+view); len(wrong) > 0 {
			d.Errorf("%s: %d violations, as %s", view, len(wrong), wrong[0])
		}
	}
}

func TestPlan_SaysHowManyAndWhatTheyComeTo(t *testing.T) {
	d := newDesk(t)
	plant(t, d.db, many(3, planted{happened: parkedShip, total: money.Amount{Currency: "JPY", Minor: 5000}})...)
	plant(t, d.db, many(2, planted{happened: parkedDenied, total: money.Amount{Currency: "KWD", Minor: 1234}})...)
	plant(t, d.db, planted{happened: parkedShip, total: money.Amount{Currency: "GBP", Minor: 250}})
	ended := plant(t, d.db, planted{happened: completed, total: money.Amount{Currency: "GBP", Minor: 750}})[0]
	plant(t, d.db, planted{}) // does not match
	op := d.mustPlan("phase = parked OR phase = completed", saga.RetryNow)
	want := []operationTotal{
		{2, money.Amount{Currency: "GBP", Minor: 1000}}, {3, money.Amount{Currency: "JPY", Minor: 15000}}, {2, money.Amount{Currency: "KWD", Minor: 2468}},
	}
	if diff := cmp.Diff(want, op.totals, cmp.AllowUnexported(operationTotal{})); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	if op.state != operationPlanned || op.matched != 7 || op.possible != 6 || op.plannedBy != "ada" || op.expiresAt.Sub(op.plannedAt) != planTTL {
		t.Errorf("got %+v", op)
	}
	if diff := cmp.Diff([]refusal{{ended.sagaID, "the saga has ended: it is completed"}}, op.refusals, cmp.AllowUnexported(refusal{})); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
	if batches := d.work(); batches != 0 || len(d.told) != 0 {
		t.Errorf("a plan was carried out: %d batches", batches)
	}
	if _, err := d.plan(t.Context(), planCommand{request: d.request(), filter: " ", instruction: saga.Instruction{Verb: saga.RetryNow}}); !rpcerr.Is(err, rpcerr.FilterInvalid) {
		t.Errorf("an operation on all sagas: got %v", err)
	}
}

func TestPlan_SameKeyIsOnePlan(t *testing.T) {
	d := newDesk(t)
	plant(t, d.db, planted{happened: parkedShip})
	c := planCommand{request: d.request(), filter: "parked = true", instruction: saga.Instruction{Verb: saga.RetryNow, Actor: "ada", Reason: "x"}}
	first, err := d.plan(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	plant(t, d.db, planted{happened: parkedShip})
	if again, err := d.plan(t.Context(), c); err != nil || again.id != first.id || again.matched != 1 {
		t.Errorf("got another plan: %+v, %v", again, err)
	}
	c.filter = "parked = true AND currency = JPY"
	_, err = d.plan(t.Context(), c)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "filter")
}

func TestPlan_RefusesASumThatDoesNotFit(t *testing.T) {
	d := newDesk(t)
	plant(t, d.db, many(2, planted{happened: parkedShip, total: money.Amount{Currency: "JPY", Minor: 1 << 62}})...)
	_, err := d.plan(t.Context(), planCommand{request: d.request(), filter: "parked = true", instruction: saga.Instruction{Verb: saga.RetryNow, Actor: "ada", Reason: "x"}})
	rpcerrtest.Want(t, err, rpcerr.AmountOverflow)
}

// A replica is killed, or loses the answer to a commit, between two batches: another one goes on behind the last one
// that was written.
func TestApply_DoesEachSagaOnceWhateverBreaks(t *testing.T) {
	t.Parallel()
	for name, fault := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			plant(t, d.db, many(3*maxBulkBatch+17, planted{happened: parkedShip})...)
			op := d.mustPlan("parked = true", saga.RetryNow)
			d.mustApply(op, 0)
			pool, breaks := pgtest.Faulty(t, d.db)
			killed := deskOn(t, d.db, pool)
			if again, err := killed.bulk.runOnce(t.Context()); err != nil || !again {
				t.Fatalf("first batch: %t, %v", again, err)
			}
			breaks.SetOnce(fault)
			if _, err := killed.bulk.runOnce(t.Context()); err == nil {
				t.Fatal("the answer to the commit was not lost")
			}
			want := int64(maxBulkBatch)
			if fault == pgtest.Applied {
				want *= 2
			}
			if got := d.now(op); got.done != want || got.state != operationRunning {
				t.Errorf("after it broke %d are done, want %d; it is %s", got.done, want, got.state)
			}
			// The server may hold the broken transaction's locks for a moment yet.
			waittest.Until(t, "it has ended", func() bool { d.work(); return d.now(op).state != operationRunning })
			if got := d.now(op); got.state != operationFinished || got.done != op.matched || got.refused != 0 || got.endedAt.IsZero() {
				t.Errorf("ended as %+v", got)
			}
			d.checkOnce(op, saga.SagaRetried, int(op.matched))
			d.checkInvariants()
			if n := pgtest.Column[int](t, d.db, `SELECT count(*) FROM saga WHERE phase = 1`)[0]; n != int(op.matched) {
				t.Errorf("%d sagas go on, want %d", n, op.matched)
			}
		})
	}
}

func TestApply_ManyReplicasShareTheWork(t *testing.T) {
	d := newDesk(t)
	plant(t, d.db, many(5*maxBulkBatch, planted{happened: parkedShip})...)
	op := d.mustPlan("parked = true", saga.RetryNow)
	d.mustApply(op, 0)
	var replicas sync.WaitGroup
	for range 3 {
		r := deskOn(t, d.db, nil)
		replicas.Go(func() {
			for ended := false; !ended; {
				if _, err := r.bulk.runOnce(t.Context()); err != nil {
					t.Error(err)
					return
				}
				state, err := newStore(d.db).operation(t.Context(), op.id)
				ended = err != nil || state.state.ended()
			}
		})
	}
	replicas.Wait()
	d.checkOnce(op, saga.SagaRetried, int(op.matched))
	d.checkInvariants()
}

func TestApply_LeavesWhatRefusesAndSaysWhy(t *testing.T) {
	d := newDesk(t)
	sagas := plant(t, d.db, many(5, planted{happened: []saga.Event{doneReserve}})...)
	op := d.mustPlan("phase = running", saga.Pause)
	if op.possible != 5 {
		t.Fatalf("possible for %d, want 5", op.possible)
	}
	if _, err := d.db.Exec(t.Context(), `
WITH paused AS (UPDATE saga SET paused = true, seq = 3 WHERE id = $1)
INSERT INTO saga_event (saga_id, seq, type, step, at, detail) VALUES ($1, 3, 'paused', '', now(), '{"actor": "grace"}')`, sagas[2].sagaID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.db.Exec(t.Context(), `UPDATE saga SET version = 99 WHERE id = $1`, sagas[3].sagaID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.db.Exec(t.Context(), `INSERT INTO operator_action (saga_id, seq, actor, verb, step, reason, evidence, at) VALUES ($1, 3, 'grace', 'pause', '', 'x', '', now())`, sagas[2].sagaID); err != nil {
		t.Fatal(err)
	}
	d.mustApply(op, 0)
	d.work()
	got := d.now(op)
	want := []refusal{
		{sagas[2].sagaID, `event 4 paused of step "" cannot follow in phase running: it is paused already`},
		{sagas[3].sagaID, "order v99: no such definition in this build"},
	}
	if diff := cmp.Diff(want, got.refusals, cmp.AllowUnexported(refusal{})); diff != "" || got.done != 3 || got.refused != 2 || got.state != operationFinished {
		t.Errorf("%s with %d done, %d refused; refusals (-want +got):\n%s", got.state, got.done, got.refused, diff)
	}
	if n := pgtest.Column[int](t, d.db, `SELECT count(*) FROM operator_action WHERE operation_id = $1`, op.id.UUID())[0]; n != 3 || len(d.told) != 3 {
		t.Errorf("%d audit rows, and told of %d; want 3", n, len(d.told))
	}
}

// What the database refuses of one saga is that saga's refusal.
func TestApply_OneRowThatIsRefusedFailsAlone(t *testing.T) {
	d := newDesk(t)
	sagas := plant(t, d.db, many(20, planted{happened: parkedShip})...)
	if _, err := d.db.Exec(t.Context(), fmt.Sprintf(`ALTER TABLE operator_action ADD CHECK (saga_id <> '%s')`, sagas[7].sagaID.UUID())); err != nil {
		t.Fatal(err)
	}
	op := d.mustPlan("parked = true", saga.RetryNow)
	d.mustApply(op, 0)
	d.work()
	got := d.now(op)
	if got.state != operationFinished || got.done != 19 || got.refused != 1 || len(got.refusals) != 1 || got.refusals[0].sagaID != sagas[7].sagaID {
		t.Errorf("ended as %+v", got)
	}
	d.checkOnce(op, saga.SagaRetried, 19)
	d.checkInvariants()
}

func TestCancelOperation_LeavesTheRestAsItIs(t *testing.T) {
	d := newDesk(t)
	plant(t, d.db, many(2*maxBulkBatch, planted{happened: parkedShip})...)
	op := d.mustPlan("parked = true", saga.RetryNow)
	d.mustApply(op, 0)
	if _, err := d.bulk.runOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := cancelOperationCommand{request: d.request(), operationID: op.id.String(), reason: "wrong filter"}
	cancelled, err := d.cancelOperation(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if cancelled.state != operationCancelled || cancelled.done != maxBulkBatch || cancelled.cancelledBy != "ada" || cancelled.cancelReason != "wrong filter" {
		t.Errorf("got %+v", cancelled)
	}
	if batches := d.work(); batches != 0 {
		t.Errorf("it went on for %d batches", batches)
	}
	d.checkOnce(op, saga.SagaRetried, maxBulkBatch)
	d.checkInvariants()
	if again, err := d.cancelOperation(t.Context(), c); err != nil || again.state != operationCancelled {
		t.Errorf("the same request again: %+v, %v", again, err)
	}
	c.request = d.request()
	_, err = d.cancelOperation(t.Context(), c)
	rpcerrtest.Want(t, err, rpcerr.OperationNotOpen)
	_, err = d.apply(t.Context(), applyCommand{request: d.request(), operationID: op.id.String()})
	rpcerrtest.Want(t, err, rpcerr.OperationNotOpen)
	_, err = d.apply(t.Context(), applyCommand{request: d.request(), operationID: "sop_00000000-0000-7000-8000-000000000000"})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "operation_id")
}

func TestApply_RefusesAPlanThatIsTooOld(t *testing.T) {
	d := newDesk(t)
	plant(t, d.db, planted{happened: parkedShip})
	op := d.mustPlan("parked = true", saga.RetryNow)
	if _, err := d.db.Exec(t.Context(), `UPDATE bulk_operation SET expires_at = now()`); err != nil {
		t.Fatal(err)
	}
	for _, swept := range []bool{false, true} {
		if got := d.now(op); got.state != operationExpired || got.matched != 1 {
			t.Errorf("swept %t: is %s with %d matched", swept, got.state, got.matched)
		}
		_, err := d.apply(t.Context(), applyCommand{request: d.request(), operationID: op.id.String()})
		rpcerrtest.Want(t, err, rpcerr.OperationNotOpen)
		if d.work() != 0 {
			t.Error("it was carried out")
		}
	}
	if n := pgtest.Column[int](t, d.db, `SELECT count(*) FROM bulk_item`)[0]; n != 0 {
		t.Errorf("%d items of it are kept", n)
	}
}

func TestApply_KeepsToItsRate(t *testing.T) {
	d := newDesk(t)
	plant(t, d.db, many(30, planted{happened: parkedShip})...)
	op := d.mustPlan("parked = true", saga.RetryNow)
	d.mustApply(op, 20)
	if again, err := d.bulk.runOnce(t.Context()); err != nil || !again {
		t.Fatalf("first batch: %t, %v", again, err)
	}
	if got := d.now(op); got.done != 10 || got.rate != 20 {
		t.Errorf("%d done at once at a rate of %d, want half a second's 10", got.done, got.rate)
	}
	pause := pgtest.Column[float64](t, d.db, `
SELECT extract(epoch FROM o.next_at - max(s.updated_at))::float8 FROM bulk_operation o, saga s GROUP BY o.next_at`)[0]
	if pause != 0.5 {
		t.Errorf("it goes on %.3f s after the batch began, want half a second", pause)
	}
	if _, err := d.db.Exec(t.Context(), `UPDATE bulk_operation SET next_at = now() + interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	if batches := d.work(); batches != 0 {
		t.Errorf("%d batches before it was time", batches)
	}
	d.mustApply(op, 0) // a new rate
	d.work()
	if got := d.now(op); got.state != operationFinished || got.done != 30 || got.instruction.Actor != "grace" {
		t.Errorf("ended as %+v", got)
	}
	d.checkOnce(op, saga.SagaRetried, 30)
	d.checkInvariants()
}

func TestApply_RedrivesTenThousandInAFewTransactions(t *testing.T) {
	d := newDesk(t)
	const n = 10_000
	plant(t, d.db, many(n, planted{happened: parkedShip})...)
	begun := time.Now()
	op := d.mustPlan(`parked = true AND cause : "unknown"`, saga.RetryNow)
	planned := time.Now()
	d.mustApply(op, 0)
	batches := d.work()
	t.Logf("planned %d in %s, then %.0f sagas/s", n, planned.Sub(begun).Round(time.Millisecond), n/time.Since(planned).Seconds())
	if want := (n + maxBulkBatch - 1) / maxBulkBatch; batches != want {
		t.Errorf("took %d transactions, want %d", batches, want)
	}
	if written := pgtest.Column[int](t, d.db, `SELECT count(DISTINCT xmin::text) FROM saga_event WHERE type = 'retried'`)[0]; written != batches {
		t.Errorf("the events were written in %d transactions, want %d", written, batches)
	}
	if len(d.told) != n {
		t.Errorf("told of %d transitions, want %d", len(d.told), n)
	}
	d.checkOnce(op, saga.SagaRetried, n)
}
