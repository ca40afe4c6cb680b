package overload

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tieout/tieout/test/systemtest"
)

var (
	phase = flag.Duration("overload.for", 0, "how long each load lasts; 0 is a short run of two loads")
	table = flag.String("overload.table", "", "file that the table is written to")
)

// TestOverload puts multiples of the capacity on the system, one after the other. Without flags it is a short run that
// checks what must hold however slow the machine is.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	each, loads := *phase, []float64{0.5, 1, 2, 5, 10, 0.5}
	if each == 0 {
		each, loads = 2*time.Second, []float64{10, 0.5}
	}
	system := systemtest.StartDev(t, systemtest.Build(t), apart(t)...)
	g := newGenerator(t, system)
	g.receive()
	capacity := g.capacity(max(each, 3*time.Second))
	t.Logf("capacity: %.0f orders a second", capacity)
	r := &report{capacity: capacity}
	for _, load := range loads {
		r.phases = append(r.phases, g.run(load, capacity, each))
	}
	g.settle()
	r.print(t)
	if *table != "" {
		if err := os.WriteFile(*table, []byte(r.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
	r.check(t)
	g.wantAllAcknowledged()
	g.wantCleanAudit()
}

// apart has the generator run on the last core, and gives what the system is to be run behind: it gets the others. With one
// core, or without taskset, they share what there is.
func apart(t *testing.T) (behind []string) {
	t.Helper()
	cores := runtime.NumCPU()
	tool, err := exec.LookPath("taskset")
	if cores < 2 || err != nil {
		t.Logf("the generator and the system share the cores (%d of them; taskset: %v)", cores, err)
		return nil
	}
	last := strconv.Itoa(cores - 1)
	if out, err := exec.CommandContext(t.Context(), tool, "-acp", last, strconv.Itoa(os.Getpid())).CombinedOutput(); err != nil {
		t.Logf("the generator cannot be pinned: %v: %s", err, out)
		return nil
	}
	procs := runtime.GOMAXPROCS(1)
	t.Cleanup(func() {
		runtime.GOMAXPROCS(procs)
		_ = exec.Command(tool, "-acp", "0-"+last, strconv.Itoa(os.Getpid())).Run()
	})
	return []string{tool, "-c", fmt.Sprintf("0-%d", cores-2)}
}

// memory is how many bytes of memory a process has; 0 where that cannot be told.
func memory(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if kilobytes, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kilobytes), "kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}
