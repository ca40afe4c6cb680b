package outbox

import (
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/pg"
)

func seqs(all ...int64) []row {
	rows := make([]row, len(all))
	for i, seq := range all {
		rows[i].seq = seq
	}
	return rows
}

func TestFrontier_StopsAtAGapAndGivesItUpInTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := frontier{looked: now}
	for _, step := range []struct {
		after     time.Duration
		published []row
		upTo      int64
	}{
		{0, seqs(1, 2, 3), 3},
		{0, seqs(5, 6), 3},             // 4 is under way
		{gapLimit / 2, seqs(8), 3},     // and 7
		{0, seqs(4), 6},                // 4 came late
		{gapLimit / 2, seqs(9, 10), 6}, // 7 is still awaited
		{gapLimit, seqs(11), 11},       // it was rolled back
		{0, seqs(7), 11},               // it was not: a look at everything has found it
		{0, seqs(12, 13), 13},
	} {
		now = now.Add(step.after)
		f.published(step.published, now)
		if f.upTo != step.upTo {
			t.Errorf("after %v: up to %d, want %d", step.published, f.upTo, step.upTo)
		}
	}
	if len(f.beyond) > 0 {
		t.Errorf("%d sequences are kept for nothing", len(f.beyond))
	}
	if got := f.from(f.looked.Add(lookBehind - 1)); got != 13 {
		t.Errorf("looks behind %d, want 13", got)
	}
	if got := f.from(f.looked.Add(lookBehind)); got != 0 {
		t.Errorf("looks behind %d, want at everything", got)
	}
}

func TestRelay_FindsWhatWasCommittedBehindItsFrontier(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.relay(t)
	b.write(t, numbered(1, 3)...)
	b.relayAll(t, r)
	if r.frontier.upTo != 3 {
		t.Errorf("published up to %d, want 3", r.frontier.upTo)
	}
	r.frontier.upTo = 1000 // as if a gap had been given up
	if err := pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error { return b.Write(t.Context(), tx, event("pay_late")) }); err != nil {
		t.Fatal(err)
	}
	if _, err := r.runOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantPublished(t, subjects(numbered(1, 3)))
	r.frontier.looked = time.Now().Add(-lookBehind)
	b.relayAll(t, r)
	b.wantPublished(t, append(subjects(numbered(1, 3)), "pay_late"))
}
