package pg_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/local"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
)

// Every way to lose a COMMIT's answer is unknown, whether it was applied or not; and the next transaction on the same
// pool works.
func TestInTx_ReportsALostCommitAsUnknown(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		proxy  commitFault
		kill   bool
		stored int
	}{
		"failed, not applied: connection cut before COMMIT":         {proxy: cutBefore, stored: 0},
		"failed, but applied: connection cut after COMMIT":          {proxy: cutAfter, stored: 1},
		"failed, not applied: session terminated as COMMIT is sent": {kill: true, stored: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t, things)
			direct := open(t, dsn)
			proxy := startProxy(t, dsn, fault.proxy)
			pool := open(t, proxy.dsn)
			unknown := 0
			err := pg.InTx(t.Context(), pool, func(tx *pg.Tx) error {
				tx.AfterCommit(func() { t.Error("AfterCommit ran") })
				tx.AfterUnknown(func() { unknown++ })
				if fault.kill {
					defer terminate(t, direct, tx.Conn().PgConn().PID())
				}
				return add(t.Context(), tx, "lost")
			})
			if !errors.Is(err, pg.ErrCommitUnknown) || unknown != 1 {
				t.Errorf("got error %v, want ErrCommitUnknown; AfterUnknown ran %d times", err, unknown)
			}
			if got := count(t, direct); got != fault.stored {
				t.Errorf("got %d rows, want %d", got, fault.stored)
			}
			proxy.heal()
			err = pg.InTx(t.Context(), pool, func(tx *pg.Tx) error { return add(t.Context(), tx, "next") })
			if err != nil {
				t.Errorf("the transaction after it: %v", err)
			}
		})
	}
}

func TestInTx_TakesAnUnreplicatedCommitForUnknown(t *testing.T) {
	t.Parallel()
	pool := openWithLostStandby(t)
	outcome := make(chan error, 1)
	pids := make(chan uint32, 1)
	go func() {
		outcome <- pg.InTx(t.Context(), pool, func(tx *pg.Tx) error {
			tx.AfterCommit(func() { t.Error("AfterCommit ran") })
			pids <- tx.Conn().PgConn().PID()
			return addReplicated(t.Context(), tx, "a")
		})
	}()
	awaitStandbyWait(t, pool, <-pids, `SELECT pg_cancel_backend($1)`)
	if err := <-outcome; !errors.Is(err, pg.ErrCommitUnknown) {
		t.Errorf("got error %v, want ErrCommitUnknown", err)
	}
	// The connection is in order, and its next commit is judged by itself.
	err := pg.InTx(t.Context(), pool, func(tx *pg.Tx) error { return add(t.Context(), tx, "b") })
	if err != nil {
		t.Errorf("a commit that needs no standby: %v", err)
	}
}

func TestInTx_StopsWaitingAtItsLimitAndLetsTheCommitGoOn(t *testing.T) {
	t.Parallel()
	pool := openWithLostStandby(t)
	var pid uint32
	err := pg.InTxWithin(t.Context(), pool, 200*time.Millisecond, func(tx *pg.Tx) error {
		pid = tx.Conn().PgConn().PID()
		return addReplicated(t.Context(), tx, "a")
	})
	if !errors.Is(err, pg.ErrCommitUnknown) {
		t.Fatalf("got error %v, want ErrCommitUnknown", err)
	}
	if got := count(t, pool); got != 0 {
		t.Errorf("got %d rows while the standby has none: the server was told to give up waiting", got)
	}
	mustExec(t, pool, `ALTER SYSTEM RESET synchronous_standby_names`)
	mustExec(t, pool, `SELECT pg_reload_conf()`)
	waittest.Until(t, "the commit is through", func() bool { return count(t, pool) == 1 })
	waittest.Until(t, "its connection is back", func() bool { return pool.Stat().AcquiredConns() == 0 })
	if pid == 0 {
		t.Error("no transaction ran")
	}
}

