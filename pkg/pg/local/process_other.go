//go:build !linux

package local

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// endWithParent does nothing: there is no such thing here.
func endWithParent(*syscall.SysProcAttr) {}

// servesDir reports whether the process is a server of that data directory: Start names it on the command line.
func servesDir(pid int, data string) bool {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), "-D "+data+" ")
}
