package pgtest_test

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func table(name string) pg.Migrations {
	return pg.Migrations{Name: "set", FS: fstest.MapFS{
		"0001_table.sql": {Data: []byte("-- +goose Up\nCREATE TABLE " + name + " (n int);\n")},
	}}
}

func TestPool_IsAloneInAMigratedDatabase(t *testing.T) {
	t.Parallel()
	for range 3 {
		t.Run("clone", func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t, table("thing"))
			if _, err := pool.Exec(t.Context(), `INSERT INTO thing VALUES (1)`); err != nil {
				t.Fatal(err)
			}
			var rows int
			var super bool
			err := pool.QueryRow(t.Context(), `
				SELECT count(*), (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) FROM thing`).Scan(&rows, &super)
			if err != nil {
				t.Fatal(err)
			}
			if rows != 1 || super {
				t.Errorf("got %d rows, superuser %v; want 1, false", rows, super)
			}
		})
	}
}

func TestPool_KeepsDifferentMigrationsApart(t *testing.T) {
	t.Parallel()
	one, two := pgtest.Pool(t, table("one")), pgtest.Pool(t, table("two"))
	if _, err := one.Exec(t.Context(), `SELECT FROM one`); err != nil {
		t.Error(err)
	}
	if _, err := two.Exec(t.Context(), `SELECT FROM one`); err == nil {
		t.Error("the second database has the first one's table")
	}
}

func TestViolations_GivesTheRowsOfAllInvariants(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t, table("thing"))
	_, err := db.Exec(t.Context(), `
CREATE VIEW inv_1_small AS SELECT n::text AS id, 'is large' AS detail FROM thing WHERE n > 9;
CREATE VIEW inv_2_even AS SELECT n::text AS id, 'is odd' AS detail FROM thing WHERE n % 2 = 1;
CREATE VIEW other AS SELECT n::text AS id, 'is there' AS detail FROM thing`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	for insert, want := range map[string]string{
		`INSERT INTO thing VALUES (2)`:  "",
		`INSERT INTO thing VALUES (11)`: "inv_1_small: 11: is large, inv_2_even: 11: is odd",
	} {
		if _, err := db.Exec(t.Context(), `TRUNCATE thing; `+insert, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
		got := pgtest.Violations(t, db)
		slices.Sort(got)
		if strings.Join(got, ", ") != want {
			t.Errorf("after %s: got %q, want %q", insert, got, want)
		}
	}
}

func TestDSN_DropsTheDatabaseThoughSomebodyIsConnected(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("user", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), pgtest.DSN(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	conn, err := pgx.Connect(t.Context(), pgtest.Server(t).DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var exists bool
	err = conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists)
	if err != nil {
		t.Fatal(err)
	}
	if exists || name == "" {
		t.Errorf("database %q is still there", name)
	}
}

// ending makes a run of this test binary the victim: see TestVictim.
var ending = flag.String("ending", "", "how TestVictim ends: panic or wait")

// TestVictim prints its server's directory and ends the way it is told.
func TestVictim(t *testing.T) {
	if *ending == "" {
		t.Skip("is run by TestMain_LeavesNoServerBehind")
	}
	conn, err := pgx.Connect(t.Context(), pgtest.Server(t).DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	var data string
	if err := conn.QueryRow(t.Context(), `SHOW data_directory`).Scan(&data); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("serving %s\n", data)
	switch *ending {
	case "panic":
		panic("as told")
	case "wait":
		select {}
	}
}

func TestMain_LeavesNoServerBehind(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs a database, which -short leaves out")
	}
	for name, c := range map[string]struct {
		ending  string
		signal  os.Signal
		removed bool
	}{
		"passed":      {ending: "pass", removed: true},
		"panic":       {ending: "panic"},
		"killed":      {ending: "wait", signal: syscall.SIGKILL},
		"interrupted": {ending: "wait", signal: os.Interrupt, removed: true},
		"terminated":  {ending: "wait", signal: syscall.SIGTERM, removed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			victim, data := startVictim(t, c.ending)
			if c.signal != nil {
				if err := victim.Process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
			}
			err := victim.Wait()
			if passed := err == nil; passed != (c.ending == "pass") {
				t.Errorf("the victim ended with %v", err)
			}
			// The server removes its pid file as the last thing that it does.
			waittest.Until(t, "the server is gone", func() bool {
				_, err := os.Stat(filepath.Join(data, "postmaster.pid"))
				return os.IsNotExist(err)
			})
			if _, err := os.Stat(data); os.IsNotExist(err) != c.removed {
				t.Errorf("data directory: %v; want it removed: %v", err, c.removed)
			}
			os.RemoveAll(filepath.Dir(data))
		})
	}
}

func startVictim(t *testing.T, ending string) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(self, "-test.run=^TestVictim$", "-ending="+ending)
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { victim.Process.Kill() })
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "serving "); ok {
			return victim, data
		}
	}
	t.Fatal("the victim ended early")
	return nil, ""
}
