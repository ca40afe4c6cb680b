package local

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// pipeDelay is how long a dead server's own children may keep its log open.
const pipeDelay = 5 * time.Second

// process is a running child.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has exited
	err  error         // how it exited; read after done
}

// startProcess runs the program as the account, in dir. It has a process group of its own, so that a Ctrl-C meant for
// this process does not take the database from under it while it stops in order.
func startProcess(cmd *exec.Cmd, as *account, dir string) (*process, error) {
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"} // nothing of PGDATA, PGPORT and the like
	cmd.WaitDelay = pipeDelay
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as.credential(), Setpgid: true}
	endWithParent(cmd.SysProcAttr)

	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel's "parent" is the thread that forked, and an idle thread may be ended at any time: this one
		// stays until the child has exited.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// signal ignores its error: a process that has exited is what every signal here wants.
func (p *process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }
