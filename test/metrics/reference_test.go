package metrics

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the reference from the running system instead of comparing the two")

const (
	reference  = "../../docs/reference/metrics.md"
	invariants = "../../docs/reference/invariants.md"
	tableHead  = "| name | type | labels | over replicas | what |\n|---|---|---|---|---|\n"
)

// whole are the gauges of which each replica tells the whole; the others it tells its own part of.
var whole = map[string]string{
	"tieout_nats_connected":                   "min",
	"tieout_breaker_state":                    "max",
	"tieout_breaker_forced_open":              "max",
	"tieout_saga_age_seconds":                 "max",
	"tieout_saga_parked":                      "max",
	"tieout_saga_parked_age_seconds":          "max",
	"tieout_money_in_limbo":                   "max",
	"tieout_payment_in_doubt":                 "max",
	"tieout_payment_in_doubt_age_seconds":     "max",
	"tieout_shipment_in_doubt":                "max",
	"tieout_shipment_in_doubt_age_seconds":    "max",
	"tieout_quota_replicas":                   "max",
	"tieout_outbox_unpublished":               "max",
	"tieout_outbox_lag_seconds":               "max",
	"tieout_inbox_lag":                        "max",
	"tieout_dead_letter_open":                 "max",
	"tieout_dead_letter_age_seconds":          "max",
	"tieout_billing_batches":                  "max",
	"tieout_billing_batches_late":             "max",
	"tieout_billing_batch_items":              "max",
	"tieout_billing_batch_money":              "max",
	"tieout_billing_batch_age_seconds":        "max",
	"tieout_reconciliation_run_age_seconds":   "max",
	"tieout_reconciliation_breaks":            "max",
	"tieout_reconciliation_breaks_money":      "max",
	"tieout_reconciliation_break_age_seconds": "max",
	"tieout_reconciliation_open":              "max",
	"tieout_invariant_violations":             "max",
}

// inTrouble are metrics that a system has only when something went wrong that a load cannot bring about.
var inTrouble = []*family{
	{
		name: "db_client_operation_errors_total", kind: "counter", help: "The count of database client operation errors",
		series: []series{{labels: map[string]string{"db_system_name": "postgresql", "pgx_operation_type": "query", "tieout_service": "payment"}}},
	},
	{
		name: "tieout_log_lost_total", kind: "counter", help: "Log lines that the collector did not get, because too many waited or it did not take them.",
		series: []series{{labels: map[string]string{"by": "full"}}},
	},
}

// wantReference wants the reference to be what the scrape says.
func wantReference(t *testing.T, all map[string]*family) {
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range inTrouble {
		if seen := all[f.name]; seen == nil {
			all[f.name] = f
		} else if seen.kind != f.kind || seen.help != f.help || !slices.Equal(seen.labels(), f.labels()) {
			t.Errorf("%s is a %s by %v: %s", f.name, seen.kind, seen.labels(), seen.help)
		}
	}
	prose, _, _ := strings.Cut(string(page), tableHead)
	want := prose + tableHead + table(all) + labelTable(all)
	if *update {
		if err := os.WriteFile(reference, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(want, string(page)); diff != "" {
		t.Errorf("docs/reference/metrics.md is not what `go test ./test/metrics -update` prints (-want +got):\n%s", diff)
	}
}

func table(all map[string]*family) string {
	var b strings.Builder
	for _, f := range sorted(all) {
		labels := strings.Join(f.labels(), ", ")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.name, f.kind, cmp.Or(labels, "–"), cmp.Or(whole[f.name], "sum"), f.help)
	}
	return b.String()
}

// labelTable tells what the labels of a scrape can be; where a label means different things, of which metric.
func labelTable(all map[string]*family) string {
	rows := map[string]string{}
	for _, f := range sorted(all) {
		for _, label := range f.labels() {
			v, key, _ := valuesOf(f.name, label)
			of := "all"
			if key != label {
				of = f.name
			}
			rows[label+" "+of] = fmt.Sprintf("| %s | %s | %s |\n", label, of, v.text())
		}
	}
	var b strings.Builder
	b.WriteString("\n## Labels\nNo label has any other value than these; none is made of ids, callers, customers or SKUs.\n\n| label | of | values |\n|---|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		b.WriteString(rows[key])
	}
	return b.String()
}

// isInvariant tells whether an invariant is documented, by number and name: "7_trial_balance".
var isInvariant = func() func(string) bool {
	page, err := os.ReadFile(invariants)
	if err != nil {
		panic(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| ([a-z_]+) \|`).FindAllStringSubmatch(string(page), -1) {
		known[m[1]+"_"+m[2]] = true
	}
	return func(name string) bool { return known[name] }
}()

// wantExemplars wants each latency to carry the trace of a call.
func wantExemplars(t *testing.T, all map[string]*family) {
	for _, name := range []string{
		"rpc_server_call_duration_seconds", "rpc_client_call_duration_seconds", "tieout_saga_duration_seconds",
		"tieout_saga_step_duration_seconds", "tieout_groupcommit_wait_seconds", "tieout_provider_call_duration_seconds",
	} {
		f := all[name]
		if f == nil || !slices.ContainsFunc(f.series, func(s series) bool { return strings.Contains(s.exemplar, `trace_id="`) }) {
			t.Errorf("%s has no exemplar", name)
		}
	}
}

// maxSeries is how many series the whole system may have in one process, after a load of everything that it does.
const maxSeries = 2600

// wantFew wants the number of series bounded, also when the same is done again under other names.
func wantFew(t *testing.T, first, second map[string]*family) {
	if n := count(second); n > maxSeries {
		t.Errorf("got %d series, want at most %d", n, maxSeries)
	}
	t.Logf("%d series, %d after more of the same", count(first), count(second))
	for _, f := range sorted(second) {
		before := first[f.name]
		if before == nil && !slices.ContainsFunc(inTrouble, func(rare *family) bool { return rare.name == f.name }) {
			t.Errorf("%s comes late: a dashboard would be empty until then", f.name)
			continue
		}
		for _, s := range f.series {
			for name, value := range s.labels {
				if strings.Contains(strings.ToLower(value), "second") {
					t.Errorf("%s: label %s is %q: it is made of what a client sent", f.name, name, value)
				}
			}
		}
	}
}
