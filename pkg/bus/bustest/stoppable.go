package bustest

import (
	"net"
	"strconv"
	"testing"

	"github.com/tieout/tieout/pkg/bus/local"
	"github.com/tieout/tieout/pkg/nettest"
)

// Stoppable is a server of the test's own that can be stopped, and started again on the same port with what it had.
type Stoppable struct {
	*local.Server
	options local.Options
}

// NewStoppable starts a server that can be stopped; it ends with the test.
func NewStoppable(t testing.TB) *Stoppable {
	t.Helper()
	_, port, err := net.SplitHostPort(nettest.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	s := &Stoppable{options: local.Options{Dir: t.TempDir()}}
	if s.options.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	t.Cleanup(func() { s.Shutdown() })
	return s
}

// Start starts the server, which was stopped by Shutdown.
func (s *Stoppable) Start(t testing.TB) {
	t.Helper()
	server, err := local.Start(s.options)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = server
}
