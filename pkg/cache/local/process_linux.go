package local

import "syscall"

// endWithParent has the kernel kill the child when the thread that started it ends: there is nothing to be saved.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
