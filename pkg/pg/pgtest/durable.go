package pgtest

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/local"
)

// Durable gives a server of the test's own that syncs its commits to disk as one in production does, for
// benchmarks; it ends with the test.
func Durable(t testing.TB) *local.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "tieout-pg-") // unlike t.TempDir's parent, open to the server's account
	if err != nil {
		t.Fatal(err)
	}
	server, err := local.Start(t.Context(), local.Options{Dir: dir, Sync: true})
	if err != nil {
		t.Fatal(errors.Join(err, os.RemoveAll(dir)))
	}
	t.Cleanup(func() {
		if err := errors.Join(server.Stop(context.Background()), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return server
}

// DurableDSN is the URL of a migrated database on such a server.
func DurableDSN(t testing.TB, server *local.Server, name string, sets ...pg.Migrations) string {
	t.Helper()
	dsn, err := server.EnsureDatabase(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := pg.Migrate(t.Context(), dsn, sets...); err != nil {
		t.Fatal(err)
	}
	return dsn
}
