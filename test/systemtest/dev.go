package systemtest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/tieout/tieout/cmd/tieout/dev"
	"github.com/tieout/tieout/pkg/waittest"
)

// Dev is the whole system in a process of its own, as `tieout dev` runs it.
type Dev struct {
	*Process
	// Ready says where things are.
	Ready dev.Ready
	// PID is the process.
	PID int
}

// StartDev starts the whole system with data that is gone after the test, behind a command that runs it, as "taskset -c 0",
// or none. It is stopped when the test ends.
func StartDev(t testing.TB, binary string, behind ...string) *Dev {
	t.Helper()
	dir := t.TempDir()
	line := append(behind, binary, "dev", "--ephemeral", "--data-dir", dir, "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "TIEOUT_LOG_LEVEL=warn", "TIEOUT_TELEMETRY_SAMPLE_RATIO=0")
	p := Start(t, cmd)
	d := &Dev{Process: p, PID: cmd.Process.Pid}
	waittest.Until(t, "the system is ready", func() bool {
		select {
		case <-p.Ended():
			t.Fatalf("tieout dev ended by itself: %s", p)
		default:
		}
		var err error
		d.Ready, err = dev.ReadReady(dir)
		return err == nil
	})
	return d
}
