package bustest

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/local"
)

// Server starts a server of the test's own on a free port; it is stopped when the test ends.
func Server(t testing.TB) *local.Server {
	t.Helper()
	s, err := local.Start(local.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// Connect gives a client of s, with further options, that never gives up and reconnects fast; it is closed when the test ends.
func Connect(t testing.TB, s *local.Server, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	opts = append(opts, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	nc, err := s.Connect(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// JetStream gives a client of a private server that has the stream of events.
func JetStream(t testing.TB) jetstream.JetStream {
	t.Helper()
	js := Connect(t, Server(t))
	if err := bus.EnsureStream(t.Context(), js, 1); err != nil {
		t.Fatal(err)
	}
	return js
}
