package local

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tieout/tieout/pkg/waittest"
)

// hostDir makes a run of this test binary a host process: see TestHost.
var hostDir = flag.String("host-dir", "", "start a server in this directory and wait to be killed")

// TestHost is the process that the crash tests kill. It prints its server's process id.
func TestHost(t *testing.T) {
	if *hostDir == "" {
		t.Skip("is run by the crash tests")
	}
	server, err := Start(context.Background(), Options{Dir: *hostDir})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("serving %d\n", server.process.cmd.Process.Pid)
	select {} // until it is killed
}

// startHost returns the host process and its server's id.
func startHost(t *testing.T, dir string) (*exec.Cmd, int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(self, "-test.run=^TestHost$", "-host-dir="+dir)
	output, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Process.Kill() })
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if after, ok := strings.CutPrefix(lines.Text(), "serving "); ok {
			pid, err := strconv.Atoi(after)
			if err != nil {
				t.Fatal(err)
			}
			return host, pid
		}
	}
	t.Fatal("the host process ended early")
	return nil, 0
}

func TestServer_DiesWithItsProcess(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	for name, sig := range map[string]syscall.Signal{"kill": syscall.SIGKILL, "quit": syscall.SIGQUIT} {
		host, pid := startHost(t, dir)
		if err := host.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		host.Wait()
		waittest.Until(t, name+": the server is gone", func() bool { return !servesDir(pid, dir+"/data") })
	}
}

func TestStart_TakesOverAfterAKill(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	host, _ := startHost(t, dir)
	host.Process.Kill()
	host.Wait()
	start(t, Options{Dir: dir}) // while the old server is still shutting down
}

func TestStart_TakesOverWhenTheServerItselfWasKilled(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	host, pid := startHost(t, dir)
	syscall.Kill(pid, syscall.SIGKILL)
	host.Process.Kill()
	host.Wait()
	start(t, Options{Dir: dir})
}

// In a container the same few process ids come back.
func TestStart_IsNotFooledByAReusedProcessID(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	stop(t, start(t, Options{Dir: dir}))
	bystander := exec.Command("sleep", "60")
	if info, err := os.Stat(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	} else if owner := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 {
		bystander.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		bystander.Process.Kill()
		bystander.Wait()
	})
	pidFile := filepath.Join(dir, "data", "postmaster.pid")
	if err := os.WriteFile(pidFile, fmt.Appendf(nil, "%d\n%s/data\n", bystander.Process.Pid, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, Options{Dir: dir})
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the bystander was killed: %v", err)
	}
}
