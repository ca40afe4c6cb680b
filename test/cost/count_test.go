package cost

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/pg/local"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

// countingServer is a Postgres of the test's own that counts statements, where it can.
func countingServer(t *testing.T) *local.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "tieout-pg-") // unlike t.TempDir's parent, open to the server's account
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	start := func() *local.Server {
		server, err := local.Start(t.Context(), local.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
	server := start()
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`CREATE EXTENSION pg_stat_statements`, `ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Logf("statements are not counted: %v", err) // the extension comes with the server, but as a package of its own here and there
			break
		}
	}
	if err := errors.Join(conn.Close(t.Context()), server.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	server = start()
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	return server
}

// readCounters gives what has been counted so far of everything that counts at once.
func readCounters(t *testing.T, server *local.Server, js jetstream.JetStream) map[string]int64 {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	counters := map[string]int64{}
	var wal, statements, commits int64
	if err := conn.QueryRow(t.Context(), `SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint`).Scan(&wal); err != nil {
		t.Fatal(err)
	}
	var counting bool
	err = conn.QueryRow(t.Context(), `SELECT current_setting('shared_preload_libraries') = 'pg_stat_statements'`).Scan(&counting)
	if err == nil && counting {
		err = conn.QueryRow(t.Context(), `
SELECT sum(calls)::bigint, coalesce(sum(calls) FILTER (WHERE lower(query) = 'commit'), 0)::bigint FROM pg_stat_statements`).Scan(&statements, &commits)
	}
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	counters["bytes of WAL"], counters["statements"], counters["commits"] = wal, statements, commits
	counters["events"] = int64(stream.CachedInfo().State.LastSeq)
	counters["allocations"], counters["bytes allocated"] = int64(memory.Mallocs), int64(memory.TotalAlloc)
	return counters
}

// roundTrips gives how often a process has sent something to Postgres and waited for the answer.
func roundTrips(t *testing.T, process *service.Process) (n int64) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+process.HTTPAddr()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		found := sent.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		count, err := strconv.ParseInt(found[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n += count
	}
	if n == 0 {
		t.Fatal("no round trips are told")
	}
	return n
}

var sent = regexp.MustCompile(`^db_client_operation_duration_seconds_count\{.*pgx_operation_type="(?:query|batch)".*\} (\d+)$`)

// awaitDisconnected waits until nobody but the test is connected.
func awaitDisconnected(t *testing.T, server *local.Server) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	waittest.Until(t, "the services are disconnected", func() bool {
		var connected int
		err := conn.QueryRow(t.Context(), `
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'test'`).Scan(&connected)
		if err != nil {
			t.Fatal(err)
		}
		return connected == 0
	})
}

// behind is how many events consumers have not done with.
func behind(t *testing.T, js jetstream.JetStream) (n uint64) {
	t.Helper()
	stream, err := js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	consumers := stream.ListConsumers(t.Context())
	for info := range consumers.Info() {
		n += info.NumPending + uint64(info.NumAckPending)
	}
	if err := consumers.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// changes are rows that were changed in tables of services, and read.
type changes struct{ inserted, updated, deleted, read int64 }

func (c changes) since(before changes) changes {
	return changes{c.inserted - before.inserted, c.updated - before.updated, c.deleted - before.deleted, c.read - before.read}
}

// rowsOf adds up what the tables of all services have seen so far, of connections that have ended.
func rowsOf(t *testing.T, world *systemtest.World) (all changes) {
	t.Helper()
	for name, pool := range world.Pool {
		var c changes
		err := pool.QueryRow(t.Context(), `
SELECT sum(n_tup_ins)::bigint, sum(n_tup_upd)::bigint, sum(n_tup_del)::bigint, (sum(seq_tup_read) + coalesce(sum(idx_tup_fetch), 0))::bigint
  FROM pg_stat_user_tables`).Scan(&c.inserted, &c.updated, &c.deleted, &c.read)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all.inserted, all.updated, all.deleted = all.inserted+c.inserted, all.updated+c.updated, all.deleted+c.deleted
		all.read += c.read
	}
	return all
}
