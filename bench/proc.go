package main

import (
	"os"
	"runtime/debug"

	"github.com/tieout/tieout/pkg/benchtest"
)

// forgetPeak has the kernel forget how much memory this process has had at the most, so that VmHWM is of what follows.
func forgetPeak() error {
	debug.FreeOSMemory()
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// memoryOfPostgres is what a server has resident: what each process has of its own, and what they share, once.
func memoryOfPostgres(postmaster int) (bytes int64) {
	all, err := benchtest.Family(postmaster)
	if err != nil {
		return 0
	}
	var shared int64
	for _, pid := range all {
		bytes += benchtest.Memory(pid, "RssAnon:")
		shared = max(shared, benchtest.Memory(pid, "RssShmem:"))
	}
	return bytes + shared
}
