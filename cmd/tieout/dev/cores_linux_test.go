package dev

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTakeShortTurns_HoldsForEveryThread looks at what the kernel says of each, as far as it tells.
func TestTakeShortTurns_HoldsForEveryThread(t *testing.T) {
	t.Parallel()
	takeShortTurns()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		attr, err := unix.SchedGetAttr(id, 0)
		switch {
		case err != nil:
			t.Logf("thread %d: %v", id, err) // it has ended
		case attr.Runtime == 0:
			t.Skip("this kernel does not tell how long a turn is: Linux does from 6.12 on")
		case attr.Policy == unix.SCHED_NORMAL && attr.Runtime != uint64(shortTurn.Nanoseconds()):
			t.Errorf("thread %d has turns of %d ns", id, attr.Runtime)
		}
	}
}
