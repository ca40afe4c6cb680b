package dev

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// shortTurn is how long a thread works before others have their turn; it is the least that the kernel allows, whose own is some 3 ms.
const shortTurn = 100 * time.Microsecond

// takeShortTurns has the kernel switch between this process' threads sooner, those that they start included. It is a hint: where it
// cannot be given, nothing changes. See sched(7).
func takeShortTurns() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			shorten(id)
		}
	}
}

// shorten has one thread's turns be short.
func shorten(thread int) {
	attr, err := unix.SchedGetAttr(thread, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL {
		return // somebody has said otherwise
	}
	attr.Runtime = uint64(shortTurn.Nanoseconds())
	_ = unix.SchedSetAttr(thread, attr, 0)
}
