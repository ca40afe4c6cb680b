package nettest

import (
	"net"
	"runtime"
	"testing"

	"google.golang.org/grpc"
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

// TestServeGRPC_StoppedAtOnce stops servers as a test does that ends before its server was begun.
func TestServeGRPC_StoppedAtOnce(t *testing.T) {
	t.Parallel()
	for range 100 {
		t.Run("", func(t *testing.T) {
			if addr := ServeGRPC(t, grpc.NewServer()); addr == "" {
				t.Error("it has no address")
			}
		})
	}
}
