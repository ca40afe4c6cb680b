package idem_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
)

// fault is what becomes of a COMMIT.
type fault int32

const (
	healthy    fault = iota
	notApplied       // it never reaches the server
	applied          // the server has answered it, and the answer is lost
)

var faults = map[string]fault{"failed, not applied": notApplied, "failed, but applied": applied}

// faultyPool is the fixture's pool with COMMITs that fail as fault says, until it is healthy.
func (f fixture) faultyPool(fault *atomic.Int32) *pgxpool.Pool {
	f.Helper()
	cfg := f.pool.Config()
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &faultyConn{Conn: conn, fault: fault}, err
	}
	pool, err := pgxpool.NewWithConfig(f.Context(), cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(pool.Close)
	return pool
}

// faultyConn is a connection that is lost at a COMMIT.
type faultyConn struct {
	net.Conn
	fault *atomic.Int32
	deaf  atomic.Bool
}

func (c *faultyConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("commit\x00")) {
		switch fault(c.fault.Load()) {
		case notApplied:
			return len(b), c.Close() // the network took it; nobody got it
		case applied:
			c.deaf.Store(true)
		}
	}
	return c.Conn.Write(b)
}

func (c *faultyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.deaf.Load() && err == nil { // the server has answered the COMMIT
		return 0, errors.Join(io.ErrUnexpectedEOF, c.Close())
	}
	return n, err
}

func TestOnce_TakesEffectOnceThoughACommitIsUnknown(t *testing.T) {
	t.Parallel()
	for name, kind := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			var state atomic.Int32
			state.Store(int32(kind))
			lossy := fixture{t, f.faultyPool(&state)}
			if _, err := lossy.pay(t.Context(), request()); !errors.Is(err, pg.ErrCommitUnknown) {
				t.Fatalf("got %v, want ErrCommitUnknown", err)
			}
			state.Store(int32(healthy))
			ctx, call := lossy.call()
			got, err := lossy.pay(ctx, request())
			if err != nil || got.Note != "paid" {
				t.Errorf("asked again: got %+v, %v", got, err)
			}
			if want := kind == applied; call.replayed() != want {
				t.Errorf("replayed: got %v, want %v", call.replayed(), want)
			}
			f.wantEffects("paid")
		})
	}
}

func TestBegin_IntendsOnceThoughACommitIsUnknown(t *testing.T) {
	t.Parallel()
	for name, kind := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			var state atomic.Int32
			state.Store(int32(kind))
			lossy := f.faultyPool(&state)
			claim, _, err := idem.Begin[receipt](t.Context(), lossy, request(), time.Hour, intend)
			if !errors.Is(err, pg.ErrCommitUnknown) || claim != nil {
				t.Fatalf("got claim %v, %v; want ErrCommitUnknown", claim, err)
			}
			state.Store(int32(healthy))
			f.endLeases()
			claim, _, err = idem.Begin[receipt](t.Context(), lossy, request(), time.Hour, intend)
			if err != nil || claim == nil {
				t.Fatalf("asked again: got claim %v, %v", claim, err)
			}
			if want := kind == applied; claim.Resumed != want {
				t.Errorf("resumed: got %v, want %v", claim.Resumed, want)
			}
			f.wantEffects("intent")
		})
	}
}

func TestFinish_TakesEffectOnceThoughACommitIsUnknown(t *testing.T) {
	t.Parallel()
	for name, kind := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			var state atomic.Int32
			lossy := fixture{t, f.faultyPool(&state)}
			claim := lossy.begin(request())
			state.Store(int32(kind))
			if _, err := finish(t.Context(), claim); !errors.Is(err, pg.ErrCommitUnknown) {
				t.Fatalf("Finish: got %v, want ErrCommitUnknown", err)
			}
			state.Store(int32(healthy))
			f.endLeases()
			resumed, answer, err := idem.Begin[receipt](t.Context(), lossy.pool, request(), time.Hour, lossy.mustNotIntend)
			if err != nil {
				t.Fatalf("asked again: %v", err)
			}
			if want := kind == notApplied; (resumed != nil) != want {
				t.Errorf("got a claim: %v, want %v", resumed != nil, want)
			}
			if resumed != nil {
				if answer, err = finish(t.Context(), resumed); err != nil {
					t.Errorf("Finish again: %v", err)
				}
			}
			if want := (receipt{ID: claim.Resource, Note: "finished"}); answer != want {
				t.Errorf("got %+v, want %+v", answer, want)
			}
			f.wantEffects("intent", "outcome")
		})
	}
}
