//go:build !linux

package local

import "syscall"

// endWithParent does nothing: there is no such thing here.
func endWithParent(*syscall.SysProcAttr) {}
