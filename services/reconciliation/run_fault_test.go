package reconciliation

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// twoDays is what comes in: some of it before a first run, the rest before the second one, which the tests disturb. It has two
// accounts, two currencies and both stages, what is open, what was in doubt, and what is there twice.
func twoDays() (before, after []mv) {
	ours, theirs := pairs("ch", 30)
	pounds, report := pairs("gb", 10)
	for i := range pounds {
		pounds[i].currency, report[i].currency = "GBP", "GBP"
	}
	other := []mv{
		{account: "second", ours: true, id: "ch_s1", amount: 70}, {account: "second", id: "ch_s1", amount: 70},
		{account: "second", ours: true, id: "ch_s2", amount: 71, day: "2026-11-29"},
	}
	bank := []mv{
		{bank: true, ours: true, kind: match.KindPayout, payout: "po_1", amount: 900}, {bank: true, kind: match.KindPayout, payout: "po_1", amount: 900, day: "2026-11-12"},
		{bank: true, ours: true, kind: match.KindPayout, payout: "po_2", amount: 800},
	}
	doubt := mv{ours: true, id: "ch_d", payment: "pay_d", amount: 44, standing: match.InDoubt}
	known := doubt
	known.standing, known.note = match.Booked, "known"
	before = slices.Concat(ours[:10], theirs[5:12], pounds[:3], []mv{doubt, {id: "ch_d", amount: 44}, {ours: true, payment: "pay_e", amount: 3, standing: match.InDoubt}})
	after = slices.Concat(ours[10:], theirs[:5], theirs[12:28], pounds[3:], report, other, bank,
		[]mv{known, {ours: true, payment: "pay_e", amount: 3, note: "known too"}, {id: "ch_strange", amount: 9}, {id: "fee_1", kind: match.KindFee, amount: -5}})
	return before, after
}

// undisturbed tells the story without a disturbance.
func undisturbed(t *testing.T) *runFixture {
	t.Helper()
	f := setupRuns(t)
	before, after := twoDays()
	f.deliver(before...)
	f.run(asOf)
	f.deliver(after...)
	made := f.run(asOf)
	f.wantExplained("EUR")
	f.wantExplained("GBP")
	f.wantVerified(made)
	return f
}

// disturbed tells it up to the second run.
func disturbed(t *testing.T) *runFixture {
	t.Helper()
	f := setupRuns(t)
	before, after := twoDays()
	f.deliver(before...)
	f.run(asOf)
	f.deliver(after...)
	return f
}

func (f *runFixture) wantSame(want *runFixture) {
	f.Helper()
	if diff := cmp.Diff(want.tables(), f.tables()); diff != "" {
		f.Errorf("the databases differ (-undisturbed +disturbed):\n%s", diff)
	}
}

// places are where a run may fail: whatever it writes there is refused, until it is not any more.
var places = []struct{ name, table, when string }{
	{"a piece", "run_piece", "NEW.piece = 1"},
	{"the first result", "run_partition", "true"},
	{"a later result", "run_partition", "NEW.run_number = 2 AND EXISTS (SELECT FROM run_partition p WHERE p.run_number = 2)"},
	{"what was found", "run_finding", "NEW.run_number = 2 AND NEW.partition_id > 1"},
	{"what is open", "open_movement", "NEW.since_run = 2"},
	{"pairs", "match_pair", "NEW.match_id > (2::bigint << 32) + 4"},
}

