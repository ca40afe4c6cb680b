package reconciliation

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/benchtest"
	"github.com/tieout/tieout/pkg/pg/local"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

// BenchmarkRun matches the planted truth – so many things that happened, two in a hundred of them wrong, in payouts of 200 lines, with
// what the bank says of these – through the service and on a server that syncs its commits to disk, and wants each match and each
// break as it was planted. Beside it stands what plain SQL takes that is given one reference and knows of nothing else: a full join, a
// join whose pairs are inserted under two unique indexes, and a full join of which what is left without a pair is inserted as well, for a
// run leaves none of it out.
func BenchmarkRun(b *testing.B) {
	cases := 200_000
	if text := os.Getenv("BENCH_CASES"); text != "" {
		var err error
		if cases, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	b.Run(fmt.Sprintf("cases=%d", cases), func(b *testing.B) { benchmarkRun(b, cases) })
}

func benchmarkRun(b *testing.B, cases int) {
	for range b.N {
		b.StopTimer()
		server := pgtest.Durable(b)
		f := &runFixture{TB: b, dsn: pgtest.DurableDSN(b, server, "reconciliation", Migrations()...), config: DefaultConfig(), patience: 10 * time.Minute}
		var err error
		if f.db, err = pgxpool.New(b.Context(), f.dsn); err != nil {
			b.Fatal(err)
		}
		f.start()
		f.reconciliation.runner.pieceSize = pieceSize
		f.putRules(plantedRules)
		c := plantedCases(b, cases)
		rows := plant(b, f.db, c)
		checkpoint(b, server)
		debug.FreeOSMemory()
		costs := benchtest.Costs(b, server, "row")
		b.StartTimer()
		began := time.Now()
		made := f.run(dayText(c.AsOf()))
		took := time.Since(began)
		b.StopTimer()
		costs(int(rows))
		b.ReportMetric(took.Seconds(), "s-run")
		b.ReportMetric(float64(rows)/took.Seconds(), "rows/s")
		b.ReportMetric(float64(benchtest.Memory(os.Getpid(), "VmHWM:"))/(1<<20), "MiB-peak")
		b.Logf("%d movements, %d matches, %v", rows, made.GetMatched(), made.GetBreaks())
		b.ReportMetric(took.Seconds()/plainSQL(b, f.db, server), "times-plain-SQL")
		b.ReportMetric(took.Seconds()/wholeSQL(b, f.db, server), "times-whole-SQL")
		wantPlanted(b, f.db, c)
		f.db.Close()
	}
}

// plainSQL gives how long it takes to join by a reference, which it is given ready to use, and insert the pairs under two unique
// indexes.
func plainSQL(b *testing.B, db *pgxpool.Pool, server *local.Server) (seconds float64) {
	b.Helper()
	const plain = `
CREATE TABLE %s AS SELECT DISTINCT ON (coalesce(l.match_id, v.id)) v.id, 'ch_' || md5(coalesce(l.match_id, v.id)::text) AS reference, v.amount_minor
  FROM movement v LEFT JOIN match_leg l ON l.movement_id = v.id AND l.active WHERE %s`
	for _, statement := range []string{
		fmt.Sprintf(plain, "ours_plain", "v.ours"), fmt.Sprintf(plain, "theirs_plain", "NOT v.ours"),
		`VACUUM ANALYZE ours_plain, theirs_plain`,
		`CREATE TABLE pair_plain (ours bigint NOT NULL UNIQUE, theirs bigint NOT NULL UNIQUE)`,
	} {
		if _, err := db.Exec(b.Context(), statement); err != nil {
			b.Fatalf("%v\n%s", err, statement)
		}
	}
	checkpoint(b, server)
	began := time.Now()
	pairs, err := db.Exec(b.Context(), `INSERT INTO pair_plain SELECT o.id, t.id FROM ours_plain o JOIN theirs_plain t USING (reference, amount_minor)`)
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	b.Logf("plain SQL knows %d pairs", pairs.RowsAffected())
	b.ReportMetric(took.Seconds(), "s-plain-SQL")
	return took.Seconds()
}

// wholeSQL gives how long it takes, with the tables of plainSQL, to insert the pairs and what has none.
func wholeSQL(b *testing.B, db *pgxpool.Pool, server *local.Server) (seconds float64) {
	b.Helper()
	const full = `ours_plain o FULL JOIN theirs_plain t USING (reference, amount_minor)`
	began := time.Now()
	var n int
	if err := db.QueryRow(b.Context(), `SELECT count(*) FROM `+full).Scan(&n); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(began).Seconds(), "s-full-join")
	if _, err := db.Exec(b.Context(), `TRUNCATE pair_plain; CREATE TABLE left_plain (id bigint PRIMARY KEY)`); err != nil {
		b.Fatal(err)
	}
	checkpoint(b, server)
	began = time.Now()
	_, err := db.Exec(b.Context(), `
WITH every AS MATERIALIZED (SELECT o.id AS ours, t.id AS theirs FROM `+full+`),
     pairs AS (INSERT INTO pair_plain SELECT ours, theirs FROM every WHERE ours IS NOT NULL AND theirs IS NOT NULL)
INSERT INTO left_plain SELECT coalesce(ours, theirs) FROM every WHERE ours IS NULL OR theirs IS NULL`)
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	b.ReportMetric(took.Seconds(), "s-whole-SQL")
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
