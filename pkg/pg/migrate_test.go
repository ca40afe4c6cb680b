package pg_test

import (
	"maps"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

func set(name string, files map[string]string) pg.Migrations {
	fs := make(fstest.MapFS)
	for file, sql := range files {
		fs[file] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)}
	}
	return pg.Migrations{Name: name, FS: fs}
}

func TestMigrate_AppliesSetsSideBySide(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	kit := set("kit", map[string]string{"0001_a.sql": `CREATE TABLE a ();`})
	files := map[string]string{"0001_b.sql": `CREATE TABLE b ();`}
	first := set("svc", files)
	later := maps.Clone(files)
	later["0002_c.sql"] = `CREATE TABLE c ();`
	second := set("svc", later)

	status := func(sets ...pg.Migrations) []pg.MigrationStatus {
		t.Helper()
		got, err := pg.Status(t.Context(), dsn, sets...)
		if err != nil {
			t.Fatalf("Status: %v", err)
		}
		return got
	}
	check := func(step string, got, want []pg.MigrationStatus) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: status (-want +got):\n%s", step, diff)
		}
	}
	check("new database", status(kit, first), []pg.MigrationStatus{{Set: "kit", Latest: 1}, {Set: "svc", Latest: 1}})
	for range 2 { // the second time there is nothing to do
		if err := pg.Migrate(t.Context(), dsn, kit, first); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
	}
	check("migrated", status(kit, second),
		[]pg.MigrationStatus{{Set: "kit", Applied: 1, Latest: 1}, {Set: "svc", Applied: 1, Latest: 2}})
	if err := pg.Migrate(t.Context(), dsn, kit, second); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	check("as an older binary sees it", status(first), []pg.MigrationStatus{{Set: "svc", Applied: 2, Latest: 1}})
	mustExec(t, open(t, dsn), `SELECT FROM a, b, c`)
}

func TestMigrationStatus_PendingOnlyWhenTheDatabaseIsBehind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		applied, latest int64
		want            bool
	}{{0, 1, true}, {1, 1, false}, {2, 1, false}} {
		got := pg.MigrationStatus{Applied: c.applied, Latest: c.latest}.Pending()
		if got != c.want {
			t.Errorf("applied %d, latest %d: got %v, want %v", c.applied, c.latest, got, c.want)
		}
	}
}

func TestMigrate_ManyAtOnceApplyEachMigrationOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	kit := set("kit", map[string]string{"0001_a.sql": `CREATE TABLE a (n int); INSERT INTO a VALUES (1);`})
	var group errgroup.Group
	for range 4 {
		group.Go(func() error { return pg.Migrate(t.Context(), dsn, kit) })
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	var rows int
	if err := open(t, dsn).QueryRow(t.Context(), `SELECT count(*) FROM a`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows != 1 {
		t.Errorf("got %d rows, want 1", rows)
	}
}

func TestMigrate_KeepsWhatWasAppliedBeforeAnError(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	broken := set("svc", map[string]string{"0001_a.sql": `CREATE TABLE a ();`, "0002_b.sql": `CREATE TABLE b (; `})
	if err := pg.Migrate(t.Context(), dsn, broken); err == nil {
		t.Fatal("got no error")
	}
	got, err := pg.Status(t.Context(), dsn, broken)
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	if diff := cmp.Diff([]pg.MigrationStatus{{Set: "svc", Applied: 1, Latest: 2}}, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestMigrate_RefusesANameThatIsNoIdentifier(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Svc", "a b", `x"; DROP TABLE y; --`} {
		kit := set(name, map[string]string{"0001_a.sql": `SELECT 1;`})
		if err := pg.Migrate(t.Context(), "postgres://localhost/none", kit); err == nil {
			t.Errorf("%q: got no error", name)
		}
	}
}
