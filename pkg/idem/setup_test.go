package idem_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// effects is what the use cases under test change. Its rows are counted: one for each time a use case took effect.
var effects = pg.Migrations{Name: "effects", FS: fstest.MapFS{
	"0001_effect.sql": {Data: []byte(`-- +goose Up
CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
`)},
}}

// fixture is a database and the use cases that run on it.
type fixture struct {
	*testing.T
	pool *pgxpool.Pool
}

func setup(t *testing.T) fixture {
	t.Helper()
	return fixture{t, pgtest.Pool(t, idem.Migrations, effects)}
}

// receipt is the answer of the use cases under test.
type receipt struct {
	ID   string
	Note string
}

func request(fields ...idem.Field) idem.Request {
	return idem.Request{Caller: "shop", Method: "Pay", Key: "order-0001", Fields: fields}
}

// pay is a use case that is one transaction.
func (f fixture) pay(ctx context.Context, r idem.Request) (receipt, error) {
	return idem.Once(ctx, f.pool, r, func(ctx context.Context, tx *pg.Tx) (receipt, string, error) {
		id, err := addEffect(ctx, tx, "paid")
		return receipt{ID: id, Note: "paid"}, id, err
	})
}

// mustNotRun is a use case's transaction that must not be reached.
func (f fixture) mustNotRun(context.Context, *pg.Tx) (receipt, string, error) {
	f.Error("the use case ran")
	return receipt{}, "", nil
}

// results and begun are what batches end with, and begin with.
type (
	results = []groupcommit.Result[idem.Answer[receipt]]
	begun   = groupcommit.Result[idem.Begun[receipt]]
	ended   = groupcommit.Result[receipt]
)

// inTx runs a transaction as a group does: once more when somebody else was first.
func (f fixture) inTx(fn func(tx *pg.Tx) error) error {
	for {
		if err := pg.InTx(f.Context(), f.pool, fn); !errors.Is(err, groupcommit.ErrAgain) {
			return err
		}
	}
}

func opening(r idem.Request) idem.Opening { return idem.Opening{Request: r, Token: uuid.New()} }

// beginAll opens use cases with a lease that does not end by itself. Intents are effects under their keys; those
// under keys in errs end with that error.
func (f fixture) beginAll(errs map[string]error, openings ...idem.Opening) (all []begun, err error) {
	err = f.inTx(func(tx *pg.Tx) (err error) {
		all, err = idem.BeginAll[receipt](f.Context(), tx, openings, time.Hour,
			func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Intent, error) {
				if !slices.IsSorted(fresh) {
					f.Errorf("the fresh ones are out of order: %v", fresh)
				}
				intents := make([]idem.Intent, len(fresh))
				for n, i := range fresh {
					if intents[n].Err = errs[openings[i].Key]; intents[n].Err != nil {
						continue
					}
					if intents[n].Resource, err = addEffect(ctx, tx, "intent of "+openings[i].Key); err != nil {
						return nil, err
					}
				}
				return intents, nil
			})
		return err
	})
	return all, err
}

func (f fixture) mustBeginAll(errs map[string]error, openings ...idem.Opening) []begun {
	f.Helper()
	all, err := f.beginAll(errs, openings...)
	if err != nil {
		f.Fatal(err)
	}
	return all
}

// ask opens one use case, and begin takes its claim.
func (f fixture) ask(r idem.Request) begun {
	f.Helper()
	return f.mustBeginAll(nil, opening(r))[0]
}

func (f fixture) begin(r idem.Request) *idem.Claim {
	f.Helper()
	b := f.ask(r)
	if b.Err != nil || b.Value.Claim == nil {
		f.Fatalf("got %+v, want a claim", b)
	}
	return b.Value.Claim
}

// endAll ends claims with answers, and effects beside them; those on resources in errs with that error.
func (f fixture) endAll(errs map[string]error, endings ...idem.Ending) (all []ended, err error) {
	err = f.inTx(func(tx *pg.Tx) (err error) {
		all, err = idem.EndAll(f.Context(), tx, endings, func(ctx context.Context, tx *pg.Tx, held []int) ([]idem.Outcome[receipt], error) {
			outcomes := make([]idem.Outcome[receipt], len(held))
			for n, i := range held {
				outcomes[n] = idem.Outcome[receipt]{Answer: receipt{ID: endings[i].Resource, Note: "finished"}, Err: errs[endings[i].Resource]}
				if _, err := addEffect(ctx, tx, "outcome of "+endings[i].Resource); err != nil {
					return nil, err
				}
			}
			return outcomes, nil
		})
		return err
	})
	return all, err
}

