package reconciliation

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// breakViews are what must hold of breaks, and runViews of runs and what people match between them.
const (
	breakViews = `^inv_(36_people_at_breaks|39|66|67|68|69|70|71|72)_`
	runViews   = `^inv_(61|62|63|64|65)_`
)

// wantWhole fails where what must hold does not, whatever the test has done.
func wantWhole(t testing.TB, db *pgxpool.Pool, pattern string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	column := func(sql string, args ...any) []string {
		rows, err := db.Query(ctx, sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	views := column(`SELECT viewname FROM pg_views WHERE viewname ~ $1`, pattern)
	if len(views) < strings.Count(pattern, "|")+1 {
		t.Errorf("there are only %v", views)
	}
	for _, view := range views {
		for _, violation := range column(`SELECT id || ' ' || detail FROM ` + view) {
			t.Errorf("%s: %s", view, violation)
		}
	}
}

// The table of the view is the one of package breaks.
func TestBreak_HistoryIsJudgedAsTheTableOfItsLifeHasIt(t *testing.T) {
	f := setupBreaks(t)
	ways := map[breaks.State][]breaks.Verb{
		breaks.Open: {breaks.See}, breaks.Acknowledged: {breaks.See, breaks.Ack}, breaks.Resolving: {breaks.See, breaks.Resolve},
		breaks.PendingApproval: {breaks.See, breaks.Propose}, breaks.Resolved: {breaks.See, breaks.Vanish},
	}
	type step struct {
		from  breaks.State
		verb  breaks.Verb
		legal bool
		to    breaks.State // where it is legal
	}
	want, batch := map[uuid.UUID]step{}, &pgx.Batch{}
	for from, way := range ways {
		for _, verb := range breaks.Verbs() {
			to, legal := breaks.Next(from, breaks.Vanished, verb)
			if to == from && (verb == breaks.Match || verb == breaks.Vanish) {
				continue // it changes nothing, and is never written down
			}
			id := uuid.New()
			batch.Queue(`INSERT INTO break (id, code, watcher, base_severity, opened_on) VALUES ($1, 'AMBIGUOUS', 'x', 1, '2026-11-02')`, id)
			for i, v := range append(way[:len(way):len(way)], verb) {
				batch.Queue(`INSERT INTO break_event (break_id, number, actor, verb) VALUES ($1, $2, 'x', $3)`, id, i+1, string(v))
			}
			want[id] = step{from, verb, legal, to}
		}
	}
	tx, err := f.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if err := tx.SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Query(t.Context(), `
SELECT s.break_id, s.state, v.id IS NULL FROM (SELECT DISTINCT ON (break_id) break_id, state FROM break_step ORDER BY break_id, number DESC) s
  LEFT JOIN inv_67_breaks_change_as_they_may v ON v.id = 'brk_' || s.break_id`)
	if err != nil {
		t.Fatal(err)
	}
	var id uuid.UUID
	var to int16
	var legal bool
	judged, err := pgx.ForEachRow(rows, []any{&id, &to, &legal}, func() error {
		if w := want[id]; legal != w.legal || legal && breaks.State(to) != w.to {
			t.Errorf("%s of what is %s: %v, then it is %s; want %v, %s", w.verb, w.from, legal, breaks.State(to), w.legal, w.to)
		}
		return nil
	})
	if err != nil || int(judged.RowsAffected()) != len(want) {
		t.Errorf("%s of %d: %v", judged, len(want), err)
	}
}
