package reconciliation

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

const (
	planned  = reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_PLANNED
	finished = reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_FINISHED
)

func (f *breakFixture) plan(key string, s *reconciliationv1.BreakSelection, d *reconciliationv1.BreakDecision) *reconciliationv1.BreakOperation {
	f.Helper()
	d.Reason = "all of them"
	answer, err := f.ann.PlanBreakOperation(f.Context(), &reconciliationv1.PlanBreakOperationRequest{IdempotencyKey: key, Selection: s, Decision: d})
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetOperation()
}

func (f *breakFixture) apply(key, id string) (*reconciliationv1.BreakOperation, error) {
	f.Helper()
	answer, err := f.bob.ApplyBreakOperation(f.Context(), &reconciliationv1.ApplyBreakOperationRequest{IdempotencyKey: key, OperationId: id})
	return answer.GetOperation(), err
}

func (f *breakFixture) operation(id string) *reconciliationv1.BreakOperation {
	f.Helper()
	answer, err := f.ann.GetBreakOperation(f.Context(), &reconciliationv1.GetBreakOperationRequest{OperationId: id})
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetOperation()
}

func TestBulk_EachBreakTakesTheDecisionOnceOrRefusesIt(t *testing.T) {
	f := setupBreaks(t)
	var all []sighting
	for _, m := range f.movements(breakBatch+6, true, 100) {
		all = append(all, sighting{code: breaks.MissingAtProvider, ours: []sighted{m}, account: "default", amount: gbp(-100)})
	}
	f.sees(partition7, true, all...)
	f.exec(`INSERT INTO match_leg (match_id, movement_id) VALUES (1, $1), (1, $2)`, all[0].ours[0].id, all[1].ours[0].id)
	which := &reconciliationv1.BreakSelection{Code: "MISSING_AT_PROVIDER"}
	op := f.plan("plan-0001", which, verb(accept))
	if op.GetState() != planned || op.GetMatched() != breakBatch+6 || len(op.GetTotals()) != 1 || op.GetTotals()[0].GetSum().GetMinorUnits() != -100*(breakBatch+6) {
		t.Fatalf("plan: %v", op)
	}
	late := f.broken(100) // is not of the plan
	f.work()
	if n := scan[int64](f, `SELECT count(*) FROM break WHERE state = 5`); n != 0 {
		t.Errorf("a plan has ended %d breaks", n)
	}
	if _, err := f.apply("apply-0001", op.GetOperationId()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.apply("apply-0001", op.GetOperationId()); err != nil {
		t.Errorf("again under its key: %v", err)
	}
	if again, err := f.r.operateBreaks(t.Context()); !again || err != nil { // a batch, and another replica goes on
		t.Fatal(again, err)
	}
	f.work()
	got := f.operation(op.GetOperationId())
	if got.GetState() != finished || got.GetDone() != breakBatch+4 || got.GetRefused() != 2 || len(got.GetRefusals()) != 2 || got.GetAppliedBy() != "bob" || got.GetEndTime() == nil {
		t.Errorf("got %v", got)
	}
	f.wantState(late, isOpen, asNone)
	if n := scan[int64](f, `SELECT count(*) FROM break_event WHERE verb = 'accept' AND actor = 'bob'`); n != breakBatch+4 {
		t.Errorf("%d were accepted", n)
	}
	if n := scan[int64](f, `SELECT count(*) FROM match`); n != breakBatch+4 {
		t.Errorf("%d matches; what was refused leaves asNone", n)
	}
	_, err := f.apply("apply-0002", op.GetOperationId())
	rpcerrtest.Want(t, err, rpcerr.OperationNotOpen)
}

func TestBulk_SumsPerCurrencyAndKeepsAPlanForAnHour(t *testing.T) {
	f := setupBreaks(t)
	for i, a := range []sighting{{amount: gbp(5)}, {amount: gbp(-7)}, {}} {
		a.code, a.subject = breaks.LedgerInvariant, string(rune('a'+i))
		f.sees(watcher{name: "ledger"}, false, a)
	}
	op := f.plan("plan-0001", &reconciliationv1.BreakSelection{Severity: reconciliationv1.BreakSeverity_BREAK_SEVERITY_CRITICAL}, verb(ack))
	var got []int64
	for _, total := range op.GetTotals() {
		got = append(got, total.GetCount(), total.GetSum().GetMinorUnits())
	}
	if diff := cmp.Diff([]int64{1, 0, 2, -2}, got); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	f.exec(`UPDATE break_operation SET expires_at = now()`)
	_, err := f.apply("apply-0001", op.GetOperationId())
	rpcerrtest.Want(t, err, rpcerr.OperationNotOpen)
	f.work()
	if s := f.operation(op.GetOperationId()).GetState(); s != reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_EXPIRED {
		t.Errorf("it is %s", s)
	}
}

func TestBulk_WhoAsksDoesNotApproveManyEither(t *testing.T) {
	f := setupBreaks(t)
	mine, hers := f.broken(20_000), f.broken(20_000)
	f.must(f.bob, mine, resolve(writeOff))
	f.must(f.ann, hers, resolve(writeOff))
	op := f.plan("plan-0001", &reconciliationv1.BreakSelection{State: isPending}, verb(approve))
	if _, err := f.apply("apply-0001", op.GetOperationId()); err != nil {
		t.Fatal(err)
	}
	f.work()
	f.wantState(hers, isResolved, writeOff)
	f.wantState(mine, isPending, asNone)
	if r := f.operation(op.GetOperationId()).GetRefusals(); len(r) != 1 || r[0].GetBreakId() != mine {
		t.Errorf("refusals: %v", r)
	}
}

func TestBulk_RefusesNonsense(t *testing.T) {
	f := setupBreaks(t)
	_, err := f.ann.PlanBreakOperation(t.Context(), &reconciliationv1.PlanBreakOperationRequest{
		IdempotencyKey: "plan-0001", Selection: &reconciliationv1.BreakSelection{}, Decision: &reconciliationv1.BreakDecision{Verb: ack, Reason: "x"},
	})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "selection")
	_, err = f.ann.PlanBreakOperation(t.Context(), &reconciliationv1.PlanBreakOperationRequest{
		IdempotencyKey: "plan-0002", Selection: &reconciliationv1.BreakSelection{Code: "AMBIGUOUS"}, Decision: &reconciliationv1.BreakDecision{Verb: snooze, Reason: "x"},
	})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "decision.snooze_until_time")
	_, err = f.apply("apply-0001", "x")
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "operation_id")
	_, err = f.apply("apply-0002", "bop_019a0000-0000-7000-8000-000000000000")
	rpcerrtest.Want(t, err, rpcerr.NotFound, "operation_id")
	_, err = f.ann.GetBreakOperation(t.Context(), &reconciliationv1.GetBreakOperationRequest{OperationId: "bop_019a0000-0000-7000-8000-000000000000"})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "operation_id")
}
