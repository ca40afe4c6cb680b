package local

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// backgroundNice is the nice value of a server in the background: it weighs a ninth of what others do.
	backgroundNice = 19
	// backgroundTurn is how long it may work before others have their turn; the kernel's own is some 3 ms.
	backgroundTurn = 10 * time.Millisecond
)

// endWithParent has the kernel send the child SIGINT, a fast shutdown, when the thread that started it ends.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// servesDir reports whether the process is a server of that data directory: postgres works in it.
func servesDir(pid int, data string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == data
}

// toBackground has the process, and what it starts from now on, work when others do not. It is a hint: where it cannot be given, all
// are equal. See sched(7).
func toBackground(pid int) {
	_ = unix.SchedSetAttr(pid, &unix.SchedAttr{
		Policy: unix.SCHED_BATCH, Nice: backgroundNice, Runtime: uint64(backgroundTurn.Nanoseconds()),
	}, 0)
}
