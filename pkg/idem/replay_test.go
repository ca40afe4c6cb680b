package idem_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// wantReplays fails the test unless these are the replays, by method and key; those without are left out.
func (f fixture) wantReplays(want map[string]int64) {
	f.Helper()
	got := map[string]int64{}
	for _, r := range pgtest.Rows[struct {
		Name    string
		Replays int64
	}](f, f.pool, `SELECT method || ' ' || key, replays FROM idem WHERE replays <> 0`) {
		got[r.Name] = r.Replays
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("replays (-want +got):\n%s", diff)
	}
}

func TestReplays_AreCountedForAnswersAndRefusalsGivenAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.mustPayAll(map[string]error{"order-0002": rpcerr.New(rpcerr.InsufficientStock, "none left"), "order-0004": context.Canceled},
		keyed("order-0001"), keyed("order-0002"), keyed("order-0003"), keyed("order-0004"))
	f.wantReplays(map[string]int64{})
	f.mustPayAll(nil, keyed("order-0002"), keyed("order-0001"), keyed("order-0004"), keyed("order-0002"))
	f.wantReplays(map[string]int64{"Pay order-0001": 1, "Pay order-0002": 2})
	if _, err := idem.Once(t.Context(), f.pool, keyed("order-0001"), f.mustNotRun); err != nil {
		t.Fatal(err)
	}
	f.wantReplays(map[string]int64{"Pay order-0001": 2, "Pay order-0002": 2})
}

func TestReplays_AreCountedForTwinsOfAFreshRequest(t *testing.T) {
	t.Parallel()
	f := setup(t)
	refuse := map[string]error{"order-0002": rpcerr.New(rpcerr.InsufficientStock, "none left"), "order-0003": context.Canceled}
	f.mustPayAll(refuse, keyed("order-0001"), keyed("order-0001"), keyed("order-0002"), keyed("order-0001"), keyed("order-0002"),
		keyed("order-0003"), keyed("order-0003"))
	f.wantReplays(map[string]int64{"Pay order-0001": 2, "Pay order-0002": 1})
	f.mustBeginAll(map[string]error{"order-0004": rpcerr.New(rpcerr.NotFound, "no such payment")},
		opening(keyed("order-0004")), opening(keyed("order-0004")), opening(keyed("order-0005")), opening(keyed("order-0005")))
	f.wantReplays(map[string]int64{"Pay order-0001": 2, "Pay order-0002": 1, "Pay order-0004": 1})
}

func TestReplays_AreKeptByWhatBecomesOfTheRow(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim := f.begin(at(5, request()))
	f.ask(at(5, request())) // in flight: no replay
	if _, err := f.finish(claim); err != nil {
		t.Fatal(err)
	}
	f.ask(at(5, request()))
	f.ask(at(6, request()))
	f.wantReplays(map[string]int64{"Pay order-0001": 2})
	f.refundAll(nil, "order-0001")
	f.refundAll(nil, "order-0001")
	f.ask(request())
	f.wantReplays(map[string]int64{"Pay order-0001": 2, "Refund order-0001": 1})
}

func TestReplays_AreNotCountedForMisuse(t *testing.T) {
	t.Parallel()
	f := setup(t)
	timed := keyed("order-0003")
	timed.TTL = time.Hour
	f.mustPayAll(nil, at(5, keyed("order-0001", idem.Field{Name: "amount", Value: "1"})), keyed("order-0002"), timed)
	f.expireKeys()
	if _, err := burials["at once"](f, keyed("order-0002")); err != nil {
		t.Fatal(err)
	}
	f.begin(keyed("order-0004"))
	for _, r := range []idem.Request{
		at(5, keyed("order-0001", idem.Field{Name: "amount", Value: "2"})), at(4, keyed("order-0001")),
		keyed("order-0002"), timed, keyed("order-0004"),
	} {
		if got := f.mustPayAll(nil, r)[0]; got.Err == nil || got.Value.Replayed {
			t.Errorf("%s: got %+v, want an error that is no replay", r.Key, got)
		}
		if got := f.ask(r); got.Err == nil || got.Value.Replayed {
			t.Errorf("%s, begun: got %+v, want an error that is no replay", r.Key, got)
		}
	}
	f.wantReplays(map[string]int64{})
}

