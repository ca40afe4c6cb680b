package alerts

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/promtest"
	"github.com/tieout/tieout/test/systemtest"
)

var (
	live      = flag.Bool("alerts.live", false, "hurt systems that a Prometheus watches, and wait for the alerts (about a quarter of an hour)")
	liveTable = flag.String("alerts.table", "", "file to write what came of it to")
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	// calm is for how long nothing may fire before a system is hurt.
	calm = 45 * time.Second
	// within is how soon every alert that is meant must fire.
	within = 5 * time.Minute
	// after is for how long no other may fire when all have.
	after = 30 * time.Second
)

// hurt is a way in which a system is hurt, and the alerts that are to tell.
type hurt struct {
	name string
	// start gives the system, which works until the test ends.
	start func(t *testing.T, binary string) *system
	// do hurts it.
	do func(t *testing.T, s *system)
	// alerts are those that are meant, "Name severity".
	alerts []string
}

// hurts are all of them. What is not here is only in the unit tests of the rules: it takes longer (OrdersStuck), or needs what is not
// at hand (a carrier whose answers get lost, a certificate).
func hurts() []hurt {
	return []hurt{
		// The call that it cut off may have taken effect, and nobody can look.
		{"the provider refuses connections", startDev, providerDown, []string{"ProviderDown page", "MoneyInDoubtTooOld ticket"}},
		{"answers of the provider are lost, and lookups fail", startDev, loseAnswers, []string{"MoneyInDoubtTooOld ticket"}},
		{"one capture is refused", startDev, refuseCaptures(1), []string{"SagasParked ticket"}},
		{"six captures are refused", startDev, refuseCaptures(6), []string{"SagasParked ticket", "ParkedGrowing page"}},
		{"poison is on the stream", startDev, poison, []string{"DeadLetters ticket"}},
		{"a consumer's inbox is locked", startDev, lockInbox, []string{"ConsumerLagging ticket"}},
		{"somebody changes a stock level by hand", startDev, changeLevel, []string{"InvariantViolated page"}},
		{"the provider reports a charge of 20,000.00 EUR that nobody knows", startDev, strangeCharge, []string{"BreaksUnexplained page"}},
		{"the last run ended 30 hours ago", startDev, ageRun, []string{"ReconciliationStale ticket"}},
		{"a batch crawls towards its cut-off", startDev, crawlingBatch, []string{"BatchLate page"}},
		{"far more orders than are let in", startNarrowDev, flood, []string{"Overloaded page", "AcceptanceBudgetBurn page", "AcceptanceBudgetBurn ticket"}},
		{"tieout dev is killed", startDev, kill, []string{"ProcessDown page"}},
		{"NATS is stopped", startSplit, stopNATS, []string{"NATSDown page", "OutboxStuck page"}},
		{"Postgres is stopped", startSplit, stopPostgres, []string{"DatabaseDown page"}},
		{"the shipment service hangs", startSplit, hangShipment, []string{"ProcessDown page", "ServiceUnreachable page"}},
	}
}

// TestAlerts_FireForWhatTheyAreMeantAndNoOther hurts a system in each way, each one of its own with a Prometheus of its own that loads the
// committed rules, under a steady trickle of orders.
func TestAlerts_FireForWhatTheyAreMeantAndNoOther(t *testing.T) {
	if !*live {
		t.Skip("takes a quarter of an hour: make alerts")
	}
	binary := systemtest.Build(t)
	var log record
	t.Cleanup(func() { log.write(t) })
	for _, h := range hurts() {
		t.Run(strings.ReplaceAll(h.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			h.run(t, binary, &log)
		})
	}
}

func (h hurt) run(t *testing.T, binary string, log *record) {
	s := h.start(t, binary)
	s.receive(t)
	s.trickle(t)
	w := &watch{T: t, prometheus: watching(t, s.targets), fired: map[string]firing{}}
	w.until("the calm is over", calm, func() bool { return false })
	if len(w.fired) > 0 {
		t.Errorf("fires although nothing is wrong: %v", slices.Sorted(maps.Keys(w.fired)))
	}
	w.begun = time.Now()
	h.do(t, s)
	w.until("every alert that is meant fires", within, func() bool {
		return !slices.ContainsFunc(h.alerts, func(name string) bool { return w.fired[name].after == 0 })
	})
	w.until("it is seen that no other does", after, func() bool { return false })
	for _, name := range h.alerts {
		if f, ok := w.fired[name]; !ok || f.after > within {
			t.Errorf("%s does not fire within %s", name, within)
		}
	}
	for name, f := range w.fired {
		if !slices.Contains(h.alerts, name) {
			t.Errorf("%s fires and is not meant to: %s", name, f.summary)
		}
	}
	log.add(h, w.fired)
}

// watching gives a Prometheus with the committed configuration and rules that scrapes the targets.
func watching(t *testing.T, targets []string) *promtest.Server {
	t.Helper()
	var config map[string]any
	read(t, filepath.Join(observability, "prometheus.yaml"), &config)
	var rules []string
	for _, file := range config["rule_files"].([]any) {
		path, err := filepath.Abs(filepath.Join(observability, file.(string)))
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, path)
	}
	config["rule_files"] = rules
	config["scrape_configs"].([]any)[0].(map[string]any)["static_configs"] = []any{map[string]any{"targets": targets}}
	raw, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return promtest.Start(t, string(raw), t.TempDir())
}

// watch keeps what has fired.
type watch struct {
	*testing.T
	prometheus *promtest.Server
	begun      time.Time
	fired      map[string]firing
}

type firing struct {
	after   time.Duration
	summary string
}

// until looks every two seconds, for at most so long, until holds.
func (w *watch) until(what string, atMost time.Duration, holds func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), atMost)
	defer cancel()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, a := range w.prometheus.Alerts(w) {
			name := a.Labels["alertname"] + " " + a.Labels["severity"]
			if _, known := w.fired[name]; !known && a.State == "firing" {
				w.fired[name] = firing{time.Since(w.begun), a.Annotations["summary"]}
				w.Logf("%s: %s fires: %s", what, name, a.Annotations["summary"])
			}
		}
	}
}

// record is the log of a run, as it stands in the documentation.
type record struct {
	mu   sync.Mutex
	rows map[string][]string
}

func (r *record) add(h hurt, fired map[string]firing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows == nil {
		r.rows = map[string][]string{}
	}
	names := slices.SortedFunc(maps.Keys(fired), func(a, b string) int { return int(fired[a].after - fired[b].after) })
	for _, name := range names {
		alert, severity, _ := strings.Cut(name, " ")
		meant := ""
		if !slices.Contains(h.alerts, name) {
			meant = " (not meant)"
		}
		r.rows[h.name] = append(r.rows[h.name], fmt.Sprintf("| %s | %s%s | %s | %.0f s | %s |", h.name, alert, meant, severity, fired[name].after.Seconds(), fired[name].summary))
	}
}

func (r *record) write(t *testing.T) {
	var out strings.Builder
	out.WriteString("| what is done | alert | severity | after | what it says |\n|---|---|---|---|---|\n")
	for _, h := range hurts() {
		for _, row := range r.rows[h.name] {
			out.WriteString(row + "\n")
		}
	}
	t.Log("\n" + out.String())
	if *liveTable != "" {
		if err := os.WriteFile(*liveTable, []byte(out.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
}
