package local

import (
	"fmt"
	"os"
	"syscall"
)

// endWithParent has the kernel send the child SIGINT, a fast shutdown, when the thread that started it ends.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// servesDir reports whether the process is a server of that data directory: postgres works in it.
func servesDir(pid int, data string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == data
}