// statements counts what is sent between BEGIN and COMMIT.
type statements struct{ sent atomic.Int32 }

// TraceQueryStart implements pgx.QueryTracer.
func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	s.count(q.SQL)
	return ctx
}

func (s *statements) count(sql string) {
	if sql != "begin" && sql != "commit" {
		s.sent.Add(1)
	}
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, q := range data.Batch.QueuedQueries {
		s.count(q.SQL)
	}
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (*statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (*statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func TestReplays_CostABatchWithoutThemNoStatement(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var counted statements
	cfg := f.pool.Config()
	cfg.ConnConfig.Tracer = &counted
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	traced := fixture{t, pool}
	wantStatements := func(want int32, what string, run func()) {
		t.Helper()
		counted.sent.Store(0)
		if run(); counted.sent.Load() != want {
			t.Errorf("%s: %d statements, want %d", what, counted.sent.Load(), want)
		}
	}
	wantStatements(3, "a fresh one and its twin: read, effect, write", func() { traced.mustPayAll(nil, request(), request()) })
	var claim *idem.Claim
	wantStatements(3, "a fresh claim: read, intent, write", func() { claim = traced.begin(keyed("order-0002")) })
	wantStatements(1, "one in flight: read", func() { traced.wantBusy(traced.ask(keyed("order-0002"))) })
	wantStatements(3, "an end: lock, outcome, write", func() { traced.mustEndAll(nil, idem.Ending{Claim: claim}) })
	wantStatements(1, "another request: read", func() {
		traced.mustPayAll(nil, request(idem.Field{Name: "amount", Value: "2"}))
	})
	wantStatements(3, "two replays: read, lock, count", func() { traced.mustPayAll(nil, request(), keyed("order-0002")) })
}

// Each of two batches raises the epoch of a row that the other one only replays: they lock both in the same order.
func TestReplays_AreLockedInOneOrderWithRowsWhoseEpochRises(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const rounds = 50
	keys := []string{"order-0001", "order-0002"}
	f.mustPayAll(nil, keyed(keys[0]), keyed(keys[1]))
	var running sync.WaitGroup
	for rising := range keys {
		running.Go(func() {
			for epoch := range int64(rounds) {
				all, err := f.payAll(nil, at(epoch+1, keyed(keys[rising])), keyed(keys[1-rising]))
				if err != nil || all[0].Err != nil || all[1].Err != nil {
					t.Errorf("got %v, %v", all, err)
				}
			}
		})
	}
	running.Wait()
	f.wantReplays(map[string]int64{"Pay order-0001": 2 * rounds, "Pay order-0002": 2 * rounds})
}

// A step that is replayed and its undoing lock the step's row before what the service keeps.
func TestReplays_LockTheirRowBeforeWhatTheServiceKeeps(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.mustPayAll(nil, request())
	f.exec(`INSERT INTO effect (name) VALUES ('shared')`)
	lockShared := func(tx *pg.Tx) error {
		_, err := tx.Exec(t.Context(), `SELECT id FROM effect WHERE name = 'shared' FOR UPDATE`)
		return err
	}
	undone := make(chan error, 1)
	err := f.inTx(func(tx *pg.Tx) error {
		_, err := idem.OnceAll(t.Context(), tx, []idem.Request{request(), keyed("order-0002")}, func(context.Context, *pg.Tx, []int) ([]idem.Outcome[receipt], error) {
			go func() {
				undone <- f.inTx(func(tx *pg.Tx) error {
					_, err := idem.UndoAll(t.Context(), tx, []idem.Undo{{Request: undoing(request()), Of: request()}},
						func(_ context.Context, tx *pg.Tx, _ []int, _ []string) ([]idem.Outcome[receipt], error) {
							return make([]idem.Outcome[receipt], 1), lockShared(tx)
						})
					return err
				})
			}()
			f.awaitBlocked(1)
			return make([]idem.Outcome[receipt], 1), lockShared(tx)
		})
		return err
	})
	if err := errors.Join(err, <-undone); err != nil {
		t.Error(err)
	}
}
