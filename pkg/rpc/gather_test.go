package rpc_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/shed"
)

// refusing is a gate that has refused a call just now, whenever that is asked.
func refusing(t *testing.T) *shed.Gate {
	t.Helper()
	now := time.Now()
	gate, err := shed.NewGate(shed.Config{Limit: shed.LimitConfig{Min: 1, Initial: 1, Max: 1}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	gate.Before(shed.NewBacklog(shed.BacklogConfig{
		Name: "orders", UnderWay: func() int { return 1 }, Limit: shed.LimitConfig{Min: 1, Initial: 1, Max: 1},
	}))
	rpcerrtest.Want(t, gate.Knock(t.Context(), shed.New), rpcerr.Overloaded)
	return gate
}

// connect gives both ends of a connection, the first of which is read as a server does.
func connect(t *testing.T, gate *shed.Gate) (server net.Conn, client *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if server, err = rpc.Gather(l, gate).Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, conn.(*net.TCPConn)
}

func TestGather_ReadsWhatGathers(t *testing.T) {
	t.Parallel()
	server, client := connect(t, refusing(t))
	for _, part := range []string{"one ", "two ", "three"} {
		if _, err := client.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 13)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "one two three" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestGather_WaitsForWhatComesLate reads from a connection that is idle, as most of those of watches are: it is not asked again and
// again.
func TestGather_WaitsForWhatComesLate(t *testing.T) {
	t.Parallel()
	server, client := connect(t, refusing(t))
	read := make(chan error, 1)
	go func() {
		_, err := server.Read(make([]byte, 1))
		read <- err
	}()
	select {
	case err := <-read:
		t.Fatalf("read from an idle connection: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

func TestGather_EndsAsTheConnectionDoes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(server net.Conn, client *net.TCPConn) error
		want error
	}{
		"the client has hung up":  {func(_ net.Conn, client *net.TCPConn) error { return client.CloseWrite() }, io.EOF},
		"it was closed":           {func(server net.Conn, _ *net.TCPConn) error { return server.Close() }, net.ErrClosed},
		"its deadline has passed": {func(server net.Conn, _ *net.TCPConn) error { return server.SetReadDeadline(time.Now()) }, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := connect(t, refusing(t))
			if err := test.end(server, client); err != nil {
				t.Fatal(err)
			}
			if n, err := server.Read(make([]byte, 1)); n != 0 || !errors.Is(err, test.want) {
				t.Errorf("got %d, %v, want %v", n, err, test.want)
			}
		})
	}
}