func (f fixture) mustEndAll(errs map[string]error, endings ...idem.Ending) []ended {
	f.Helper()
	all, err := f.endAll(errs, endings...)
	if err != nil {
		f.Fatal(err)
	}
	return all
}

// finish ends one claim with an answer.
func (f fixture) finish(claim *idem.Claim) (receipt, error) {
	f.Helper()
	end := f.mustEndAll(nil, idem.Ending{Claim: claim})[0]
	return end.Value, end.Err
}

// burials are the ways to undo a request: what it made is given, and it is refused from then on.
var burials = map[string]func(f fixture, r idem.Request) (made string, err error){
	"at once": func(f fixture, r idem.Request) (string, error) {
		var all results
		err := f.inTx(func(tx *pg.Tx) (err error) {
			all, err = idem.UndoAll(f.Context(), tx, []idem.Undo{{Request: undoing(r), Of: r}},
				func(_ context.Context, _ *pg.Tx, _ []int, made []string) ([]idem.Outcome[receipt], error) {
					return []idem.Outcome[receipt]{{Answer: receipt{ID: made[0]}}}, nil
				})
			return err
		})
		if err != nil {
			return "", err
		}
		return all[0].Value.Value.ID, all[0].Err
	},
	"with a call in between": func(f fixture, r idem.Request) (string, error) {
		o := opening(undoing(r))
		o.Of = r
		var all []begun
		err := f.inTx(func(tx *pg.Tx) (err error) {
			all, err = idem.BeginUndoAll[receipt](f.Context(), tx, []idem.Opening{o}, time.Hour)
			return err
		})
		if err != nil || all[0].Err != nil {
			return "", errors.Join(err, all[0].Err)
		}
		return all[0].Value.Claim.Resource, nil
	},
}

// undoing is a request to undo another one, each time a new one.
func undoing(r idem.Request) idem.Request {
	return idem.Request{Caller: r.Caller, Method: "Undo", Key: uuid.NewString(), Epoch: r.Epoch}
}

func addEffect(ctx context.Context, tx *pg.Tx, name string) (id string, err error) {
	err = tx.QueryRow(ctx, `INSERT INTO effect (name) VALUES ($1) RETURNING id::text`, name).Scan(&id)
	return id, err
}

func (f fixture) wantEffects(want ...string) {
	f.Helper()
	got := pgtest.Column[string](f, f.pool, `SELECT name FROM effect ORDER BY id`)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("effects (-want +got):\n%s", diff)
	}
}

func (f fixture) exec(sql string, args ...any) {
	f.Helper()
	if _, err := f.pool.Exec(f.Context(), sql, args...); err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
}

// endLeases has every lease end now; expireKeys every key's time.
func (f fixture) endLeases() {
	f.Helper()
	f.exec(`UPDATE idem SET lease_until = now() - interval '1 second' WHERE state = 1`)
}

func (f fixture) expireKeys() {
	f.Helper()
	f.exec(`UPDATE idem SET expires_at = now() - interval '1 second' WHERE expires_at > now()`)
}

// call is the context of a gRPC handler whose header is kept.
type call struct {
	grpc.ServerTransportStream
	header metadata.MD
}

func (c *call) SetHeader(md metadata.MD) error {
	c.header = metadata.Join(c.header, md)
	return nil
}

func (f fixture) call() (context.Context, *call) {
	c := &call{}
	return grpc.NewContextWithServerTransportStream(f.Context(), c), c
}

func (c *call) replayed() bool {
	v := c.header.Get("idempotency-replayed")
	return len(v) == 1 && v[0] == "true"
}

// awaitBlocked returns when n sessions of the database wait for a lock.
func (f fixture) awaitBlocked(n int) {
	f.Helper()
	waittest.Until(f, "sessions wait for a lock", func() bool {
		var blocked int
		err := f.pool.QueryRow(f.Context(), `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&blocked)
		return err == nil && blocked == n
	})
}
