package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tieout/tieout/pkg/logtest"
)

// newDir returns a directory that an unprivileged server can reach, which t.TempDir is not when root runs the tests.
func newDir(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a database, which -short leaves out")
	}
	dir, err := os.MkdirTemp("", "tieout-local-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing the server's directory: %v", err)
		}
	})
	return dir
}

func start(t *testing.T, opts Options) *Server {
	t.Helper()
	server, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { stop(t, server) })
	return server
}

func stop(t *testing.T, server *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// ask runs one query on a new connection.
func ask[T any](t *testing.T, dsn, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func TestStart_KeepsDataOverARestart(t *testing.T) {
	t.Parallel()
	parent := newDir(t)
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "sub", "postgres") // neither is there yet
	server := start(t, Options{Dir: dir, Sync: true})
	if got := ask[string](t, server.DSN("postgres"), `SELECT current_setting('fsync')`); got != "on" {
		t.Errorf("got fsync %s, want on", got)
	}
	if got := ask[string](t, server.DSN("postgres"), `SELECT current_setting('data_checksums')`); got != "on" {
		t.Errorf("got data_checksums %s, want on", got)
	}
	ask[int](t, server.DSN("postgres"), `WITH a AS (SELECT 1) SELECT lo_create(4711)::int FROM a`)
	stop(t, server)

	began := time.Now()
	server = start(t, Options{Dir: dir, Port: server.Port()})
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("a warm start took %v", took)
	} else {
		t.Logf("a warm start took %v", took)
	}
	if got := ask[string](t, server.DSN("postgres"), `SELECT current_setting('fsync')`); got != "off" {
		t.Errorf("got fsync %s, want off", got)
	}
	if got := ask[int](t, server.DSN("postgres"), `SELECT count(*)::int FROM pg_largeobject_metadata`); got != 1 {
		t.Errorf("got %d large objects after a restart, want 1", got)
	}
}

func TestStart_KeepsStrangersOut(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	server := start(t, Options{Dir: dir})
	wrong := strings.Replace(server.DSN("postgres"), server.password, "guess", 1)
	_, err := pgx.Connect(t.Context(), wrong)
	if refusal, ok := errors.AsType[*pgconn.PgError](err); !ok || refusal.Code != "28P01" {
		t.Errorf("got error %v with a wrong password, want 28P01", err)
	}
	if got := ask[string](t, server.DSN("postgres"), `SELECT current_setting('listen_addresses')`); got != "127.0.0.1" {
		t.Errorf("got listen_addresses %s, want 127.0.0.1", got)
	}
	for path, want := range map[string]fs.FileMode{"superuser.password": 0o600, "data": 0o700, "postgres.log": 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: got mode %o, want %o", path, got, want)
		}
	}
}

func TestStart_RefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	start(t, Options{Dir: dir})
	if server, err := Start(t.Context(), Options{Dir: dir}); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("got %v, error %v; want EWOULDBLOCK", server, err)
	}
}

func TestStart_RefusesATakenPort(t *testing.T) {
	t.Parallel()
	first := start(t, Options{Dir: newDir(t)})
	_, err := Start(t.Context(), Options{Dir: newDir(t), Port: first.Port()})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got error %v, want EADDRINUSE", err)
	}
}

func TestStart_WritesTheLogWhereItIsTold(t *testing.T) {
	t.Parallel()
	log := new(logtest.Book)
	server := start(t, Options{Dir: newDir(t), Log: log})
	stop(t, server)
	if got := log.String(); !strings.Contains(got, "database system is shut down") {
		t.Errorf("got log %q", got)
	}
}

func TestStart_QuotesTheLogOfAServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	stop(t, start(t, Options{Dir: dir}))
	if err := os.Remove(filepath.Join(dir, "data", "global", "pg_control")); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "pg_control") {
		t.Errorf("got error %v, want the server's complaint about pg_control", err)
	}
}

func TestStart_RedoesAnInitThatDidNotFinish(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	for _, path := range []string{"data.new/base", "superuser.password"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // it is not empty, so its owner stays
		t.Fatal(err)
	}
	start(t, Options{Dir: dir})
}

func TestStart_AsRootSaysWhichDirectoryIsOutOfReach(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	closed := newDir(t) // of mode 0700 and root's
	_, err := Start(t.Context(), Options{Dir: filepath.Join(closed, "postgres")})
	if err == nil || !strings.Contains(err.Error(), "may not pass through "+closed+" ") {
		t.Errorf("got error %v, want one that names %s", err, closed)
	}
}

func TestStop_CutsSessionsOffAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	server := start(t, Options{Dir: newDir(t)})
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	stop(t, server)
	stop(t, server)
	if _, err := conn.Exec(t.Context(), `SELECT 1`); err == nil {
		t.Error("a session outlived the server")
	}
}

func TestStop_ShutsDownAtOnceWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	server, err := Start(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want nil or Canceled", err)
	}
	start(t, Options{Dir: dir})
}

func TestEnsureDatabase_GivesARoleItsOwnDatabaseOnly(t *testing.T) {
	t.Parallel()
	server := start(t, Options{Dir: newDir(t)})
	dsns := make(map[string]string)
	for _, name := range []string{"payment", "inventory", "payment"} {
		dsn, err := server.EnsureDatabase(t.Context(), name)
		if err != nil {
			t.Fatalf("EnsureDatabase(%s): %v", name, err)
		}
		if dsn == dsns[name] {
			t.Errorf("%s: the password is the old one", name)
		}
		dsns[name] = dsn
	}
	if got := ask[string](t, dsns["payment"], `SELECT current_user || '/' || current_database()`); got != "payment/payment" {
		t.Errorf("got %s, want payment/payment", got)
	}
	if ask[bool](t, dsns["payment"], `SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user`) {
		t.Error("the role has rights beyond its database")
	}
	other := strings.Replace(dsns["payment"], "/payment?", "/inventory?", 1)
	_, err := pgx.Connect(t.Context(), other)
	if refusal, ok := errors.AsType[*pgconn.PgError](err); !ok || refusal.Code != "42501" {
		t.Errorf("got error %v on another's database, want 42501", err)
	}
}

func TestEnsureDatabase_RefusesUnusableNames(t *testing.T) {
	t.Parallel()
	server := new(Server)
	for _, name := range []string{"", "postgres", "pg_x", "A", "a-b", `a"b`, strings.Repeat("a", 64)} {
		if _, err := server.EnsureDatabase(t.Context(), name); err == nil {
			t.Errorf("%q: got no error", name)
		}
	}
}

func TestFind_ReturnsAWholeServer(t *testing.T) {
	t.Parallel()
	found, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	if found.Version < minVersion {
		t.Errorf("got version %d", found.Version)
	}
}

func TestFindVersion_SaysWhatTheDataNeeds(t *testing.T) {
	t.Parallel()
	_, err := findVersion(9)
	if !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "PostgreSQL 9") {
		t.Errorf("got error %v", err)
	}
}
