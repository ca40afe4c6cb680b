package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/tieout/tieout/pkg/benchtest"
	pglocal "github.com/tieout/tieout/pkg/pg/local"
)

// pprofSource is compiled into the product's command when profiles are wanted, and is not part of it otherwise.
const pprofSource = `package main

import (
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
)

func init() {
	runtime.SetMutexProfileFraction(20)
	go func() { panic(http.ListenAndServe(os.Getenv("BENCH_PPROF"), nil)) }()
}
`

// pprofOverlay has the compiler see a file in the command's directory that is not there.
func (b *bench) pprofOverlay() (file string, err error) {
	source := filepath.Join(b.dir, "pprof.go")
	if err := os.WriteFile(source, []byte(pprofSource), 0o600); err != nil {
		return "", err
	}
	command, err := filepath.Abs(filepath.Join(product, "cmd", "tieout", "bench_pprof.go"))
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(map[string]any{"Replace": map[string]string{command: source}})
	if err != nil {
		return "", err
	}
	file = filepath.Join(b.dir, "overlay.json")
	return file, os.WriteFile(file, raw, 0o600)
}

// prepareProfiles tells the process where to serve profiles, and makes the Postgres that it is going to use, in which
// statements are counted.
func (t *tieout) prepareProfiles(ctx context.Context, dir string, cmd *exec.Cmd) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	t.pprof = "127.0.0.1:" + strconv.Itoa(port)
	cmd.Env = append(cmd.Env, "BENCH_PPROF="+t.pprof)
	server, err := pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(dir, "postgres"), Sync: true})
	if err != nil {
		return err
	}
	return errors.Join(countStatements(ctx, server), server.Stop(ctx))
}

func countStatements(ctx context.Context, server *pglocal.Server) error {
	conn, err := pgx.Connect(ctx, server.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range []string{
		`ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`,
		`CREATE EXTENSION pg_stat_statements`,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// takeProfiles takes profiles of the system's process while something lasts, and what its Postgres did meanwhile by statement.
// They are files in dir, named after the case; the processor time is there as a flame graph, too.
func (t *tieout) takeProfiles(ctx context.Context, dir, name string, lasts time.Duration) error {
	if _, err := t.meter.conn.Exec(ctx, `SELECT pg_stat_statements_reset()`); err != nil {
		return err
	}
	var group errgroup.Group
	for what, file := range map[string]string{"profile": "cpu", "allocs": "allocs", "mutex": "mutex"} {
		group.Go(func() error {
			url := fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", t.pprof, what, int(lasts.Seconds()))
			return download(ctx, url, filepath.Join(dir, name+"-"+file+".pprof"))
		})
	}
	err := group.Wait()
	if err == nil {
		err = drawFlames(filepath.Join(dir, name+"-cpu.pprof"), "Processor time of the system's process: "+name, filepath.Join(dir, name+"-cpu.svg"))
	}
	return errors.Join(err, t.statements(ctx, filepath.Join(dir, name+"-statements.md")))
}

func download(ctx context.Context, url, file string) error {
	body, err := benchtest.Get(ctx, url)
	if err != nil {
		return err
	}
	defer body.Close()
	to, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, body)
	return errors.Join(err, to.Close())
}

// statements writes the statements that took the most time, of all databases.
func (t *tieout) statements(ctx context.Context, file string) error {
	rows, err := t.meter.conn.Query(ctx, `
SELECT d.datname, s.calls, s.rows, s.total_exec_time, s.wal_bytes::bigint, regexp_replace(s.query, '\s+', ' ', 'g')
  FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid ORDER BY s.total_exec_time DESC LIMIT 20`)
	if err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString("| database | ms | calls | rows | WAL kB | statement |\n|---|---|---|---|---|---|\n")
	var database, query string
	var calls, n, wal int64
	var took float64
	_, err = pgx.ForEachRow(rows, []any{&database, &calls, &n, &took, &wal, &query}, func() error {
		if len(query) > 300 {
			query = query[:300] + "…"
		}
		fmt.Fprintf(&text, "| %s | %.0f | %d | %d | %d | `%s` |\n", database, took, calls, n, wal>>10, strings.ReplaceAll(query, "|", `\|`))
		return nil
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}
