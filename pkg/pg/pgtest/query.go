package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Column gives the rows of a query that has a single column. It works in a test's cleanup as well.
func Column[R any](t testing.TB, db *pgxpool.Pool, query string, args ...any) []R {
	t.Helper()
	return collect(t, db, pgx.RowTo[R], query, args...)
}

// Rows gives the rows of a query, columns to fields by position. It works in a test's cleanup as well.
func Rows[R any](t testing.TB, db *pgxpool.Pool, query string, args ...any) []R {
	t.Helper()
	return collect(t, db, pgx.RowToStructByPos[R], query, args...)
}

// Violations gives what violates the invariants of a service's database: the rows of its views inv_<number>_<name>, each
// as "view: id: detail". It works in a test's cleanup as well.
func Violations(t testing.TB, db *pgxpool.Pool) []string {
	t.Helper()
	all := Column[string](t, db, `
SELECT coalesce(string_agg(format('SELECT %L || '': '' || id || '': '' || detail FROM %I', viewname, viewname), ' UNION ALL '), '')
  FROM pg_views WHERE schemaname = 'public' AND viewname LIKE 'inv\_%'`)[0]
	if all == "" {
		t.Fatal("the database has no invariants")
	}
	return Column[string](t, db, all)
}

func collect[R any](t testing.TB, db *pgxpool.Pool, read pgx.RowToFunc[R], query string, args ...any) []R {
	t.Helper()
	rows, err := db.Query(context.WithoutCancel(t.Context()), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	all, err := pgx.CollectRows(rows, read)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}
