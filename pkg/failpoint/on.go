//go:build failpoints

package failpoint

import (
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// Config says what a process does at its marks.
type Config struct {
	// Trace is a file that gets a line for each mark that is passed; empty: none.
	Trace string
	// Kill is where the process dies, as in a line of the trace; empty: nowhere.
	Kill string
	// Plant is the defect that shows; empty: none.
	Plant string
}

// marks are the process's. They are a global, because a mark is a plain call wherever it stands: nothing hands it
// anything. Configure sets them before anything else runs.
var marks struct {
	kill, plant string

	mu     sync.Mutex
	trace  io.Writer
	passed map[string]int // how often, by mark
}

// Configure is called once, before the first mark.
func Configure(cfg Config) error {
	marks.kill, marks.plant, marks.passed, marks.trace = cfg.Kill, cfg.Plant, map[string]int{}, io.Discard
	if cfg.Trace == "" {
		return nil
	}
	file, err := os.OpenFile(cfg.Trace, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening trace of failpoints: %w", err)
	}
	marks.trace = file
	return nil
}

// Hit marks a cut of a place. The n-th time that a process passes it, it writes "place/cut#n" to the trace, and dies
// if it was told to die there; nobody passes a mark meanwhile.
func Hit(cut Cut, place ...string) {
	name := path.Join(path.Join(place...), string(cut)) // places may have slashes of their own
	marks.mu.Lock()
	defer marks.mu.Unlock()
	marks.passed[name]++
	hit := fmt.Sprintf("%s#%d", name, marks.passed[name])
	fmt.Fprintln(marks.trace, hit) // what cannot be traced is not missed by a process that is only to be killed
	if hit == marks.kill {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

// Caller names the function that called into the package of whoever calls it.
func Caller() string {
	stack := make([]uintptr, 16)
	frames := runtime.CallersFrames(stack[:runtime.Callers(2, stack)])
	first, more := frames.Next()
	for inside := packageOf(first.Function); more; {
		var frame runtime.Frame
		if frame, more = frames.Next(); packageOf(frame.Function) != inside {
			return frame.Function[strings.LastIndex(frame.Function, "/")+1:]
		}
	}
	return ""
}

// packageOf gives the import path of a function's package.
func packageOf(function string) string {
	slash := strings.LastIndex(function, "/") + 1
	name, _, _ := strings.Cut(function[slash:], ".")
	return function[:slash] + name
}

// Planted tells whether a defect is to show.
func Planted(defect string) bool { return defect == marks.plant }
