package pgtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Fault is what becomes of a COMMIT.
type Fault int32

// The faults.
const (
	// Healthy: it is sent, and its answer arrives.
	Healthy Fault = iota
	// NotApplied: it never reaches the server.
	NotApplied
	// Applied: the server has answered it, and the answer is lost.
	Applied
)

// Faults are the ways to lose the answer to a COMMIT, by what they are called.
func Faults() map[string]Fault {
	return map[string]Fault{"failed, not applied": NotApplied, "failed, but applied": Applied}
}

// FaultySwitch says what becomes of the COMMITs of a pool.
type FaultySwitch struct{ fault atomic.Int32 }

// Set changes it, from the next COMMIT on.
func (s *FaultySwitch) Set(f Fault) { s.fault.Store(int32(f)) }

// SetOnce changes it for one COMMIT.
func (s *FaultySwitch) SetOnce(f Fault) { s.fault.Store(-int32(f)) }

func (s *FaultySwitch) next() Fault {
	f := s.fault.Load()
	if f < 0 && s.fault.CompareAndSwap(f, int32(Healthy)) {
		f = -f
	}
	return Fault(f)
}

// Faulty is a pool like another one, whose connections are lost at a COMMIT as the switch says.
func Faulty(t testing.TB, pool *pgxpool.Pool) (*pgxpool.Pool, *FaultySwitch) {
	t.Helper()
	s := &FaultySwitch{}
	cfg := pool.Config()
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &faultyConn{Conn: conn, faults: s}, nil
	}
	faulty, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(faulty.Close)
	return faulty, s
}

// faultyConn is a connection that is lost at a COMMIT.
type faultyConn struct {
	net.Conn
	faults *FaultySwitch
	deaf   atomic.Bool
}

// Write implements net.Conn; pgx sends COMMIT as one write.
func (c *faultyConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("commit\x00")) {
		switch c.faults.next() {
		case NotApplied:
			return len(b), c.Close() // the network took it; nobody got it
		case Applied:
			c.deaf.Store(true)
		}
	}
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c *faultyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.deaf.Load() && err == nil { // the server has answered the COMMIT
		return 0, errors.Join(io.ErrUnexpectedEOF, c.Close())
	}
	return n, err
}
