package overload

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

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

// together gives what the system is to be run behind to be one group of processes for the kernel, as under a service manager or in a
// container. Left to itself the kernel makes each session a group, and each of Postgres' backends is a session: then each of
// them gets as much of a core as all of the rest. See sched(7), "The autogroup feature".
func together(t *testing.T) (behind []string) {
	t.Helper()
	if sessions, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled"); err != nil || sessions[0] != '1' {
		return nil
	}
	group, err := os.MkdirTemp("/sys/fs/cgroup/cpu", "tieout-overload-")
	if err != nil {
		t.Logf("each of Postgres' backends is a group of its own for the kernel, and no other can be made: %v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil { // empty, it does no harm
			t.Log(err)
		}
	})
	return []string{"sh", "-c", `echo 0 >"$0" && exec "$@"`, filepath.Join(group, "cgroup.procs")}
}
