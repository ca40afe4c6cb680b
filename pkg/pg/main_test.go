package pg_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// things is a set with one table.
var things = pg.Migrations{Name: "things", FS: fstest.MapFS{
	"0001_thing.sql": {Data: []byte(`-- +goose Up
CREATE TABLE thing (
	name text CONSTRAINT thing_name_key UNIQUE DEFERRABLE INITIALLY DEFERRED
);
`)},
}}

func add(ctx context.Context, tx *pg.Tx, name string) error {
	_, err := tx.Exec(ctx, `INSERT INTO thing (name) VALUES ($1)`, name)
	return err
}

func count(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	var n int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM thing`).Scan(&n); err != nil {
		t.Fatalf("counting things: %v", err)
	}
	return n
}
