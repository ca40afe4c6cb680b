package crash

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// report is the table of the deaths that were tried.
type report struct {
	mu    sync.Mutex
	lines map[string][]string // by scenario
	count map[string]int      // by verdict
	began time.Time
	live  io.WriteCloser // where it can be followed while it grows
}

// newReport begins a report. When the test is over it is in the file, in the order of the scenarios.
func newReport(t *testing.T) *report {
	t.Helper()
	r := &report{lines: map[string][]string{}, count: map[string]int{}, began: time.Now()}
	live, err := os.Create(cmp.Or(*table, os.DevNull))
	if err != nil {
		t.Fatal(err)
	}
	r.live = live
	t.Cleanup(func() {
		live.Close()
		t.Log(r.total())
		if *table == "" {
			return
		}
		if err := os.WriteFile(*table, []byte(r.String()), 0o600); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *report) add(s scenario, e entry, verdict string, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count[verdict]++
	line := fmt.Sprintf("%-6s %5.1f s  %-28s  %-12s  %-8s  %s", verdict, took.Seconds(), s.name, e.process, e.then, e.at())
	r.lines[s.name] = append(r.lines[s.name], line)
	fmt.Fprintln(r.live, line)
}

// String gives the table, in the order of the scenarios.
func (r *report) String() string {
	var text strings.Builder
	for _, s := range scenarios {
		for _, line := range r.lines[s.name] {
			fmt.Fprintln(&text, line)
		}
	}
	fmt.Fprintln(&text, r.total())
	return text.String()
}

func (r *report) total() string {
	return fmt.Sprintf("%d deaths survived, %d wrong, %d missed, in %s",
		r.count["ok"], r.count["WRONG"], r.count["missed"], time.Since(r.began).Round(time.Second))
}
