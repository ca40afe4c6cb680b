package pg_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

type countingTracer struct{ queries atomic.Int64 }

func (c *countingTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.queries.Add(1)
	return ctx
}

func (*countingTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestOpen_AppliesTheConfig(t *testing.T) {
	t.Parallel()
	tracer := new(countingTracer)
	pool, err := pg.Open(t.Context(), pg.Config{
		DSN: pgtest.DSN(t), ApplicationName: "tieout-test", MaxConns: 3, Tracer: tracer,
	})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(pool.Close)
	var name, timeout string
	err = pool.QueryRow(t.Context(), `SELECT current_setting('application_name'), current_setting('statement_timeout')`).
		Scan(&name, &timeout)
	if err != nil {
		t.Fatalf("query: %v", err)
	}
	if name != "tieout-test" || timeout != "0" {
		t.Errorf("got application_name %q, statement_timeout %q; want tieout-test, 0", name, timeout)
	}
	if got := pool.Config().MaxConns; got != 3 {
		t.Errorf("got MaxConns %d, want 3", got)
	}
	if tracer.queries.Load() == 0 {
		t.Error("the tracer saw nothing")
	}
}

func TestOpen_NeedsNoServerAndHasDefaults(t *testing.T) {
	t.Parallel()
	pool, err := pg.Open(t.Context(), pg.Config{DSN: "postgres://nobody@" + nettest.FreeAddr(t) + "/none"})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer pool.Close()
	if got := pool.Config().MaxConns; got != 10 {
		t.Errorf("got MaxConns %d, want 10", got)
	}
}

func TestOpen_RefusesAMalformedDSN(t *testing.T) {
	t.Parallel()
	if _, err := pg.Open(t.Context(), pg.Config{DSN: "postgres://:port/"}); err == nil {
		t.Error("got no error")
	}
}

func TestWaitReady_ReturnsOnceTheDatabaseAnswers(t *testing.T) {
	t.Parallel()
	if err := pg.WaitReady(t.Context(), pgtest.Pool(t)); err != nil {
		t.Errorf("WaitReady: %v", err)
	}
}

func TestWaitReady_SaysWhyWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	pool, err := pg.Open(t.Context(), pg.Config{DSN: "postgres://nobody@" + nettest.FreeAddr(t) + "/none"})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer pool.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err = pg.WaitReady(ctx, pool)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want DeadlineExceeded", err)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); !ok {
		t.Errorf("got error %v, want the connection's own in it", err)
	}
}
