package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// happened is how many things have happened that are reconciled, each told by us and by the provider, and paid out by the bank.
const happened = 1_000_000

// measureReconciliation has the product's own benchmark match a planted truth, and takes over what it reports. It checks each match and
// each break, and measures beside it what plain SQL takes to join by one reference, and to insert the pairs.
func measureReconciliation(ctx context.Context, b *bench) (*Result, error) {
	binary := filepath.Join(b.dir, "reconciliation.test")
	out, err := exec.CommandContext(ctx, "go", "test", "-C", product, "-c", "-o", binary, "./services/reconciliation").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("building the benchmark: %w\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.bench", "Run$", "-test.benchtime", "1x", "-test.timeout", "15m")
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), "BENCH_CASES="+strconv.Itoa(happened))
	if out, err = cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	told := reported(string(out))
	for _, unit := range []string{"rows/s", "s-run", "MiB-peak", "own-us/row", "server-us/row", "WAL-B/row", "times-plain-SQL"} {
		if told[unit] == 0 {
			return nil, fmt.Errorf("the benchmark reports no %s:\n%s", unit, out)
		}
	}
	return &Result{
		Saturated: Phase{Rate: told["rows/s"], Took: told["s-run"], Costs: Costs{
			OwnCPU: told["own-us/row"], PostgresCPU: told["server-us/row"], Commits: told["commits/row"], WAL: told["WAL-B/row"],
		}},
		Memory: int64(told["MiB-peak"]) << 20,
		Note:   fmt.Sprintf("takes %.2f × as long as a join and an insert of the pairs in plain SQL", told["times-plain-SQL"]),
	}, nil
}

// reported reads the lines of benchmarks: a name, a number of rounds, and pairs of a value and its unit.
func reported(out string) map[string]float64 {
	all := map[string]float64{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if !strings.HasPrefix(line, "Benchmark") || len(fields) < 4 {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				all[fields[i+1]] = value
			}
		}
	}
	return all
}
