package outbox

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/waittest"
)

func seqs(all ...int64) []row {
	rows := make([]row, len(all))
	for i, seq := range all {
		rows[i].seq = seq
	}
	return rows
}

func TestFrontier_ClosesAGapWhenNobodyCanFillIt(t *testing.T) {
	t.Parallel()
	var f frontier
	for _, step := range []struct {
		found, published []row
		oldest, next     int64
		upTo             int64
		unread           []int64 // the firsts of ranges
	}{
		{seqs(1, 2, 3), seqs(1, 2, 3), 10, 10, 3, []int64{4}},
		{seqs(5, 6), seqs(5, 6), 10, 12, 3, []int64{4, 7}},        // 4 is under way, as 10 or 11
		{seqs(9), seqs(9), 11, 13, 3, []int64{4, 7, 10}},          // 7 and 8 too, up to 12
		{seqs(4), seqs(4), 12, 14, 6, []int64{7, 10}},             // 4 came late
		{seqs(8), seqs(8), 12, 14, 6, []int64{7, 10}},             // 8 too; 12 is still under way
		{seqs(10), seqs(10), 13, 15, 6, []int64{7, 11}},           // 12 has ended, which is known from now on
		{seqs(11, 12), seqs(11), 15, 15, 11, []int64{12}},         // and 7 is still not there; 12 was not taken by the stream
		{seqs(12, 20), seqs(12, 20), 15, 16, 12, []int64{13, 21}}, // many at once
		{seqs(21), seqs(21), 16, 16, 12, []int64{13, 22}},
		{nil, nil, 16, 16, 21, []int64{22}},
	} {
		f.found(step.found, 100)
		for _, r := range step.published {
			f.published(r.seq)
		}
		f.seen(step.oldest, step.next)
		firsts, lasts := f.unread()
		if diff := cmp.Diff(step.unread, firsts); diff != "" || f.upTo() != step.upTo {
			t.Errorf("after %v: up to %d, want %d; looks (-want +got)\n%s", step.published, f.upTo(), step.upTo, diff)
		}
		if lasts[len(lasts)-1] != math.MaxInt64 {
			t.Errorf("looks only up to %d", lasts[len(lasts)-1])
		}
	}
}

func TestFrontier_KeepsAGapThatWasNotLookedAt(t *testing.T) {
	t.Parallel()
	f := frontier{top: 9, gaps: []gap{{first: 1, last: 3, until: 5}, {first: 6, last: 7, until: 5}}, oldest: 5}
	f.found(seqs(1, 2), 2)
	if diff := cmp.Diff([]int64{1, 6}, []int64{f.gaps[0].first, f.gaps[1].first}); diff != "" {
		t.Errorf("gaps (-want +got)\n%s", diff)
	}
	f.published(1)
	f.published(2)
	f.found(seqs(10), 2)
	if len(f.gaps) != 0 || f.upTo() != 9 {
		t.Errorf("gaps %v are left, up to %d", f.gaps, f.upTo())
	}
}

// begin begins a transaction that has written an event and is not committed.
func (b *bundle) begin(t *testing.T, subject string) pgx.Tx {
	t.Helper()
	begun, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tx := &pg.Tx{Tx: begun}
	if err := b.Write(t.Context(), tx, event(subject)); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT`); err != nil { // what is written travels with it
		t.Fatal(err)
	}
	return begun
}

func (b *bundle) publishedTo(t *testing.T) (seq int64) {
	t.Helper()
	if err := b.pool.QueryRow(t.Context(), `SELECT published_to FROM outbox_stream`).Scan(&seq); err != nil {
		t.Fatal(err)
	}
	return seq
}

// runOnce drives r once.
func (b *bundle) runOnce(t *testing.T, r *relay) {
	t.Helper()
	if _, err := r.runOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRelay_PublishesWhatIsCommittedLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.relay(t)
	b.write(t, event("pay_1"))
	late, never := b.begin(t, "pay_late"), b.begin(t, "pay_never")
	b.write(t, event("pay_4"))
	for range 3 { // for as long as it takes
		b.write(t, event("pay_more"))
		b.runOnce(t, r)
	}
	want := []string{"pay_1", "pay_4", "pay_more", "pay_more", "pay_more"}
	b.wantPublished(t, want)
	if got := b.publishedTo(t); got != 1 {
		t.Errorf("published to %d while 2 is under way, want 1", got)
	}

	r.release() // another process becomes the active one
	r = b.relay(t)
	b.runOnce(t, r)
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.runOnce(t, r)
	want = append(want, "pay_late")
	b.wantPublished(t, want)
	if got := b.publishedTo(t); got != 2 {
		t.Errorf("published to %d while 3 is under way, want 2", got)
	}

	if err := never.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the frontier passes what was rolled back", func() bool { // others of the server are under way, too
		b.write(t, event("pay_more"))
		want = append(want, "pay_more")
		b.runOnce(t, r)
		return b.publishedTo(t) == int64(len(want)+1)
	})
	b.wantPublished(t, want)
}

func TestOutbox_TakesItsTransactionIDBeforeASequence(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var plan []string
	err := pg.InTx(t.Context(), b.pool, func(tx *pg.Tx) error {
		rows, err := tx.Query(t.Context(), "EXPLAIN (COSTS OFF) "+insertEvents, []string{}, []string{}, []string{}, []string{}, []string{},
			[]string{}, []string{}, [][]byte{}, []string{}, []string{})
		if err == nil {
			plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(plan, func(line string) bool {
		return strings.Contains(line, "One-Time Filter: (pg_current_xact_id() IS NOT NULL)")
	}) {
		t.Errorf("the id is not taken once, before the rows:\n%s", strings.Join(plan, "\n"))
	}
}
