// Package nettest gives tests addresses.
package nettest

import (
	"net"
	"testing"
)

// FreeAddr is a loopback address, host and port, that nobody listens on.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
