package arch

import (
	"go/ast"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestStatements_PrepareAgainstTheMigratedSchema(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, name := range services(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queries := path.Join("services", name, name+"db")
			statements := tr.statements(queries)
			if len(statements) == 0 {
				t.Fatalf("%s:1: a service's queries are generated into its db package, this one has none", queries)
			}
			migrations := os.DirFS(filepath.Join(root, "services", name, "sql", "migrations"))
			conn, err := pgx.Connect(t.Context(), pgtest.DSN(t, pg.Migrations{Name: name, FS: migrations}))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			for at, sql := range statements {
				if _, err := conn.Prepare(t.Context(), "", sql); err != nil {
					t.Errorf("%s: every statement prepares against the migrated schema: %v\n%s", at, err, sql)
				}
			}
		})
	}
}

// statements returns the SQL that sqlc put into the package at dir, by file and line.
func (t *tree) statements(dir string) map[string]string {
	found := map[string]string{}
	for _, s := range t.sources {
		if s.dir != dir {
			continue
		}
		ast.Inspect(s.ast, func(node ast.Node) bool {
			lit, ok := node.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && strings.HasPrefix(text, "-- name:") {
				found[s.path+":"+strconv.Itoa(t.line(lit))] = text
			}
			return true
		})
	}
	return found
}
