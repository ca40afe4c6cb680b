package pg_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

func openReserved(t *testing.T, conns, reserved int32) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), pg.Config{DSN: pgtest.DSN(t), MaxConns: conns, Reserved: reserved, Tracer: new(countingTracer)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func acquire(ctx context.Context, t *testing.T, pool *pgxpool.Pool) *pgxpool.Conn {
	t.Helper()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		t.Fatalf("acquiring a connection: %v", err)
	}
	return conn
}

// wantNone wants that there is no connection for work that yields.
func wantNone(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(pg.Yielding(t.Context()), 20*time.Millisecond)
	defer cancel()
	if conn, err := pool.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("work that yields got a connection (%v), want it to wait until its deadline", err)
		conn.Release()
	}
}

func TestReserve_IsNotForWorkThatYields(t *testing.T) {
	t.Parallel()
	pool := openReserved(t, 4, 2)
	yielding := pg.Yielding(t.Context())
	first, second := acquire(yielding, t, pool), acquire(yielding, t, pool)
	wantNone(t, pool)
	third, fourth := acquire(t.Context(), t, pool), acquire(t.Context(), t, pool)
	third.Release()
	wantNone(t, pool)
	first.Release()
	acquire(yielding, t, pool).Release()
	second.Release()
	fourth.Release()
}

func TestReserve_IsGivenBackHoweverAConnectionEnds(t *testing.T) {
	t.Parallel()
	pool := openReserved(t, 3, 2)
	yielding := pg.Yielding(t.Context())
	for range 3 {
		broken := acquire(yielding, t, pool)
		if err := broken.Conn().Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		broken.Release()
		failed := pg.InTx(yielding, pool, func(tx *pg.Tx) error { return errors.New("no") })
		if failed == nil {
			t.Fatal("a transaction that fails did not")
		}
		if _, err := pool.Exec(yielding, `SELECT 1/0`); err == nil {
			t.Fatal("a statement that fails did not")
		}
		gone, cancel := context.WithCancel(yielding)
		cancel()
		if _, err := pool.Acquire(gone); err == nil {
			t.Fatal("acquired for somebody who is gone")
		}
	}
	for range 5 {
		if _, err := pool.Exec(yielding, `SELECT 1`); err != nil {
			t.Fatal(err)
		}
	}
	held := acquire(yielding, t, pool)
	wantNone(t, pool)
	held.Release()
}
