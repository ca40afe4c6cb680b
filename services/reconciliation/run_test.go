package reconciliation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRun_MatchesWhatCameInAndKeepsTheRestOpen(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	ours, theirs := pairs("ch", 7)
	f.deliver(append(ours, mv{ours: true, id: "ch_late", amount: 5, note: "late", day: "2026-11-29"})...)
	f.deliver(append(theirs, mv{id: "ch_strange", amount: 8, note: "strange"})...)
	first := f.run(asOf)
	if first.GetMatched() != 7 || first.GetMovements() != 16 || first.GetMovementsMatched() != 14 || first.GetDigest() == "" || first.GetSignature() == "" {
		t.Errorf("the run came to %v", first)
	}
	want := map[string]int64{"TIMING_OPEN": 1, "MISSING_INTERNALLY": 1}
	if diff := cmp.Diff(want, breaksOf(first)); diff != "" {
		t.Errorf("breaks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"late", "strange"}, f.openNotes()); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}

	second := f.run(asOf) // nothing came in
	if second.GetMatched() != 0 || second.GetMovements() != 2 || second.GetNumber() != 2 {
		t.Errorf("the second run came to %v", second)
	}
	if diff := cmp.Diff(want, breaksOf(second)); diff != "" {
		t.Errorf("breaks of the second run (-want +got):\n%s", diff)
	}

	f.deliver(mv{id: "ch_late", amount: 5}) // a late arrival closes
	third := f.run(asOf)
	if third.GetMatched() != 1 || third.GetMovements() != 3 {
		t.Errorf("the third run came to %v", third)
	}
	if diff := cmp.Diff([]string{"strange"}, f.openNotes()); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
}
