package orchestrator

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

// asked counts the statements of a pool, and among them the renewals of the lease.
type asked struct {
	mu         sync.Mutex
	statements int
	renewals   int
}

// TraceQueryStart implements pgx.QueryTracer.
func (a *asked) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.statements++; strings.Contains(q.SQL, "INSERT INTO replica") {
		a.renewals++
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (a *asked) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// after gives how many statements there were when the lease was renewed so often.
func (a *asked) after(t *testing.T, renewals int) (statements int) {
	t.Helper()
	waittest.Until(t, "the lease is renewed", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		statements = a.statements
		return a.renewals >= renewals
	})
	return statements
}

// An idle replica renews its lease three times in 5 s. Two statements a second are 3.3 a renewal; the relay, which has a
// connection of its own, asks once in 5 s.
func TestEngine_AnIdleReplicaAsksLittle(t *testing.T) {
	t.Parallel()
	count := &asked{}
	p := newParticipants(t)
	servicetest.Start(t, append(p.services(), service.Service{
		Name: "orchestrator", Migrations: Migrations(),
		Run: func(ctx context.Context, env *service.Env) error {
			pool, err := pg.Open(ctx, pg.Config{DSN: env.Pool.Config().ConnString(), Tracer: count})
			if err != nil {
				return err
			}
			t.Cleanup(pool.Close)
			env.Pool = pool
			return Run(ctx, env, DefaultConfig())
		},
	})...)
	const renewals = 6
	first := count.after(t, 2) // it has taken its shards
	if n := count.after(t, 2+renewals) - first; n > renewals*3 {
		t.Errorf("%d statements in the time of %d renewals, want 3 for each at most", n, renewals)
	}
}
