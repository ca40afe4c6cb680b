package idem_test

import (
	"context"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
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

// intend is the first transaction of a use case that calls somebody.
func intend(ctx context.Context, tx *pg.Tx) (string, error) { return addEffect(ctx, tx, "intent") }

func (f fixture) mustNotIntend(context.Context, *pg.Tx) (string, error) {
	f.Error("the intent ran")
	return "", nil
}

// begin takes a claim with a lease that does not end by itself.
func (f fixture) begin(r idem.Request) *idem.Claim[receipt] {
	f.Helper()
	claim, _, err := idem.Begin[receipt](f.Context(), f.pool, r, time.Hour, intend)
	if err != nil {
		f.Fatalf("Begin: %v", err)
	}
	if claim == nil {
		f.Fatal("Begin gave no claim")
	}
	return claim
}

// finish ends a claim with an answer, and an effect beside it.
func finish(ctx context.Context, claim *idem.Claim[receipt]) (receipt, error) {
	return claim.Finish(ctx, func(ctx context.Context, tx *pg.Tx) (receipt, *rpcerr.Error, error) {
		_, err := addEffect(ctx, tx, "outcome")
		return receipt{ID: claim.Resource, Note: "finished"}, nil, err
	})
}

func (f fixture) bury(r idem.Request) (resource string, seen bool, err error) {
	f.Helper()
	err = pg.InTx(f.Context(), f.pool, func(tx *pg.Tx) (err error) {
		resource, seen, err = idem.Bury(f.Context(), tx, r)
		return err
	})
	return resource, seen, err
}

// mustBury says what Bury should find.
func (f fixture) mustBury(r idem.Request, wantResource string, wantSeen bool) {
	f.Helper()
	resource, seen, err := f.bury(r)
	if err != nil || resource != wantResource || seen != wantSeen {
		f.Errorf("Bury: got %q, %v, %v; want %q, %v", resource, seen, err, wantResource, wantSeen)
	}
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
