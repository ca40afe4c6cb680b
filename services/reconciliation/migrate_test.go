package reconciliation

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

// TestMigrations_KeepMatches has matches of all shapes be there before they became pairs, and wants the same to be read after it.
func TestMigrations_KeepMatches(t *testing.T) {
	t.Parallel()
	all := Migrations()
	own := &all[len(all)-1]
	whole, before := own.FS, fstest.MapFS{}
	names, err := fs.Glob(whole, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name[:4] >= "0013" {
			continue
		}
		text, err := fs.ReadFile(whole, name)
		if err != nil {
			t.Fatal(err)
		}
		before[name] = &fstest.MapFile{Data: text}
	}
	own.FS = before
	dsn := pgtest.DSN(t, all...)
	db, err := pg.Open(t.Context(), pg.Config{DSN: dsn, ApplicationName: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(t.Context(), `
INSERT INTO partition (stage, account, currency) VALUES (1, 'default', 'EUR');
INSERT INTO movement (id, key, partition_id, ours, kind, amount_minor, day)
SELECT n, gen_random_uuid(), 1, n <= 10, 1, 5, '2026-11-10' FROM generate_series(1, 20) n;
INSERT INTO match (id, partition_id, pass, ours_by, theirs_by, score, evidence) VALUES
    (4294967297, 1, 1, 1, 2, 1000, ''), (4294967298, 1, 6, 0, 0, 800, '{"by":"sum"}'), (4294967299, 1, 7, 0, 0, 1000, ''),
    (4294967300, 1, 2, 0, 0, 900, ''), (-1, 1, 0, 0, 0, 0, '');
INSERT INTO match_leg (match_id, movement_id) VALUES
    (4294967297, 11), (4294967297, 1), (4294967298, 2), (4294967298, 13), (4294967298, 12), (4294967298, 14), (4294967299, 15), (-1, 4), (-1, 3), (-1, 16);
INSERT INTO match_leg (match_id, movement_id, active, undone_run) VALUES (4294967300, 5, false, 2), (4294967300, 17, false, 2)`); err != nil {
		t.Fatal(err)
	}
	const read = `
SELECT format('%s %s: %s', (m.*)::text, count(*), string_agg(format('%s %s %s', l.movement_id, l.active, l.undone_run), ', ' ORDER BY l.movement_id))
  FROM match m JOIN match_leg l ON l.match_id = m.id GROUP BY m.id, (m.*)::text ORDER BY m.id`
	want := pgtest.Column[string](t, db, read)
	own.FS = whole
	if err := pg.Migrate(t.Context(), dsn, all...); err != nil {
		t.Fatal(err)
	}
	db.Reset()
	if diff := cmp.Diff(want, pgtest.Column[string](t, db, read)); diff != "" || len(want) != 5 {
		t.Errorf("matches are read otherwise than before (-before +after):\n%s%s", diff, strings.Join(want, "\n"))
	}
	if n := pgtest.Column[int64](t, db, `SELECT count(*) FROM match_pair`)[0]; n != 8 {
		t.Errorf("12 legs have become %d pairs", n)
	}
	wantWhole(t, db, "^inv_61_")
}
