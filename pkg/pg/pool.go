package pg

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
)

const (
	defaultMaxConns    = 10
	connectTimeout     = 5 * time.Second
	connLifetime       = 30 * time.Minute
	connLifetimeJitter = 3 * time.Minute
	connIdleTime       = 5 * time.Minute

	firstPingDelay = 50 * time.Millisecond
	maxPingDelay   = time.Second
)

// sessionDefaults are what a session is told unless the DSN says otherwise.
var sessionDefaults = map[string]string{
	// When the server ends a transaction whose process says nothing: one that was stopped must not keep its locks from
	// those that go on.
	"idle_in_transaction_session_timeout": "3s",
	// A statement over many rows is planned for the rows that it is given and the table as it has become. A plan that is
	// kept was made when the table was small, and reads all of it when it has grown.
	"plan_cache_mode": "force_custom_plan",
}

// Config says which database a pool connects to, and how.
type Config struct {
	// DSN is a URL (postgres://…) or a keyword/value string.
	DSN string
	// MaxConns is the most connections the pool holds. 0 means 10.
	MaxConns int32
	// Reserved is how many of them work that yields ([Yielding]) leaves to other work. 0 is none.
	Reserved int32
	// ApplicationName is what pg_stat_activity and the server's log call these connections. Empty leaves what the DSN says.
	ApplicationName string
	// Tracer sees every statement. Optional.
	Tracer pgx.QueryTracer
}

// Open makes a pool. It connects when it is first used, so the server need not be up; only a malformed Config is an
// error. Connections are replaced after half an hour, so that a moved server is found again, and statements are
// prepared once per connection. There is no statement timeout: deadlines come with each call's context. A transaction
// in which nothing is said for 3 s is ended by the server, and statements are planned each time, unless the DSN says
// otherwise.
//
// Transactions run by InTx must use a pool made here, for the pool's connections watch for the server's warnings.
func Open(ctx context.Context, cfg Config) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(cfg.DSN)
	if err != nil {
		return nil, fmt.Errorf("parsing database DSN: %w", err)
	}
	pc.MaxConns = cmp.Or(cfg.MaxConns, defaultMaxConns)
	pc.MinConns = min(pc.MinConns, pc.MaxConns)
	pc.MaxConnLifetime = connLifetime
	pc.MaxConnLifetimeJitter = connLifetimeJitter
	pc.MaxConnIdleTime = connIdleTime
	// Without it pgx sends a uuid.UUID as text through database/sql's interface, at several times the cost.
	pc.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap())
		return nil
	}

	cc := pc.ConnConfig
	cc.ConnectTimeout = cmp.Or(cc.ConnectTimeout, connectTimeout)
	cc.OnNotice = noteUnreplicatedCommit
	if cc.Tracer = cfg.Tracer; cfg.Reserved > 0 {
		cc.Tracer = multitracer.New(tracers(cfg.Tracer, &reserve{others: make(chan struct{}, max(1, pc.MaxConns-cfg.Reserved))})...)
	}
	for name, value := range sessionDefaults {
		if _, set := cc.RuntimeParams[name]; !set {
			cc.RuntimeParams[name] = value
		}
	}
	if cfg.ApplicationName != "" {
		cc.RuntimeParams["application_name"] = cfg.ApplicationName
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("opening database pool: %w", err)
	}
	return pool, nil
}

func tracers(all ...pgx.QueryTracer) []pgx.QueryTracer {
	return slices.DeleteFunc(all, func(t pgx.QueryTracer) bool { return t == nil })
}

// WaitReady returns when the database answers. It asks again with growing pauses, at least once a second, until ctx
// ends; the error then holds both ctx's and the database's last one.
func WaitReady(ctx context.Context, pool *pgxpool.Pool) error {
	for delay := firstPingDelay; ; delay = min(2*delay, maxPingDelay) {
		err := pool.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the database: %w: %w", context.Cause(ctx), err)
		case <-time.After(delay):
		}
	}
}