func TestRun_GoesOnWhereItFailed(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	for _, at := range places {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			f := disturbed(t)
			f.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF ` + at.when + ` THEN RAISE EXCEPTION 'the disk is full'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON ` + at.table + ` FOR EACH ROW EXECUTE FUNCTION refuse()`)
			begun, err := f.begin(asOf)
			if err != nil {
				t.Fatal(err)
			}
			f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return strings.Contains(r.GetTrouble(), "the disk is full") })
			f.exec(`DROP TRIGGER refuse ON ` + at.table)
			ended := f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetEndTime() != nil })
			if ended.GetTrouble() != "" {
				t.Errorf("the run is still in trouble: %v", ended)
			}
			f.wantSame(want)
		})
	}
}

func TestRun_IsTakenUpByAnotherProcess(t *testing.T) {
	t.Parallel()
	f := disturbed(t)
	release := f.lock("run_day")
	begun, err := f.begin(asOf)
	if err != nil {
		t.Fatal(err)
	}
	f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetMovementsMatched() > 0 })
	f.stop()
	f.start()
	release()
	f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetEndTime() != nil })
	f.wantSame(undisturbed(t))
}

// TestRun_OfAnOldOwnerIsNotWritten has a process that thinks that the run is still its own.
func TestRun_OfAnOldOwnerIsNotWritten(t *testing.T) {
	t.Parallel()
	f := disturbed(t)
	release := f.lockFor("ACCESS EXCLUSIVE", "run_piece") // nothing is read, so that nothing is being written, which would hold the run
	began := make(chan *reconciliationv1.Run)
	go func() {
		begun, err := f.begin(asOf)
		if err != nil {
			t.Error(err)
		}
		began <- begun
	}()
	waittest.Until(t, "the run is taken up", func() bool {
		return pgtest.Column[bool](t, f.db, `SELECT EXISTS (SELECT FROM run WHERE state = 1 AND epoch = 1)`)[0]
	})
	f.exec(`UPDATE run SET epoch = epoch + 1 WHERE state = 1`) // another one has taken it up
	release()
	f.until((<-began).GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetEndTime() != nil })
	if epoch := pgtest.Column[int32](t, f.db, `SELECT epoch FROM run WHERE number = 2`)[0]; epoch < 3 {
		t.Errorf("the run ended in epoch %d, though its owner had lost it", epoch)
	}
	f.wantSame(undisturbed(t))
}

func TestCancel_LeavesNothingOfTheRun(t *testing.T) {
	t.Parallel()
	f := disturbed(t)
	before := f.tables()
	f.exec(`CREATE FUNCTION refuse_second() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF EXISTS (SELECT FROM partition p WHERE p.id = NEW.partition_id AND p.account = 'second') THEN RAISE EXCEPTION 'wait'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON run_partition FOR EACH ROW EXECUTE FUNCTION refuse_second()`)
	begun, err := f.begin(asOf)
	if err != nil {
		t.Fatal(err)
	}
	f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetTrouble() != "" })
	if n := pgtest.Column[int64](t, f.db, `SELECT count(*) FROM run_partition WHERE run_number = 2`)[0]; n == 0 {
		t.Error("nothing was written that could be undone")
	}
	cancel := &reconciliationv1.CancelRunRequest{IdempotencyKey: "cancel-it", RunId: begun.GetRunId(), Reason: "it was a test"}
	answer, err := f.client.CancelRun(t.Context(), cancel)
	if err != nil || answer.GetRun().GetCancelNote() != "op: it was a test" {
		t.Fatalf("cancelling: %v, %v", answer, err)
	}
	ended := f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetEndTime() != nil })
	if ended.GetState() != reconciliationv1.RunState_RUN_STATE_CANCELLED || ended.GetTrouble() != "" {
		t.Errorf("the run is %v", ended)
	}
	before["run"] = append(before["run"], "2 3 ")
	if diff := cmp.Diff(before, f.tables()); diff != "" {
		t.Errorf("what is left (-before +after):\n%s", diff)
	}
	if _, err := f.client.CancelRun(t.Context(), cancel); err != nil { // a replay
		t.Errorf("cancelling again: %v", err)
	}
	cancel.IdempotencyKey = "cancel-again"
	_, err = f.client.CancelRun(t.Context(), cancel)
	rpcerrtest.Want(t, err, rpcerr.RunStateRefused)

	f.exec(`DROP TRIGGER refuse ON run_partition`)
	made := f.run(asOf)
	want := undisturbed(t)
	if diff := cmp.Diff(want.tables()["taken"], replaceAll(f.tables()["taken"], " 3", " 2")); diff != "" {
		t.Errorf("taken (-undisturbed +after the cancelled one):\n%s", diff)
	}
	wanted := breaksOf(want.last())
	if diff := cmp.Diff(wanted, breaksOf(made)); diff != "" || made.GetMatched() != want.last().GetMatched() {
		t.Errorf("the run after it came to %v; breaks (-undisturbed +got):\n%s", made, diff)
	}
	f.wantExplained("EUR")
	f.wantVerified(made)
}

func replaceAll(all []string, old, fresh string) []string {
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], old, fresh)
	}
	return all
}

// last is the last run.
func (f *runFixture) last() *reconciliationv1.Run {
	f.Helper()
	page, err := f.client.ListRuns(f.Context(), &reconciliationv1.ListRunsRequest{PageSize: 1})
	if err != nil {
		f.Fatal(err)
	}
	return page.GetRuns()[0]
}

func TestCancel_IsRefusedWhenBreaksAreWritten(t *testing.T) {
	t.Parallel()
	f := disturbed(t)
	f.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.told THEN RAISE EXCEPTION 'wait'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON run_partition FOR EACH ROW EXECUTE FUNCTION refuse()`)
	begun, err := f.begin(asOf)
	if err != nil {
		t.Fatal(err)
	}
	f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetTrouble() != "" })
	_, err = f.client.CancelRun(t.Context(), &reconciliationv1.CancelRunRequest{IdempotencyKey: "cancel-it", RunId: begun.GetRunId(), Reason: "too late"})
	rpcerrtest.Want(t, err, rpcerr.RunStateRefused)
	f.exec(`DROP TRIGGER refuse ON run_partition`)
	f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetEndTime() != nil })
	f.wantSame(undisturbed(t))
}

// exec changes the database behind the service's back.
func (f *runFixture) exec(sql string) {
	f.Helper()
	conn, err := f.db.Acquire(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Conn().PgConn().Exec(context.WithoutCancel(f.Context()), sql).ReadAll(); err != nil {
		f.Fatalf("%v\n%s", err, sql)
	}
}
