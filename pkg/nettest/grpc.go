package nettest

import (
	"errors"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
)

// ServeGRPC serves at a loopback address of its own until the test ends, or the test stops the server.
func ServeGRPC(t testing.TB, s *grpc.Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) { // stopped before it was begun
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(func() {
		s.Stop()
		serving.Wait()
	})
	return l.Addr().String()
}
