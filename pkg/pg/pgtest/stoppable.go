package pgtest

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/local"
)

// Stoppable is a server of the test's own that can be stopped, and started again on the same port with what it had.
type Stoppable struct {
	options local.Options
	server  *local.Server // nil while it is stopped
}

// NewStoppable starts a server that can be stopped; it ends with the test.
func NewStoppable(t testing.TB) *Stoppable {
	t.Helper()
	dir, err := os.MkdirTemp("", "tieout-pg-") // unlike t.TempDir's parent, open to the server's account
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(nettest.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	s := &Stoppable{options: local.Options{Dir: dir}}
	if s.options.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.server != nil {
			err = s.server.Stop(context.Background())
		}
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	s.Start(t)
	return s
}

// DSN is the URL of a migrated database on the server.
func (s *Stoppable) DSN(t testing.TB, name string, sets ...pg.Migrations) string {
	t.Helper()
	return DurableDSN(t, s.server, name, sets...)
}

// Start starts the server.
func (s *Stoppable) Start(t testing.TB) {
	t.Helper()
	server, err := local.Start(context.WithoutCancel(t.Context()), s.options)
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
}

// Stop stops the server, and breaks the connections that there are.
func (s *Stoppable) Stop(t testing.TB) {
	t.Helper()
	if err := s.server.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.server = nil
}
