package systemtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"

	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

// Split is the services of a world, each in a process of its own, as `tieout serve <name>` runs them.
type Split struct {
	world     *World
	binary    string
	addrs     map[string]string
	processes map[string]*exec.Cmd
}

// Split builds the binary and starts every service; they are killed when the test ends.
func (w *World) Split(t testing.TB) *Split {
	t.Helper()
	s := &Split{world: w, binary: Build(t), addrs: map[string]string{}, processes: map[string]*exec.Cmd{}}
	for _, svc := range w.Services() {
		s.addrs[svc.Name] = nettest.FreeAddr(t)
	}
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

// Build compiles the tieout binary for the test and gives its path.
func Build(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "tieout")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/tieout/tieout/cmd/tieout")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building tieout: %v\n%s", err, out)
	}
	return binary
}

// Start starts a service's process. Clients wait for it by themselves.
func (s *Split) Start(t testing.TB, name string) {
	t.Helper()
	cmd := exec.Command(s.binary, "serve", name, "--grpc-addr", s.addrs[name], "--http-addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(),
		"TIEOUT_NATS_URL="+s.world.NATS.URL(),
		"TIEOUT_LOG_LEVEL=warn",
		"TIEOUT_ORCHESTRATOR_INVENTORY_ADDR="+s.addrs["inventory"],
		"TIEOUT_ORCHESTRATOR_PAYMENT_ADDR="+s.addrs["payment"],
		"TIEOUT_ORCHESTRATOR_SHIPMENT_ADDR="+s.addrs["shipment"],
		"TIEOUT_PAYMENT_PROVIDER_URL="+s.world.PSP.URL(),
		"TIEOUT_PAYMENT_PROVIDER_TIMEOUT="+ProviderTimeout.String(),
		"TIEOUT_PAYMENT_PROVIDER_NOT_FOUND_LAG="+ProviderTimeout.String(),
	)
	for service, dsn := range s.world.DSN {
		cmd.Env = append(cmd.Env, fmt.Sprintf("TIEOUT_%s_POSTGRES_DSN=%s", strings.ToUpper(service), dsn))
	}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	s.processes[name] = cmd
}

// Kill ends a service's process with SIGKILL and waits until it is gone.
func (s *Split) Kill(t testing.TB, name string) {
	t.Helper()
	cmd := s.processes[name]
	if err := cmd.Process.Kill(); err != nil {
		t.Errorf("killing %s: %v", name, err)
	}
	_ = cmd.Wait() // its error is the kill
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("%s ended by itself: %s", name, cmd.ProcessState)
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
