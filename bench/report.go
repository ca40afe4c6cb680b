package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/benchtest"
)

// Run is all that came of a run, and on what it was.
type Run struct {
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	Commit  string    `json:"commit"`
	Go      string    `json:"go"`
	CPUs    int       `json:"cpus"`
	CPU     string    `json:"cpu"`
	// GOMAXPROCS is that of this process; subjects have what Go gives them.
	GOMAXPROCS int      `json:"gomaxprocs"`
	Profiled   bool     `json:"profiled,omitempty"`
	Results    []Result `json:"results"`
}

func newRun(b *bench) (*Run, error) {
	r := &Run{
		Began: time.Now().UTC(), Seconds: b.lasts.Seconds(), Go: runtime.Version(), CPUs: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0),
		CPU: cpuModel(), Profiled: b.profiles != "",
	}
	out, err := exec.Command("git", "-C", product, "describe", "--always", "--dirty").Output()
	if err != nil {
		return r, nil // it is no checkout
	}
	r.Commit = strings.TrimSpace(string(out))
	return r, nil
}

func cpuModel() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// shown are the settings of Postgres that decide what a commit is worth.
var shown = []string{"server_version", "fsync", "synchronous_commit", "full_page_writes", "data_checksums", "wal_sync_method", "shared_buffers", "max_wal_size"}

// settings of the Postgres.
func (m *meter) settings(ctx context.Context) (map[string]string, error) {
	if m.conn == nil {
		return nil, nil
	}
	all := map[string]string{}
	for _, name := range shown {
		var value string
		if err := m.conn.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value); err != nil {
			return nil, err
		}
		all[name] = value
	}
	return all, nil
}

// watchMemory takes note of the most memory that is used, until it is stopped.
func (m *meter) watchMemory(r *Result) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	look := func() {
		of := m.system
		if of == 0 {
			of = os.Getpid()
		}
		r.Memory = max(r.Memory, benchtest.Memory(of, "VmHWM:"))
		if m.postmaster > 0 {
			r.PostgresMemory = max(r.PostgresMemory, memoryOfPostgres(m.postmaster))
		}
	}
	go func() {
		defer close(done)
		for {
			look()
			select {
			case <-time.After(time.Second):
			case <-ended:
				return
			}
		}
	}()
	return func() { close(ended); <-done }
}

// String is a phase on a line, for whoever waits.
func (p Phase) String() string {
	what := fmt.Sprintf("%d in flight", p.InFlight)
	switch {
	case p.Took > 0:
		what = fmt.Sprintf("in %.2f s", p.Took)
	case p.Load > 0:
		what = fmt.Sprintf("at %.0f %%", 100*p.Load)
	}
	text := fmt.Sprintf("%s: %.0f/s, p50 %.1f p99 %.1f p99.9 %.1f ms, CPU %s+%s+%s µs, %.3f commits, %.1f rows, %.0f B of WAL, %.1f events, rest after %.1f s",
		what, p.Rate, p.P50, p.P99, p.P999, short(p.Costs.SystemCPU), short(p.Costs.PostgresCPU), short(p.Costs.OwnCPU), p.Costs.Commits, p.Costs.Rows, p.Costs.WAL, p.Costs.Events, p.Drained)
	if p.Failed > 0 {
		text += fmt.Sprintf(", %d failed: %s", p.Failed, p.FirstError)
	}
	return text
}

// short writes a number with about three digits.
func short(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 10:
		return fmt.Sprintf("%.2f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

// table is the run as Markdown.
func (r *Run) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, commit %s, %s, %d × %s, GOMAXPROCS %d, %.0f s a load", r.Began.Format("2006-01-02 15:04"), r.Commit, r.Go, r.CPUs, r.CPU, r.GOMAXPROCS, r.Seconds)
	for _, result := range r.Results {
		if len(result.Settings) > 0 {
			b.WriteString("; Postgres")
			for _, name := range shown {
				fmt.Fprintf(&b, " %s=%s", name, result.Settings[name])
			}
			break
		}
	}
	b.WriteString(".\n\n| case | in flight | units/s | p50 / p99 / p99.9 ms at 50 % | at 90 % | CPU µs a unit: system + Postgres + load | commits | WAL B | rows | events | MiB: system, Postgres |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, result := range r.Results {
		b.WriteString(result.row())
	}
	b.WriteString(r.comparison())
	b.WriteString("\nWhat is counted:\n")
	for _, result := range r.Results {
		fmt.Fprintf(&b, "- **%s**: %s.\n", result.Title, result.Does)
	}
	return b.String()
}

func (r Result) row() string {
	p := r.Saturated
	at := func(n int) string {
		if n >= len(r.Loaded) {
			return "–"
		}
		text := fmt.Sprintf("%.1f / %.1f / %.1f", r.Loaded[n].P50, r.Loaded[n].P99, r.Loaded[n].P999)
		if failed := r.Loaded[n].Failed; failed > 0 {
			text += fmt.Sprintf(", %d failed", failed)
		}
		return text
	}
	inFlight, rate := strconv.Itoa(p.InFlight), fmt.Sprintf("%.0f", p.Rate)
	if p.Took > 0 {
		inFlight, rate = "–", fmt.Sprintf("%.0f: %.2f s", p.Rate, p.Took)
	}
	costs := "– | – | – | – | –"
	if p.Costs != (Costs{}) {
		costs = fmt.Sprintf("%s + %s + %s | %.3f | %.0f | %.1f | %.1f",
			short(p.Costs.SystemCPU), short(p.Costs.PostgresCPU), short(p.Costs.OwnCPU), p.Costs.Commits, p.Costs.WAL, p.Costs.Rows, p.Costs.Events)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %d, %d |\n",
		r.Title, inFlight, rate, at(0), at(1), costs, r.Memory>>20, r.PostgresMemory>>20)
}

// write writes <base>.json and <base>.md.
func (r *Run) write(base string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.MkdirAll(filepath.Dir(base), 0o755),
		os.WriteFile(base+".json", append(raw, '\n'), 0o644),
		os.WriteFile(base+".md", []byte(r.table()), 0o644),
	)
}
