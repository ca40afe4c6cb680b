package arch

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// serviceShape is what every service has, so that after one you can read all; {name} is the service's.
var serviceShape = []string{
	"doc.go", "run.go", "server.go", "store.go", "convert.go", "events.go",
	"sql/queries.sql", "sql/migrations", "{name}db",
}

// shapeless is the one service that owns no database and answers no RPC: it speaks HTTP for the others.
const shapeless = "web"

func TestServices_HaveTheSameShape(t *testing.T) {
	t.Parallel()
	for _, name := range services(t) {
		for _, part := range serviceShape {
			part = path.Join("services", name, strings.ReplaceAll(part, "{name}", name))
			if _, err := os.Stat(filepath.Join(root, part)); err != nil {
				t.Errorf("%s:1: all services have the same shape, this one has no %s", part, path.Base(part))
			}
		}
	}
}

var migrationName = regexp.MustCompile(`^[0-9]{4}_[a-z0-9_]+\.sql$`)

func TestMigrations_GoForwardOnly(t *testing.T) {
	t.Parallel()
	for name, text := range house(t).texts {
		if path.Base(path.Dir(name)) != "migrations" {
			continue
		}
		if !migrationName.MatchString(path.Base(name)) {
			t.Errorf("%s:1: a migration is named NNNN_what_it_does.sql", name)
		}
		if down := "-- +goose Down"; bytes.Contains(text, []byte(down)) {
			t.Errorf("%s migrations go forward only: what is wrong is mended by the next one", place(name, text, down))
		}
	}
}

// selectStar finds a star that stands for columns; count(*) is a number.
var selectStar = regexp.MustCompile(`(?i)\b(select|returning)\s+(\w+\.)?\*|,\s*\w+\.\*`)

func TestQueries_EnumerateTheirColumns(t *testing.T) {
	t.Parallel()
	for name, text := range house(t).texts {
		if path.Base(name) != "queries.sql" {
			continue
		}
		number := 0
		for line := range bytes.Lines(text) {
			number++
			if selectStar.Match(line) {
				t.Errorf("%s:%d: columns are enumerated, never *", name, number)
			}
		}
	}
}

// services returns the names of the services that have the common shape.
func services(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "services"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		if entry.IsDir() {
			found = append(found, entry.Name())
		}
	}
	return slices.DeleteFunc(found, func(name string) bool { return name == shapeless })
}
