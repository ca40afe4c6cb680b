package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tieout/tieout/cmd/tieout/objective"
	"github.com/tieout/tieout/pkg/promtest"
)

const observability = deploy + "/observability"

// sloRun runs `tieout slo` as a user would.
func sloRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.WithoutCancel(t.Context()), &cli{stdout: &out, stderr: &errs, program: "tieout"}, append([]string{"slo"}, args...))
	return code, out.String(), errs.String()
}

// history is what a Prometheus has scraped, a sample a minute of each series, as OpenMetrics: no blanks between labels.
type history struct {
	from, to time.Time
	samples  strings.Builder
}

// add adds a series, of which value tells the value at a time.
func (h *history) add(kind, metric, labels string, value func(at time.Time) float64) {
	fmt.Fprintf(&h.samples, "# TYPE %s %s\n", strings.TrimSuffix(metric, "_total"), kind)
	h.more(metric, labels, value)
}

// more adds a series of the metric that was added last.
func (h *history) more(metric, labels string, value func(at time.Time) float64) {
	for at := h.from; !at.After(h.to); at = at.Add(time.Minute) {
		fmt.Fprintf(&h.samples, "%s{%s} %g %d\n", metric, labels, value(at), at.Unix())
	}
}

// recorded gives a Prometheus that has the history, and what the committed rules record of it.
func (h *history) recorded(t *testing.T) string {
	t.Helper()
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(file, []byte(h.samples.String()+"# EOF\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	promtest.Promtool(t, "tsdb", "create-blocks-from", "openmetrics", "-q", file, data)
	scraped := promtest.Start(t, "", data)
	// The rules on rates need nothing but what was scraped, and are all that a report needs.
	promtest.Promtool(t, "tsdb", "create-blocks-from", "rules", "-q", "--url="+scraped.URL, "--output-dir="+data,
		fmt.Sprintf("--start=%d", h.from.Unix()), fmt.Sprintf("--end=%d", h.to.Unix()), observability+"/slo-rules.yaml")
	return promtest.Start(t, "", data).URL
}

const ofPlaceOrder = `rpc_method="tieout.order.v1.OrderService/PlaceOrder",rpc_response_status_code=`

// around is a history of three hours in September and three in October: ten orders a second. In October one of a hundred is refused by the
// shedder, of ten thousand one is slow; an invariant is violated for half an hour of September. Reconciliation goes on; that orders end is not
// measured.
func around() *history {
	h := &history{from: time.Date(2026, 9, 30, 21, 0, 0, 0, time.UTC), to: time.Date(2026, 10, 1, 3, 0, 0, 0, time.UTC)}
	october := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	orders := func(at time.Time) float64 { return 10 * at.Sub(h.from).Seconds() }
	h.add("unknown", "rpc_server_call_duration_seconds_count", ofPlaceOrder+`"OK"`, orders)
	h.add("unknown", "rpc_server_call_duration_seconds_bucket", ofPlaceOrder+`"OK",le="0.1"`, func(at time.Time) float64 { return 0.9999 * orders(at) })
	h.add("counter", "tieout_shed_rejected_total", `class="new",by="limit"`, func(at time.Time) float64 { return max(0, 0.1*at.Sub(october).Seconds()) })
	h.add("gauge", "tieout_reconciliation_run_age_seconds", "", func(time.Time) float64 { return 60 })
	h.add("gauge", "tieout_invariant_violations", `tieout_service="payment",tieout_invariant="6_journals_balance"`, func(at time.Time) float64 {
		if at.Hour() == 22 && at.Minute() < 30 {
			return 3
		}
		return 0
	})
	return h
}

func TestSLOReport_TellsWhatWasAttained(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts Prometheus")
	}
	prometheus := around().recorded(t)
	report := []string{"report", "--prometheus", prometheus, "--since", "6h", "--until", "2026-10-01T03:00:00Z"}
	code, stdout, stderr := sloRun(t, append(report, "-o", "json")...)
	if code != exitFindings || !strings.Contains(stderr, "missed") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	all := map[string]objective.Attainment{}
	for _, a := range decode[[]objective.Attainment](t, stdout) {
		all[a.Name+" "+a.Month] = a
	}
	for name, want := range map[string]struct {
		result                               objective.Result
		total, bad, attained, left, measured float64
	}{
		"acceptance 2026-09":               {objective.Met, 108000, 0, 1, 1, 1},
		"acceptance 2026-10":               {objective.Missed, 109080, 1080, 1 - 1.0/101, 1 - 1000.0/101, 1},
		"acceptance all":                   {objective.Missed, 217080, 1080, 1 - 1.0/201, 1 - 1000.0/201, 1},
		"accept_latency all":               {objective.Met, 216000, 21.6, 0.9999, 0.99, 1},
		"completion 2026-09":               {objective.NoData, 0, 0, 0, 0, 0},
		"completion all":                   {objective.NoData, 0, 0, 0, 0, 0},
		"reconciliation_freshness 2026-10": {objective.Met, 3 * 3600, 0, 1, 1, 1},
		"invariants 2026-09":               {objective.Missed, 3 * 3600, 1800, 5.0 / 6, 0, 1},
		"invariants 2026-10":               {objective.Met, 3 * 3600, 0, 1, 1, 1},
	} {
		got := all[name]
		near := func(what string, got, want float64) {
			if math.Abs(got-want) > 0.03*max(1, math.Abs(want)) {
				t.Errorf("%s: %s is %g, want about %g", name, what, got, want)
			}
		}
		if got.Result != want.result {
			t.Errorf("%s is %q, want %q", name, got.Result, want.result)
		}
		near("total", got.Total, want.total)
		near("bad", got.Bad, want.bad)
		near("attained", got.Attained, want.attained)
		near("budget_left", got.BudgetLeft, want.left)
		near("measured", got.Measured, want.measured)
	}
	if len(all) != 15 {
		t.Errorf("%d attainments, want those of 5 objectives in 2 months and in all", len(all))
	}

	if code, stdout, _ = sloRun(t, report...); code != exitFindings || !strings.Contains(stdout, "BUDGET LEFT") || !strings.Contains(stdout, "no data") {
		t.Errorf("as a table: exit %d\n%s", code, stdout)
	}
	// In the last half hour of September nothing was missed; that orders end is not measured.
	code, _, stderr = sloRun(t, "report", "--prometheus", prometheus, "--since", "30m", "--until", "2026-10-01")
	if code != exitPartial || !strings.Contains(stderr, "not measured") {
		t.Errorf("with an objective that is not measured: exit %d: %s", code, stderr)
	}
	if code, _, stderr = sloRun(t, "report", "--prometheus", prometheus, "--until", "2026-01-01"); code != exitNotFound || !strings.Contains(stderr, "slo-rules.yaml") {
		t.Errorf("where nothing is recorded: exit %d: %s", code, stderr)
	}
}

func TestSLOReport_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nobody there":    {[]string{"report", "--prometheus", "http://127.0.0.1:1"}, exitUnavailable, "127.0.0.1:1"},
		"no time":         {[]string{"report", "--since", "0d"}, exitUsage, "--since"},
		"no date":         {[]string{"report", "--until", "soon"}, exitUsage, "--until"},
		"no file":         {[]string{"rules"}, exitUsage, "-f"},
		"a missing file":  {[]string{"rules", "-f", "none.yaml"}, exitNotFound, "none.yaml"},
		"no objectives":   {[]string{"rules", "-f", deploy + "/compose.yaml"}, exitUsage, "reading objectives"},
		"a wrong command": {[]string{"reprot"}, exitUsage, "report"},
	} {
		code, _, stderr := sloRun(t, test.args...)
		if code != test.code || !strings.Contains(stderr, test.says) {
			t.Errorf("%s: exit %d, want %d with %q: %s", name, code, test.code, test.says, stderr)
		}
	}
}

// TestSLORules_AreCommitted compares what is committed with what `make gen` makes.
func TestSLORules_AreCommitted(t *testing.T) {
	t.Parallel()
	committed, err := os.ReadFile(observability + "/slo-rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	code, made, stderr := sloRun(t, "rules", "-f", observability+"/slo.yaml")
	if code != exitOK || made != string(committed) {
		t.Errorf("exit %d, %s: slo-rules.yaml is not what slo.yaml makes: run make gen", code, stderr)
	}
}
