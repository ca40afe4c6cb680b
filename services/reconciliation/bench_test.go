package reconciliation

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/pg/local"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

// BenchmarkRun matches so many movements of each side, with two in a hundred that do not match, through the service and on a
// server that syncs its commits to disk. Beside it stands what plain SQL takes that knows of one reference and of nothing else:
// a full join, and a join whose pairs are inserted under two unique indexes.
func BenchmarkRun(b *testing.B) {
	rows := 200_000
	if text := os.Getenv("BENCH_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) { benchmarkRun(b, rows) })
}

func benchmarkRun(b *testing.B, rows int) {
	for range b.N {
		b.StopTimer()
		server := pgtest.Durable(b)
		f := &runFixture{TB: b, dsn: pgtest.DurableDSN(b, server, "reconciliation", Migrations()...), config: DefaultConfig()}
		var err error
		if f.db, err = pgxpool.New(b.Context(), f.dsn); err != nil {
			b.Fatal(err)
		}
		f.start()
		f.reconciliation.runner.pieceSize = pieceSize
		fill(b, f.db, rows)
		checkpoint(b, server)
		b.StartTimer()
		began := time.Now()
		made := f.run("2026-11-30")
		took := time.Since(began)
		b.StopTimer()
		if made.GetMatched() != int64(rows-rows/50) {
			b.Fatalf("the run came to %v", made)
		}
		b.ReportMetric(took.Seconds(), "s-run")
		b.ReportMetric(float64(2*rows)/took.Seconds(), "rows/s")
		b.ReportMetric(peakMiB(b), "MiB-peak")
		plain := plainSQL(b, f.db, server)
		b.ReportMetric(plain, "s-plain-SQL")
		b.ReportMetric(took.Seconds()/plain, "times-plain-SQL")
		f.db.Close()
	}
}

// fill makes rows of both sides, in two deliveries.
func fill(b *testing.B, db *pgxpool.Pool, rows int) {
	b.Helper()
	for _, statement := range []string{
		`INSERT INTO partition (stage, account, currency) VALUES (1, 'default', 'EUR')`,
		fmt.Sprintf(`INSERT INTO delivery (kind, state, rows) VALUES (3, 1, %[1]d), (1, 1, %[1]d)`, rows),
		fmt.Sprintf(`
INSERT INTO movement (id, key, partition_id, ours, kind, amount_minor, day, provider_id, idem_key, reference, payment_id, line)
SELECT (1::bigint << 32) + n, md5('o' || n)::uuid, 1, true, 1, 100 + n %% 9973, date '2026-11-01' + n %% 28, 'ch_' || md5(n::text),
       'saga/' || md5(n::text) || '/charge', 'ord_' || md5('r' || n), 'pay_' || md5('p' || n), 0
  FROM generate_series(1, %d) n`, rows),
		fmt.Sprintf(`
INSERT INTO movement (id, key, partition_id, ours, kind, amount_minor, fee_minor, day, provider_id, parent_id, idem_key, reference, payout_id, line, note)
SELECT (2::bigint << 32) + row_number() OVER (ORDER BY md5('s' || n)), md5('t' || n)::uuid, 1, false, 1, 100 + n %% 9973, 20 + n %% 150,
       date '2026-11-02' + n %% 28, 'ch_' || md5(CASE WHEN n %% 50 = 0 THEN 'x' ELSE '' END || n), '', 'saga/' || md5(CASE WHEN n %% 50 = 0 THEN 'x' ELSE '' END || n) || '/charge',
       'ord_' || md5(CASE WHEN n %% 50 = 0 THEN 'x' ELSE 'r' END || n), 'po_' || n %% 28, n, 'charge'
  FROM generate_series(1, %d) n`, rows),
		`VACUUM ANALYZE movement`,
	} {
		if _, err := db.Exec(b.Context(), statement); err != nil {
			b.Fatalf("%v\n%s", err, statement)
		}
	}
}

// plainSQL gives how long it takes to join by reference and insert the pairs under two unique indexes.
func plainSQL(b *testing.B, db *pgxpool.Pool, server *local.Server) (seconds float64) {
	b.Helper()
	for _, statement := range []string{
		`CREATE TABLE ours_plain AS SELECT id, provider_id AS reference, amount_minor FROM movement WHERE ours`,
		`CREATE TABLE theirs_plain AS SELECT id, provider_id AS reference, amount_minor FROM movement WHERE NOT ours`,
		`VACUUM ANALYZE ours_plain, theirs_plain`,
		`CREATE TABLE pair_plain (ours bigint NOT NULL UNIQUE, theirs bigint NOT NULL UNIQUE)`,
	} {
		if _, err := db.Exec(b.Context(), statement); err != nil {
			b.Fatalf("%v\n%s", err, statement)
		}
	}
	checkpoint(b, server)
	began := time.Now()
	_, err := db.Exec(b.Context(), `INSERT INTO pair_plain SELECT o.id, t.id FROM ours_plain o JOIN theirs_plain t USING (reference, amount_minor)`)
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	began = time.Now()
	var n int
	if err := db.QueryRow(b.Context(), `SELECT count(*) FROM ours_plain o FULL JOIN theirs_plain t USING (reference, amount_minor)`).Scan(&n); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(began).Seconds(), "s-full-join")
	return took.Seconds()
}

// checkpoint has the server write what it has in memory, so that what is measured does not.
func checkpoint(b *testing.B, server *local.Server) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), server.DSN("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	if _, err := conn.Exec(b.Context(), `CHECKPOINT`); err != nil {
		b.Fatal(err)
	}
}

// peakMiB is the most memory that the process has had.
func peakMiB(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kib float64
	for line := range strings.Lines(string(status)) {
		if n, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 && err == nil {
			return kib / 1024
		}
	}
	return 0
}