func open(t *testing.T, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), pg.Config{DSN: dsn})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func mustExec(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// terminate returns when the session is gone.
func terminate(t *testing.T, pool *pgxpool.Pool, pid uint32) {
	mustExec(t, pool, `SELECT pg_terminate_backend($1)`, pid)
	waittest.Until(t, "the session is gone", func() bool {
		var gone bool
		err := pool.QueryRow(t.Context(), `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)`, pid).Scan(&gone)
		return err == nil && gone
	})
}

// openWithLostStandby returns a pool on a server whose synchronous standby is away: a COMMIT that asks for replication
// waits for ever. It has a server of its own, for the setting is the whole server's.
func openWithLostStandby(t *testing.T) *pgxpool.Pool {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a database, which -short leaves out")
	}
	dir, err := os.MkdirTemp("", "tieout-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, err := local.Start(t.Context(), local.Options{Dir: dir})
	if err != nil {
		t.Fatalf("starting a server: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Errorf("stopping the server: %v", err)
		}
	})
	if err := pg.Migrate(t.Context(), server.DSN("postgres"), things); err != nil {
		t.Fatalf("migrating: %v", err)
	}
	pool := open(t, server.DSN("postgres"))
	mustExec(t, pool, `ALTER SYSTEM SET synchronous_standby_names = 'away'`)
	mustExec(t, pool, `SELECT pg_reload_conf()`)
	awaitLostStandby(t, pool)
	return pool
}

// awaitLostStandby commits until a COMMIT waits: the setting takes effect some time after the reload.
func awaitLostStandby(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	probe := open(t, pool.Config().ConnString()+"&synchronous_commit=on")
	ctx, cancel := context.WithCancel(t.Context())
	var probing sync.WaitGroup
	probing.Go(func() {
		for ctx.Err() == nil {
			_, _ = probe.Exec(ctx, `COMMENT ON TABLE thing IS 'probe'`)
		}
	})
	waittest.Until(t, "commits wait for the standby", func() bool {
		var waits bool
		err := pool.QueryRow(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')`).Scan(&waits)
		return err == nil && waits
	})
	cancel()
	probing.Wait()
}

func addReplicated(ctx context.Context, tx *pg.Tx, name string) error {
	_, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = on`)
	return errors.Join(err, add(ctx, tx, name))
}

// awaitStandbyWait runs the statement on the session once its COMMIT waits for the standby.
func awaitStandbyWait(t *testing.T, pool *pgxpool.Pool, pid uint32, then string) {
	t.Helper()
	waittest.Until(t, "COMMIT waits for the standby", func() bool {
		var waits bool
		err := pool.QueryRow(t.Context(), `
			SELECT coalesce(wait_event = 'SyncRep', false) FROM pg_stat_activity WHERE pid = $1`, pid).Scan(&waits)
		return err == nil && waits
	})
	mustExec(t, pool, then, pid)
}

// commitFault is what a proxy does to the first COMMIT it sees.
type commitFault int

const (
	passOn    commitFault = iota
	cutBefore             // the server never gets it
	cutAfter              // the server has answered it, the client never hears
)

// proxy stands between a pool and the server.
type proxy struct {
	dsn    string
	server string

	mu    sync.Mutex
	fault commitFault
}

func startProxy(t *testing.T, dsn string, fault commitFault) *proxy {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{server: u.Host, fault: fault}
	u.Host = listener.Addr().String()
	p.dsn = u.String()
	var connections sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		connections.Wait()
	})
	connections.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { p.relay(client) })
		}
	})
	return p
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = passOn
}

func (p *proxy) faultFor(message []byte) commitFault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bytes.Contains(message, []byte("commit\x00")) {
		return p.fault
	}
	return passOn
}

// relay copies both ways until one side closes; pgx sends COMMIT as one write.
func (p *proxy) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	var muted sync.Mutex // held for good from the moment that the client must hear nothing more
	answered := make(chan struct{}, 1)
	go func() {
		defer client.Close()
		buffer := make([]byte, 32<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil {
				return
			}
			if !muted.TryLock() {
				answered <- struct{}{}
				return
			}
			_, err = client.Write(buffer[:n])
			muted.Unlock()
			if err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		switch p.faultFor(buffer[:n]) {
		case cutBefore:
			return
		case cutAfter:
			muted.Lock()
			if _, err := server.Write(buffer[:n]); err == nil {
				<-answered
			}
			return
		case passOn:
			if _, err := io.Copy(server, bytes.NewReader(buffer[:n])); err != nil {
				return
			}
		}
	}
}
