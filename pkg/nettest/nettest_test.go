package nettest

import (
	"net"
	"runtime"
	"testing"
)

// TestFreeAddr_IsTheTestsOwn listens on an address twice, with another socket asking for it in between.
func TestFreeAddr_IsTheTestsOwn(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a port cannot be reserved here")
	}
	addr := FreeAddr(t)
	for range 2 {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		own, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		// A connection that would leave from there, without allowing the reuse of the port, is not to have it.
		if conn, err := (&net.Dialer{LocalAddr: own}).Dial("tcp", addr); err == nil {
			conn.Close()
			t.Error("somebody else got the port")
		}
	}
}
