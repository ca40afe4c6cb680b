package rpc

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/tieout/tieout/pkg/shed"
)

const (
	// gatherFor is how long what comes on a connection gathers before it is read, while calls are refused.
	gatherFor = 5 * time.Millisecond
	// maxGathers is how often in a row that may bring nothing before the connection is waited for.
	maxGathers = 2
)

// Serve is [grpc.Server.Serve]. While calls are refused it reads what has come on a TCP connection every few milliseconds, and
// not as it comes. To refuse a call costs little beside being woken up for it; and who wakes up by a timer is up next in Go's
// scheduler, whereas what has come in is only asked for when one of its processors has run out of work, which in a flood takes
// long.
func (s *Server) Serve(l net.Listener) error {
	if s.admission.gate != nil {
		l = gatherer{l, s.admission.gate}
	}
	return s.Server.Serve(l)
}

type gatherer struct {
	net.Listener
	gate *shed.Gate
}

// Accept implements net.Listener.
func (g gatherer) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	tcp, ok := conn.(*net.TCPConn)
	if err != nil || !ok {
		return conn, err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &gatheredConn{TCPConn: tcp, raw: raw, gate: g.gate}, nil
}

// gatheredConn is read by one goroutine at a time, as gRPC does.
type gatheredConn struct {
	*net.TCPConn
	raw  syscall.RawConn
	gate *shed.Gate
}

// Read implements net.Conn.
func (c *gatheredConn) Read(p []byte) (int, error) {
	for i := 0; i < maxGathers && c.gate.Refusing(); i++ {
		time.Sleep(gatherFor)
		if n, err := c.readNow(p); !errors.Is(err, syscall.EAGAIN) {
			return n, err
		}
	}
	return c.TCPConn.Read(p)
}

// readNow reads what has come; EAGAIN when nothing has.
func (c *gatheredConn) readNow(p []byte) (n int, err error) {
	failed := c.raw.Read(func(fd uintptr) bool {
		for {
			if n, err = syscall.Read(int(fd), p); !errors.Is(err, syscall.EINTR) {
				return true
			}
		}
	})
	switch {
	case failed != nil:
		return 0, failed
	case err != nil:
		return 0, err
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}
