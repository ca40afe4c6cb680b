package reconciliation

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

const (
	planned   = reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_PLANNED
	running   = reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_RUNNING
	finished  = reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_FINISHED
	expired   = reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_EXPIRED
	cancelled = reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_CANCELLED
)

func (f *breakFixture) plan(key, filter string, d *reconciliationv1.BreakDecision) *reconciliationv1.BreakOperation {
	f.Helper()
	d.Reason = "all of them"
	answer, err := f.ann.PlanBreakOperation(f.Context(), &reconciliationv1.PlanBreakOperationRequest{IdempotencyKey: key, Filter: filter, Decision: d})
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
	f.exec(`INSERT INTO match_pair (match_id, number, ours_id, partition_id, pass) VALUES (1, 1, $1, 1, 1), (1, 2, $2, 1, 1)`, all[0].ours[0].id, all[1].ours[0].id)
	const which = "code = missing_at_provider"
	op := f.plan("plan-0001", which, verb(accept))
	if op.GetState() != planned || op.GetMatched() != breakBatch+6 || len(op.GetTotals()) != 1 || op.GetTotals()[0].GetSum().GetMinorUnits() != -100*(breakBatch+6) || op.GetFilter() != which {
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
	if n := scan[int64](f, `SELECT count(*) FROM match WHERE pass = 0`); n != breakBatch+4 {
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
	op := f.plan("plan-0001", "severity = critical", verb(ack))
	var got []int64
	for _, total := range op.GetTotals() {
		got = append(got, total.GetCount(), total.GetSum().GetMinorUnits())
	}
	if diff := cmp.Diff([]int64{1, 0, 2, -2}, got); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	f.exec(`UPDATE break_operation SET expires_at = now()`)
	if s := f.operation(op.GetOperationId()).GetState(); s != expired {
		t.Errorf("before anybody has written it down it is %s", s)
	}
	_, err := f.apply("apply-0001", op.GetOperationId())
	rpcerrtest.Want(t, err, rpcerr.OperationNotOpen)
	f.work()
	if s := f.operation(op.GetOperationId()).GetState(); s != expired {
		t.Errorf("it is %s", s)
	}
}

func TestBulk_WhoAsksDoesNotApproveManyEither(t *testing.T) {
	f := setupBreaks(t)
	mine, hers := f.broken(20_000), f.broken(20_000)
	f.must(f.bob, mine, resolve(writeOff))
	f.must(f.ann, hers, resolve(writeOff))
	op := f.plan("plan-0001", "state = pending_approval", verb(approve))
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
	for i, tt := range []struct {
		filter string
		d      *reconciliationv1.BreakDecision
		reason rpcerr.Reason
		field  string
	}{
		{"", verb(ack), rpcerr.RequestInvalid, "filter"},
		{" ", verb(ack), rpcerr.FilterInvalid, "filter"},
		{"colour = red", verb(ack), rpcerr.FilterInvalid, "filter"},
		{"code = AMBIGUOUS", verb(snooze), rpcerr.RequestInvalid, "decision.snooze_until_time"},
	} {
		tt.d.Reason = "x"
		_, err := f.ann.PlanBreakOperation(t.Context(), &reconciliationv1.PlanBreakOperationRequest{
			IdempotencyKey: fmt.Sprintf("plan-%04d", i), Filter: tt.filter, Decision: tt.d,
		})
		rpcerrtest.Want(t, err, tt.reason, tt.field)
	}
	_, err := f.apply("apply-0001", "x")
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "operation_id")
	_, err = f.apply("apply-0002", "bop_019a0000-0000-7000-8000-000000000000")
	rpcerrtest.Want(t, err, rpcerr.NotFound, "operation_id")
	_, err = f.ann.GetBreakOperation(t.Context(), &reconciliationv1.GetBreakOperationRequest{OperationId: "bop_019a0000-0000-7000-8000-000000000000"})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "operation_id")
	_, err = f.cancel("cancel-0001", "bop_019a0000-0000-7000-8000-000000000000")
	rpcerrtest.Want(t, err, rpcerr.NotFound, "operation_id")
	_, err = f.ann.ListBreakOperations(t.Context(), &reconciliationv1.ListBreakOperationsRequest{PageToken: "nonsense"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
}

func TestBulk_IsCancelledAsAPlanAndWhileItRuns(t *testing.T) {
	f := setupBreaks(t)
	var all []sighting
	for _, m := range f.movements(breakBatch+6, true, 100) {
		all = append(all, sighting{code: breaks.MissingAtProvider, ours: []sighted{m}, amount: gbp(-100)})
	}
	f.sees(partition7, true, all...)
	plan, runs := f.plan("plan-0001", "state = open", verb(ack)), f.plan("plan-0002", "state = open", verb(ack))
	if _, err := f.cancel("cancel-0001", plan.GetOperationId()); err != nil {
		t.Fatal(err)
	}
	if got, err := f.cancel("cancel-0001", plan.GetOperationId()); err != nil || got.GetState() != cancelled || got.GetCancelledBy() != "bob" || got.GetCancelReason() != "enough" {
		t.Errorf("again under its key: %v, %v", got, err)
	}
	_, err := f.apply("apply-0001", plan.GetOperationId())
	rpcerrtest.Want(t, err, rpcerr.OperationNotOpen)
	if _, err := f.apply("apply-0002", runs.GetOperationId()); err != nil {
		t.Fatal(err)
	}
	if again, err := f.r.operateBreaks(t.Context()); !again || err != nil {
		t.Fatal(again, err)
	}
	if got := f.operation(runs.GetOperationId()); got.GetState() != running || got.GetDone() != breakBatch || got.GetApplyTime() == nil {
		t.Errorf("under way: %v", got)
	}
	if _, err := f.cancel("cancel-0002", runs.GetOperationId()); err != nil {
		t.Fatal(err)
	}
	f.work()
	got := f.operation(runs.GetOperationId())
	if got.GetState() != cancelled || got.GetDone() != breakBatch || got.GetRefused() != 0 || got.GetEndTime() == nil {
		t.Errorf("cancelled: %v", got)
	}
	if n := scan[int64](f, `SELECT count(*) FROM break WHERE state = 2`); n != breakBatch {
		t.Errorf("%d are acknowledged", n)
	}
	_, err = f.cancel("cancel-0003", runs.GetOperationId())
	rpcerrtest.Want(t, err, rpcerr.OperationNotOpen)
	f.wantOperations(runs.GetOperationId(), plan.GetOperationId())
}

func (f *breakFixture) cancel(key, id string) (*reconciliationv1.BreakOperation, error) {
	f.Helper()
	answer, err := f.bob.CancelBreakOperation(f.Context(), &reconciliationv1.CancelBreakOperationRequest{IdempotencyKey: key, OperationId: id, Reason: "enough"})
	return answer.GetOperation(), err
}

// wantOperations fails where these are not the operations there are, newest first, with their totals.
func (f *breakFixture) wantOperations(want ...string) {
	f.Helper()
	var got []string
	for token := ""; ; {
		page, err := f.ann.ListBreakOperations(f.Context(), &reconciliationv1.ListBreakOperationsRequest{PageSize: 1, PageToken: token})
		if err != nil {
			f.Fatal(err)
		}
		for _, op := range page.GetOperations() {
			got = append(got, op.GetOperationId())
			if len(op.GetTotals()) != 1 || op.GetTotals()[0].GetCount() != op.GetMatched() {
				f.Errorf("%s has the totals %v", op.GetOperationId(), op.GetTotals())
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("operations (-want +got):\n%s", diff)
	}
}
