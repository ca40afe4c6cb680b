package benchtest

import (
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/pg/local"
)

// Load has b.N things done, so many at once, and reports how many there were a second, the median and the 99th
// percentile of the time that do says each took, and what each cost the server: commits, of all its databases, and
// bytes of WAL. Things are numbered from 1; number 0 is done before, to warm up.
func Load(b *testing.B, server *local.Server, thing string, inFlight int, do func(n int64) (time.Duration, error)) {
	b.Helper()
	if _, err := do(0); err != nil {
		b.Fatal(err)
	}
	costs := Costs(b, server, thing)
	latencies := make([][]time.Duration, inFlight)
	var next atomic.Int64
	var doing sync.WaitGroup
	b.ResetTimer()
	for d := range inFlight {
		doing.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				took, err := do(n)
				if err != nil {
					b.Error(err)
					return
				}
				latencies[d] = append(latencies[d], took)
			}
		})
	}
	doing.Wait()
	b.StopTimer()
	all := slices.Concat(latencies...)
	if len(all) == 0 {
		return // and failed
	}
	slices.Sort(all)
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(n/b.Elapsed().Seconds(), thing+"s/s")
	b.ReportMetric(all[len(all)/2].Seconds()*1000, "ms-p50")
	b.ReportMetric(all[len(all)*99/100].Seconds()*1000, "ms-p99")
	costs(b.N)
}

// Costs gives a function that reports what each of so many things has cost since: the server commits, of all its databases, and bytes
// of WAL; and microseconds of processors of this process, and of the server's.
func Costs(b *testing.B, server *local.Server, thing string) (report func(n int)) {
	b.Helper()
	before := costsOf(b, server)
	return func(n int) {
		b.Helper()
		after := costsOf(b, server)
		b.ReportMetric(float64(after.commits-before.commits)/float64(n), "commits/"+thing)
		b.ReportMetric(float64(after.wal-before.wal)/float64(n), "WAL-B/"+thing)
		b.ReportMetric(float64((after.own-before.own).Microseconds())/float64(n), "own-us/"+thing)
		b.ReportMetric(float64((after.server-before.server).Microseconds())/float64(n), "server-us/"+thing)
	}
}

// costs is what a server has done since it was made, and what processors have worked for this process and for it.
type costs struct {
	commits, wal int64
	own, server  time.Duration
}

func costsOf(b *testing.B, server *local.Server) (c costs) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), server.DSN("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	err = conn.QueryRow(b.Context(), `
SELECT sum(xact_commit)::bigint, (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint FROM pg_stat_database`).Scan(&c.commits, &c.wal)
	if err != nil {
		b.Fatal(err)
	}
	postmaster, err := Postmaster(b.Context(), conn)
	if err != nil {
		b.Fatal(err)
	}
	var err1, err2 error
	c.own, err1 = Used(os.Getpid(), false)
	c.server, err2 = Used(postmaster, true)
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	return c
}
