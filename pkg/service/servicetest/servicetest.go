// Package servicetest runs services in a test, on databases of their own in the test binary's private Postgres
// and on a private NATS, and speaks to them over gRPC as a client would.
package servicetest

import (
	"testing"

	"google.golang.org/grpc"

	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/telemetry"
)

// Start runs services in one process until the test ends. A service without a DSN gets a database of its own. The
// test binary's TestMain must be pgtest.Main.
func Start(t testing.TB, services ...service.Service) *service.Process {
	t.Helper()
	return StartWith(t, Config(), services...)
}

// Config is a configuration for tests: free ports, quiet logs, and a private NATS server.
func Config() service.Config {
	cfg := service.DefaultConfig()
	cfg.GRPC.Addr, cfg.HTTP.Addr, cfg.NATS.URL = "127.0.0.1:0", "127.0.0.1:0", ""
	cfg.Log.Level = "warn"
	return cfg
}

// StartWith is Start with a configuration; an empty NATS URL means a private server.
func StartWith(t testing.TB, cfg service.Config, services ...service.Service) *service.Process {
	t.Helper()
	if cfg.NATS.URL == "" {
		cfg.NATS.URL = bustest.Server(t).URL()
	}
	for i := range services {
		if services[i].Postgres.DSN == "" {
			services[i].Postgres.DSN = pgtest.DSN(t, services[i].Migrations...)
		}
	}
	p, err := service.Start(t.Context(), cfg, t.Output(), services...)
	if err != nil {
		t.Fatalf("starting services: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("stopping services: %v", err)
		}
		select {
		case err := <-p.Failed():
			t.Errorf("a duty failed: %v", err)
		default:
		}
	})
	return p
}

// Dial connects to a process as the given caller, until the test ends.
func Dial(t testing.TB, p *service.Process, caller string) *grpc.ClientConn {
	t.Helper()
	return DialAddr(t, p.GRPCAddr(), caller)
}

// DialAddr is Dial for a process of which only the address is known.
func DialAddr(t testing.TB, addr, caller string) *grpc.ClientConn {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatalf("setting up telemetry: %v", err)
	}
	conn, err := rpc.Dial(rpc.ClientConfig{
		Caller: caller, Destination: "the services under test", Target: addr,
		Telemetry: tel, Tracers: tel.Tracers("test"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
