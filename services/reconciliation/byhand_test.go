package reconciliation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// TestByHand_IsSeenByTheNextRun has a person match two movements, undo that, and undo a match of a run; and looks each time whether
// reports explain everything and the runs before and after it hold.
func TestByHand_IsSeenByTheNextRun(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	f.putRules(func(s *rules.Set) { s.Fees = []rules.Fee{{Rounding: rules.Down}} }) // what they keep is a finding about a match
	ours, theirs := pairs("ch", 2)
	theirs[1].day, theirs[1].note, ours[1].note = "2026-11-13", "theirs", "ours"
	f.deliver(ours[0], ours[1], mv{ours: true, id: "ch_a", amount: 60, day: "2026-11-09", note: "a"})
	f.deliver(theirs[0], theirs[1], mv{id: "ch_b", amount: 61, day: "2026-11-14", note: "b"})
	runs := []*reconciliationv1.Run{f.run(asOf)}
	check := func(open ...string) {
		t.Helper()
		if diff := cmp.Diff(open, f.openNotes(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("open (-want +got):\n%s", diff)
		}
		f.wantExplained("EUR")
	}
	check("a", "b")
	byHand := f.byHand("a", "b")
	check()
	page, err := f.client.ListMatches(t.Context(), &reconciliationv1.ListMatchesRequest{
		Of: &reconciliationv1.ListMatchesRequest_MovementId{MovementId: movementIDOf(f.keyOf("a")).String()},
	})
	if m := page.GetMatches(); err != nil || len(m) != 1 || m[0].GetPass() != reconciliationv1.Pass_PASS_BY_HAND || !m[0].GetActive() {
		t.Errorf("the match by hand is %v, %v", page, err)
	}
	f.between(func(st store, last int32) error { return st.openByHand(t.Context(), last, byHand) })
	check("a", "b")
	f.byHand("a", "b")
	runs = append(runs, f.run(asOf))
	check()
	made := pgtest.Column[int64](t, f.db, `SELECT l.match_id FROM match_leg l JOIN movement m ON m.id = l.movement_id WHERE m.note = 'ours' AND l.active`)[0]
	f.between(func(st store, last int32) error { return st.openByHand(t.Context(), last, made) })
	check("ours", "theirs")
	before := f.tables()
	f.cancelled()
	before["run"] = append(before["run"], "3 3 ")
	if diff := cmp.Diff(before, f.tables()); diff != "" {
		t.Errorf("what is left of the cancelled run (-before +after):\n%s", diff)
	}
	check("ours", "theirs")
	f.byHand("ours", "theirs") // after a run that was cancelled
	check()
	runs = append(runs, f.run(asOf))
	check()
	f.wantVerified(runs...)
}

// What a person decides on a break of a run is a match by hand, and none of the run's.
func TestByHand_ADecisionOnABreakIsNoMatchOfARun(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	ours, theirs := pairs("ch", 2)
	f.deliver(ours[0], ours[1], mv{id: "ch_9", amount: 61, note: "b"})
	f.deliver(theirs...)
	runs := []*reconciliationv1.Run{f.run(asOf)}
	page, err := f.breaks.ListBreaks(t.Context(), &reconciliationv1.ListBreaksRequest{Filter: "code = MISSING_INTERNALLY"})
	if err != nil || len(page.GetBreaks()) != 1 {
		t.Fatal(page, err)
	}
	_, err = f.breaks.OperateBreak(t.Context(), &reconciliationv1.OperateBreakRequest{
		IdempotencyKey: "accept-0001", BreakId: page.GetBreaks()[0].GetBreakId(), Decision: &reconciliationv1.BreakDecision{Verb: accept, Reason: "it is known"},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantWhole(t, f.db, runViews)
	f.wantExplained("EUR")
	listed, err := f.client.ListMatches(t.Context(), &reconciliationv1.ListMatchesRequest{Of: &reconciliationv1.ListMatchesRequest_RunId{RunId: runs[0].GetRunId()}})
	if err != nil || len(listed.GetMatches()) != 2 {
		t.Errorf("matches of the run: %v, %v", listed, err)
	}
	runs = append(runs, f.run(asOf))
	wantWhole(t, f.db, runViews)
	f.wantVerified(runs...)
}

func TestByHand_IsForWhatARunHasLeftOpen(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	f.deliver(mv{id: "ch_1", amount: 5})
	f.run(asOf)
	f.deliver(mv{id: "ch_later", amount: 5})
	f.exec(`INSERT INTO match_pair (match_id, number, theirs_id, partition_id, pass) SELECT -1, row_number() OVER (), id, 1, 0 FROM movement`)
	err := pg.InTx(t.Context(), f.reconciliation.pool, func(tx *pg.Tx) error { return newStore(tx).closeByHand(t.Context(), 1, -1) })
	if e, ok := rpcerr.FromError(err); !ok || e.Reason != rpcerr.MovementNotOpen {
		t.Errorf("got %v", err)
	}
}
