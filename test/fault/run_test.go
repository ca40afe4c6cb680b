package fault

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

// moments are what a run is about to write when its process is killed, in the order in which they come.
var moments = []struct{ table, when string }{
	{"run_piece", "NEW.partition_id = 2"},
	{"run_partition", "NEW.partition_id = 2"},
	{"open_movement", "NEW.partition_id = 2"},
	{"run_finding", "NEW.partition_id = 3"},
	{"break", "NEW.scope = 'partition/2'"},
}

// TestKill_ReconciliationWhileARunGoes kills the service with SIGKILL in the middle of a run: in a transaction that writes
// matches, results, what is open, what was found, and breaks. Each time another process goes on, and in the end the run has the
// digest, the matches and the breaks of one that nothing disturbs.
func TestKill_ReconciliationWhileARunGoes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	t.Parallel()
	const pairs = 120_000
	calm := systemtest.NewWorld(t)
	fillMovements(t, calm.Pool["reconciliation"], pairs)
	want := endOfRun(t, reconciliationAlone(t, calm))

	w := systemtest.NewWorld(t)
	db := w.Pool["reconciliation"]
	fillMovements(t, db, pairs)
	gates := gatesIn(t, db)
	split := reconciliationAlone(t, w)
	client := reconciliationv1.NewReconciliationServiceClient(split.Dial(t, "reconciliation"))
	begin(t, client)
	for i, open := range gates {
		what := fmt.Sprintf("the run waits at the gate of %s", moments[i].table)
		waittest.Until(t, what, func() bool {
			return pgtest.Column[bool](t, db, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND objid = $2 AND NOT granted)`, gateClass, i)[0]
		})
		split.Kill(t, "reconciliation")
		open()
		split.Start(t, "reconciliation")
	}
	got := endOfRun(t, split)
	t.Logf("killed %d times: %d matches, digest %s", len(gates), got.run.GetMatched(), got.run.GetDigest())
	if diff := cmp.Diff(want.facts(), got.facts()); diff != "" {
		t.Errorf("not what an undisturbed run comes to (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(stored(t, calm.Pool["reconciliation"]), stored(t, db)); diff != "" {
		t.Errorf("not what an undisturbed run stores (-want +got):\n%s", diff)
	}
	if epoch := pgtest.Column[int](t, db, `SELECT epoch FROM run`)[0]; epoch <= len(moments) {
		t.Errorf("the run was taken up %d times, and its process was killed %d times", epoch, len(moments))
	}
	// Else the checks are planned as if the tables were small, until autovacuum comes by.
	if _, err := db.Exec(t.Context(), `ANALYZE`); err != nil {
		t.Fatal(err)
	}
	if violated := pgtest.Violations(t, db); len(violated) > 0 {
		t.Errorf("violated: %q", violated)
	}
}

// gateClass is the class of the advisory locks of gates.
const gateClass = 7_499_000

// gatesIn puts a gate before each of the moments, that keeps whoever comes there in the middle of a transaction until it is opened.
func gatesIn(t *testing.T, db *pgxpool.Pool) (gates []func()) {
	t.Helper()
	keeper, err := db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = keeper.Exec(context.Background(), `SELECT pg_advisory_unlock_all()`)
		keeper.Release()
	})
	exec := func(statement string) {
		if _, err := keeper.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%v\n%s", err, statement)
		}
	}
	for i, at := range moments {
		exec(fmt.Sprintf(`SELECT pg_advisory_lock(%d, %d)`, gateClass, i))
		exec(fmt.Sprintf(`
CREATE FUNCTION gate_%[1]d() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF %[4]s THEN PERFORM pg_advisory_xact_lock_shared(%[2]d, %[1]d); END IF; RETURN NEW; END $$;
CREATE TRIGGER gate_%[1]d BEFORE INSERT ON %[3]s FOR EACH ROW EXECUTE FUNCTION gate_%[1]d()`, i, gateClass, at.table, at.when))
		gates = append(gates, func() { exec(fmt.Sprintf(`SELECT pg_advisory_unlock(%d, %d)`, gateClass, i)) })
	}
	return gates
}

// fillMovements has so many pairs of movements come in, a third of them in each of three accounts. Of one in fifty the provider
// says nothing, and of another one it says what is not ours.
func fillMovements(t *testing.T, db *pgxpool.Pool, pairs int) {
	t.Helper()
	const movements = `
INSERT INTO movement (id, key, partition_id, ours, kind, amount_minor, fee_minor, day, provider_id, payout_id, line)
SELECT ($1::bigint << 32) + n, md5($2 || n)::uuid, 1 + n % 3, $3, 1, 100 + n % 997, $4, date '2026-11-01' + n % 20,
       'ch_' || CASE WHEN n % 50 = 0 THEN $2 ELSE '' END || n,
       CASE WHEN $3 THEN '' ELSE 'po_' || n % 300 END, n
  FROM generate_series(1, $5::int) n`
	for _, fill := range []struct {
		statement string
		args      []any
	}{
		{`INSERT INTO partition (stage, account, currency) VALUES (1, 'first', 'EUR'), (1, 'second', 'EUR'), (1, 'third', 'EUR')`, nil},
		{`INSERT INTO delivery (kind, state, rows) VALUES (3, 1, $1), (1, 1, $1)`, []any{pairs}},
		{movements, []any{1, "ours", true, 0, pairs}},
		{movements, []any{2, "theirs", false, 7, pairs}},
	} {
		if _, err := db.Exec(t.Context(), fill.statement, fill.args...); err != nil {
			t.Fatalf("%v\n%s", err, fill.statement)
		}
	}
}

func begin(t *testing.T, client reconciliationv1.ReconciliationServiceClient) {
	t.Helper()
	_, err := client.RunReconciliation(t.Context(), &reconciliationv1.RunReconciliationRequest{
		IdempotencyKey: "the-run-that-is-disturbed", AsOf: "2026-12-31",
	}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
}

// ended is a run at its end.
type ended struct{ run *reconciliationv1.Run }

// facts are what does not depend on the database and on the time.
func (e ended) facts() map[string]any {
	breaks := map[string]int64{}
	for _, c := range e.run.GetBreaks() {
		breaks[c.GetCode()] = c.GetCount()
	}
	return map[string]any{
		"state": e.run.GetState(), "digest": e.run.GetDigest(), "matched": e.run.GetMatched(), "breaks": breaks,
	}
}

// endOfRun begins the run, or the same one again under its key, and waits for its end.
func endOfRun(t *testing.T, split *systemtest.Split) ended {
	t.Helper()
	client := reconciliationv1.NewReconciliationServiceClient(split.Dial(t, "reconciliation"))
	begin(t, client)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	runs, err := client.ListRuns(ctx, &reconciliationv1.ListRunsRequest{})
	if err != nil || len(runs.GetRuns()) != 1 {
		t.Fatalf("the runs are %v, %v", runs, err)
	}
	stream, err := client.WatchRun(ctx, &reconciliationv1.WatchRunRequest{RunId: runs.GetRuns()[0].GetRunId()})
	for {
		var answer *reconciliationv1.WatchRunResponse
		if err == nil {
			answer, err = stream.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetRun().GetEndTime() != nil {
			return ended{answer.GetRun()}
		}
	}
}

// stored is what a run has written, as sums that a difference in any row changes.
func stored(t *testing.T, db *pgxpool.Pool) []string {
	t.Helper()
	return pgtest.Column[string](t, db, `
SELECT format('matches %s %s', count(*), sum(hashtextextended(format('%s %s %s', m.id, m.pass, v.key), 0)))
  FROM match m JOIN match_leg l ON l.match_id = m.id AND l.active JOIN movement v ON v.id = l.movement_id
UNION ALL
SELECT format('open %s %s', count(*), sum(hashtextextended(format('%s %s', v.key, o.until_run), 0)))
  FROM open_movement o JOIN movement v ON v.id = o.movement_id
UNION ALL
SELECT format('breaks %s %s', count(*), sum(hashtextextended(format('%s %s %s %s', id, code, state, amount_minor), 0))) FROM break
UNION ALL
SELECT format('history %s %s', count(*), sum(hashtextextended(format('%s %s %s', break_id, number, verb), 0))) FROM break_event
 ORDER BY 1`)
}
