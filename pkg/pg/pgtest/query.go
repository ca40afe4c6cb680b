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
