package doctor

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// look gives the verdict of each check.
func look(t *testing.T, target Target) map[string]Status {
	t.Helper()
	verdicts := map[string]Status{}
	err := Run(t.Context(), target, func(c Check) error {
		verdicts[c.Name] = c.Status
		if c.Detail == "" || c.Status != OK && c.Remedy == "" {
			t.Errorf("a check without detail or remedy: %+v", c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return verdicts
}

var later = pg.Migrations{Name: "later", FS: fstest.MapFS{
	"0001_later.sql": {Data: []byte("-- +goose Up\nCREATE TABLE later (id int);\n")},
}}

func TestRun_FindsAPostgresThatForgetsAndAMissingMigration(t *testing.T) {
	t.Parallel()
	// The tests' own server does not sync, so that it is fast.
	postgres := service.Postgres{DSN: pgtest.DSN(t), MaxConns: 500}
	address := nettest.FreeAddr(t)
	got := look(t, Target{GRPC: address, HTTP: address, Services: []service.Service{
		{Name: "one", Postgres: postgres, Migrations: []pg.Migrations{later}},
		{Name: "two", Postgres: postgres},
	}})
	want := map[string]Status{
		"postgres binaries": OK, "redis binary": OK, "grpc " + address: OK, "http " + address: OK,
		"postgres version": OK, "postgres fsync": Fail, "postgres full_page_writes": Fail, "postgres synchronous_commit": Fail,
		"postgres max_connections": Fail, "clock": OK, "migrations one": Fail, "migrations two": OK,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func TestRun_FindsWhatIsDown(t *testing.T) {
	t.Parallel()
	address := nettest.FreeAddr(t)
	got := look(t, Target{Running: true, GRPC: address, HTTP: address, NATS: "nats://" + address, Services: []service.Service{
		{Name: "one", Postgres: service.Postgres{DSN: "postgres://u:p@" + address + "/one"}, Migrations: []pg.Migrations{later}},
	}})
	want := map[string]Status{
		"postgres binaries": OK, "redis binary": OK, "grpc " + address: Fail, "http " + address: Fail,
		"postgres of one": Fail, "migrations one": Fail, "nats": Fail,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func TestRun_KnowsAPortThatAnotherProgramHas(t *testing.T) {
	t.Parallel()
	other := bustest.Server(t).URL()[len("nats://"):]
	got := look(t, Target{GRPC: other, HTTP: other})
	if got["grpc "+other] != Warn || got["http "+other] != Warn {
		t.Errorf("verdicts: %v", got)
	}
}

func TestClock_JudgesTheDrift(t *testing.T) {
	t.Parallel()
	before := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	after := before.Add(time.Second)
	for theirs, want := range map[time.Time]Status{
		before.Add(time.Second / 2): OK, after.Add(time.Second / 2): OK, before.Add(-2 * time.Second): Warn, after.Add(time.Minute): Fail,
	} {
		if got := clock(theirs, before, after); got.Status != want {
			t.Errorf("Postgres' clock at %v between %v and %v: %+v, want %s", theirs, before, after, got, want)
		}
	}
}
