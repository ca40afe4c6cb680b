package dev

import (
	"os"
	"runtime"
)

// leastProcs is how many processors Go should take itself to have; on a single core oneCoreProcs, see docs/performance.md.
const (
	leastProcs   = 4
	oneCoreProcs = 16
)

func oneCore() bool { return runtime.NumCPU() == 1 }

// shareCores has Go schedule onto some threads also where there are few cores, unless somebody has said otherwise. The streams
// and the simulator's journal, which run in this process, sync each write, and who syncs holds one of Go's processors until
// the disk has answered: with a single one, everything would wait for each of them. On a single core they are more, for the one
// that runs out of work is the one that looks what has come in, and their turns are short, so that it is not long until then.
func shareCores() {
	least := leastProcs
	if oneCore() {
		least = oneCoreProcs
		takeShortTurns()
	}
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < least {
		runtime.GOMAXPROCS(least)
	}
}
