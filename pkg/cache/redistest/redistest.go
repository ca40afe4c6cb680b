// Package redistest is the test kit of package cache: a private Redis for a test, and what can become of it.
package redistest

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/tieout/tieout/pkg/cache/local"
)

// Server is a redis-server of the test's own.
type Server struct {
	*local.Server
	t testing.TB
}

// Primary starts a server, which ends with the test. Where redis-server is not installed the test is skipped; the gate
// installs it.
func Primary(t testing.TB) *Server { return start(t, nil) }

// Replica starts a server that repeats another one.
func Replica(t testing.TB, of *Server) *Server { return start(t, of.Server) }

func start(t testing.TB, primary *local.Server) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Redis, which -short leaves out")
	}
	logging.Disable() // each failed connection is a line otherwise, and tests break many
	s, err := local.Start(t.Context(), local.Options{Dir: filepath.Join(t.TempDir(), "redis"), Primary: primary})
	if errors.Is(err, local.ErrNotInstalled) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return &Server{s, t}
}

// Client gives a client of the server, closed with the test.
func (s *Server) Client() *redis.Client {
	s.t.Helper()
	options, err := redis.ParseURL(s.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	client := redis.NewClient(options)
	s.t.Cleanup(func() { client.Close() })
	return client
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() { s.Stop() }

// Hang makes the server take calls and answer none, until Resume.
func (s *Server) Hang() { s.signal(syscall.SIGSTOP) }

// Resume ends Hang.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.PID(), sig); err != nil {
		s.t.Fatal(err)
	}
}
