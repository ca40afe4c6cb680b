package nettest

import (
	"net"
	"testing"
)

// FreeAddr is a loopback address, host and port, that nobody listens on. On Linux it is the test's own until it ends:
// the test may listen there, and again after it has stopped, and meanwhile nobody else is given the port.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for tries := 1; ; tries++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().(*net.TCPAddr)
		l.Close()
		release, err := reserve(addr.Port)
		if err == nil {
			t.Cleanup(release)
			return addr.String()
		}
		if tries == maxTries { // as often somebody else was given the port in between
			t.Fatalf("reserving %s: %v", addr, err)
		}
	}
}

const maxTries = 10
