package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// SessionLock is an advisory lock of a database that lives and dies with a connection of its own: what must have
// one active process at a time holds it. Whoever holds it works on its connection, and so notices when it is lost;
// a holder cut off without noticing may act a moment longer than it should, so the lock saves work, and something
// else has to keep the data right. It belongs to one goroutine.
type SessionLock struct {
	pool *pgxpool.Pool
	key  int64
	conn *pgx.Conn // nil when there is none, or after an error
	held bool
}

// NewSessionLock makes the lock with a key in the pool's database; it is not held yet.
func NewSessionLock(pool *pgxpool.Pool, key int64) *SessionLock {
	return &SessionLock{pool: pool, key: key}
}

// Acquire tries to take the lock, and reports whether it is held. It asks instead of waiting in pg_advisory_lock,
// which would hold back vacuum for as long as it waits.
func (l *SessionLock) Acquire(ctx context.Context) (held bool, err error) {
	if l.held {
		return true, nil
	}
	if l.conn == nil {
		cfg := l.pool.Config().ConnConfig
		cfg.Tracer = nil // polls are no trace that anybody wants
		// A process that vanished without closing its connection must not keep the lock for hours.
		cfg.RuntimeParams["tcp_keepalives_idle"] = "5"
		cfg.RuntimeParams["tcp_keepalives_interval"] = "5"
		cfg.RuntimeParams["tcp_keepalives_count"] = "3"
		if l.conn, err = pgx.ConnectConfig(ctx, cfg); err != nil {
			return false, fmt.Errorf("connecting to take lock: %w", err)
		}
	}
	if err := l.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", l.key).Scan(&l.held); err != nil {
		l.Release()
		return false, fmt.Errorf("taking lock: %w", err)
	}
	return l.held, nil
}

// Held reports whether the lock was acquired and not released.
func (l *SessionLock) Held() bool { return l.held }

// Conn is the connection that holds the lock. After an error on it, release the lock.
func (l *SessionLock) Conn() *pgx.Conn { return l.conn }

// Release gives up the lock with the connection that holds it.
func (l *SessionLock) Release() {
	if l.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = l.conn.Close(ctx) // the server notices either way
	}
	l.conn, l.held = nil, false
}
