package systemtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// Process is a process of a Split.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts a process that does not outlive the test's.
func start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	endWithParent(cmd.SysProcAttr)
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the kernel's "parent" is the thread that forked: it stays
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if started <- err; err == nil {
			_ = cmd.Wait() // how it ended is in its state
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Start starts a process of a test, which is stopped when the test ends.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	cmd.Stdout, cmd.Stderr = io.Discard, t.Output()
	p, err := start(cmd)
	if err != nil {
		t.Fatalf("starting %s: %v", cmd, err)
	}
	t.Cleanup(p.Stop)
	return p
}

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Killed tells of a process that is gone whether it went by SIGKILL, and not by itself.
func (p *Process) Killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signal() == syscall.SIGKILL
}

// String tells how a process that is gone ended.
func (p *Process) String() string { return p.cmd.ProcessState.String() }

// Signal sends a signal, if the process is still there.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Resident is how many bytes of memory the process has, as Linux counts it.
func (p *Process) Resident() (bytes int64, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var size, pages int64
	_, err = fmt.Sscan(string(raw), &size, &pages)
	return pages * int64(os.Getpagesize()), err
}

// Kill ends the process with SIGKILL, if it is still there, and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Stop asks the process to stop in order, and waits until it is gone.
func (p *Process) Stop() {
	p.Signal(syscall.SIGTERM)
	<-p.ended
}
