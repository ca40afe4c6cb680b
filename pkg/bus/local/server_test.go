package local_test

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus/local"
)

// publish stores one message and gives its sequence in the stream.
func publish(t *testing.T, s *local.Server) uint64 {
	t.Helper()
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	ack, err := js.Publish(t.Context(), "s", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

func start(t *testing.T, opts local.Options) *local.Server {
	t.Helper()
	s, err := local.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func TestServer_KeepsItsStreamsOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, local.Options{Dir: dir})
	publish(t, first)
	first.Shutdown()
	if got := publish(t, start(t, local.Options{Dir: dir})); got != 2 {
		t.Errorf("got sequence %d after the restart, want 2", got)
	}
}

func TestServer_IsReachedInProcessWithoutAPort(t *testing.T) {
	t.Parallel()
	s := start(t, local.Options{Dir: t.TempDir(), Port: -1})
	if s.URL() != "" {
		t.Errorf("got URL %q, want none", s.URL())
	}
	publish(t, s)
}

func TestStart_SaysThatThePortIsTaken(t *testing.T) {
	t.Parallel()
	first := start(t, local.Options{Dir: t.TempDir()})
	u, err := url.Parse(first.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	second, err := local.Start(local.Options{Dir: t.TempDir(), Port: port})
	if err == nil {
		second.Shutdown()
		t.Fatal("a second server started on the same port")
	}
}
