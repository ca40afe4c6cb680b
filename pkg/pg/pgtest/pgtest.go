package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/local"
)

const (
	setUpLimit   = time.Minute
	cleanUpLimit = 20 * time.Second
)

// shared is the binary's cluster. It is the package's only state: what TestMain sets up has no other way to the tests.
var shared kit

// kit starts the cluster once, and ends it once.
type kit struct {
	mu      sync.Mutex
	ready   bool // Main runs
	ended   bool
	cluster *cluster
	err     error // of the one attempt to start
}

// Main runs the tests of the binary, stops and removes the cluster if one was started, and exits with the tests' code.
// A signal ends the cluster too; a crash of the binary does on Linux, where the kernel tells the server, and its
// directory is removed by a later run.
func Main(m *testing.M) {
	shared.mu.Lock()
	shared.ready = true
	shared.mu.Unlock()

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		exit(1)
	}()
	exit(m.Run())
}

func exit(code int) {
	if err := shared.end(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Server returns the cluster, for what a database of one's own does not allow: superuser sessions, roles, settings.
// It is shared with all tests of the binary.
func Server(t testing.TB) *local.Server {
	t.Helper()
	return running(t).server
}

// DSN returns the URL of a database that only this test uses, with the sets applied in order. Its role owns the
// database and is no superuser, as in production. The database is dropped, and who is still connected cut off, when
// the test is over.
func DSN(t testing.TB, sets ...pg.Migrations) string {
	t.Helper()
	c := running(t)
	ctx, cancel := context.WithTimeout(t.Context(), setUpLimit)
	defer cancel()
	name, err := c.clone(ctx, sets)
	if err != nil {
		t.Fatalf("making a test database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit) // t.Context has ended
		defer cancel()
		if err := c.drop(ctx, name); err != nil {
			t.Errorf("dropping the test database: %v", err)
		}
	})
	return c.dsn(name)
}

// Pool returns a pool on a database as DSN makes it. It is closed when the test is over, which waits for connections
// that were not given back.
func Pool(t testing.TB, sets ...pg.Migrations) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), pg.Config{DSN: DSN(t, sets...), ApplicationName: t.Name()})
	if err != nil {
		t.Fatalf("opening the test database: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func running(t testing.TB) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a database, which -short leaves out")
	}
	c, err := shared.get()
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	return c
}

func (k *kit) get() (*cluster, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case !k.ready:
		return nil, errors.New("the package's TestMain does not call pgtest.Main")
	case k.ended:
		return nil, errors.New("the tests are over")
	case k.cluster == nil && k.err == nil:
		// Not the first test's context: the cluster outlives it.
		ctx, cancel := context.WithTimeout(context.Background(), setUpLimit)
		defer cancel()
		k.cluster, k.err = startCluster(ctx)
	}
	return k.cluster, k.err
}

// end is called by Main and by the signal handler, whichever comes first; the other one waits until it is done.
func (k *kit) end() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return nil
	}
	k.ended = true
	if k.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
	defer cancel()
	return k.cluster.end(ctx)
}
