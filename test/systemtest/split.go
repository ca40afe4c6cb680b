package systemtest

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

// Split is the services of a world, each in a process of its own, as `tieout serve <name>` runs them.
type Split struct {
	world     *World
	binary    string
	output    io.Writer
	addrs     map[string]string
	http      map[string]string
	processes map[string]*Process
}

// Split builds the binary and starts every service; they are killed when the test ends.
func (w *World) Split(t testing.TB) *Split {
	t.Helper()
	s := w.SplitOf(t, Build(t), t.Output())
	for name := range s.addrs {
		s.Start(t, name)
	}
	t.Cleanup(func() {
		for name := range s.processes {
			s.Kill(t, name)
		}
	})
	return s
}

// SplitOf is a Split whose processes run a binary that is there, and print to output. None is started.
func (w *World) SplitOf(t testing.TB, binary string, output io.Writer) *Split {
	t.Helper()
	s := &Split{world: w, binary: binary, output: output, addrs: map[string]string{}, http: map[string]string{}, processes: map[string]*Process{}}
	for _, svc := range w.Services() {
		s.addrs[svc.Name], s.http[svc.Name] = nettest.FreeAddr(t), nettest.FreeAddr(t)
	}
	return s
}

// Build compiles the tieout binary for the test, with flags of `go build`, and gives its path.
func Build(t testing.TB, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "tieout")
	args := append([]string{"build", "-o", binary}, flags...)
	build := exec.CommandContext(t.Context(), "go", append(args, "github.com/tieout/tieout/cmd/tieout")...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building tieout: %v\n%s", err, out)
	}
	return binary
}

// Addr is where a service's process serves, and where the others look for it.
func (s *Split) Addr(name string) string { return s.addrs[name] }

// HTTPAddrs are where the processes serve their metrics, by service.
func (s *Split) HTTPAddrs() map[string]string { return maps.Clone(s.http) }

// Start starts a service's process. Clients wait for it by themselves.
func (s *Split) Start(t testing.TB, name string) {
	t.Helper()
	s.processes[name] = s.launch(t, nil, "serve", name, "--grpc-addr", s.addrs[name], "--http-addr", s.http[name])
}

// Process is a service's process.
func (s *Split) Process(name string) *Process { return s.processes[name] }

// Launch starts a process of a service on an address, with further variables; the caller has to end it.
func (s *Split) Launch(t testing.TB, name, addr string, env ...string) *Process {
	t.Helper()
	return s.launch(t, env, "serve", name, "--grpc-addr", addr, "--http-addr", "127.0.0.1:0")
}

// LaunchWeb starts a process of the gateway on an address, with further variables; the caller has to end it.
func (s *Split) LaunchWeb(t testing.TB, addr string, env ...string) *Process {
	t.Helper()
	return s.launch(t, env, "serve", "web", "--grpc-addr", "127.0.0.1:0", "--http-addr", addr)
}

func (s *Split) launch(t testing.TB, env []string, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(s.binary, args...)
	cmd.Env = append(os.Environ(),
		"TIEOUT_NATS_URL="+s.world.NATS.URL(),
		"TIEOUT_LOG_LEVEL=warn",
		"TIEOUT_ORCHESTRATOR_INVENTORY_ADDR="+s.addrs["inventory"],
		"TIEOUT_ORCHESTRATOR_PAYMENT_ADDR="+s.addrs["payment"],
		"TIEOUT_ORCHESTRATOR_SHIPMENT_ADDR="+s.addrs["shipment"],
		"TIEOUT_BILLING_ORCHESTRATOR_ADDR="+s.addrs["orchestrator"],
		"TIEOUT_RECONCILIATION_ORCHESTRATOR_ADDR="+s.addrs["orchestrator"],
		"TIEOUT_RECONCILIATION_PAYMENT_ADDR="+s.addrs["payment"],
		"TIEOUT_RECONCILIATION_INVENTORY_ADDR="+s.addrs["inventory"],
		"TIEOUT_RECONCILIATION_SHIPMENT_ADDR="+s.addrs["shipment"],
		"TIEOUT_PAYMENT_PROVIDER_PSP_URL="+s.world.PSP.URL(),
		"TIEOUT_PAYMENT_PROVIDER_PSP_TIMEOUT="+ProviderTimeout.String(),
		"TIEOUT_PAYMENT_PROVIDER_PSP_NOT_FOUND_LAG="+ProviderTimeout.String(),
	)
	for service, addr := range s.addrs {
		cmd.Env = append(cmd.Env, fmt.Sprintf("TIEOUT_WEB_%s_ADDR=%s", strings.ToUpper(service), addr))
	}
	for service, dsn := range s.world.DSN {
		cmd.Env = append(cmd.Env, fmt.Sprintf("TIEOUT_%s_POSTGRES_DSN=%s", strings.ToUpper(service), dsn))
	}
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = s.output, s.output
	p, err := start(cmd)
	if err != nil {
		t.Fatalf("starting tieout %s: %v", strings.Join(args, " "), err)
	}
	return p
}

// Kill ends a service's process with SIGKILL and waits until it is gone.
func (s *Split) Kill(t testing.TB, name string) {
	t.Helper()
	p := s.processes[name]
	p.Kill()
	if !p.Killed() {
		t.Errorf("%s ended by itself: %s", name, p)
	}
}

// Dial connects to a service as a client.
func (s *Split) Dial(t testing.TB, name string) *grpc.ClientConn {
	t.Helper()
	return servicetest.DialAddr(t, s.addrs[name], "load")
}

// DialAll connects to every service as a client.
func (s *Split) DialAll(t testing.TB) []*grpc.ClientConn {
	t.Helper()
	var conns []*grpc.ClientConn
	for name := range s.addrs {
		conns = append(conns, s.Dial(t, name))
	}
	return conns
}
