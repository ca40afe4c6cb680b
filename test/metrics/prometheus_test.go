package metrics

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

var withPrometheus = flag.Bool("metrics.prometheus", false, "have a Prometheus scrape `tieout dev`, and run the queries of all panels")

// loads is how often the load is run while Prometheus scrapes: rates need series that were there before.
const loads = 3

// TestDashboards_NoPanelIsEmpty runs the queries of all panels on a Prometheus that scrapes `tieout dev` at work.
func TestDashboards_NoPanelIsEmpty(t *testing.T) {
	if !*withPrometheus {
		t.Skip("takes a minute, and a Prometheus: make dashboards")
	}
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("there is no prometheus on PATH: apt-get install --no-install-recommends prometheus")
	}
	dev := systemtest.StartDev(t, systemtest.Build(t))
	api := startPrometheus(t, binary, dev.Ready.Metrics)
	conn := servicetest.DialAddr(t, dev.Ready.GRPC, "load")
	for i := range loads {
		newLoad(t, conn, dev.Ready.PSP, dev.Ready.HTTP, fmt.Sprintf("load%d", i)).run()
	}
	begun := scrapeOf(t, dev.Ready.Metrics)["tieout_saga_events_total"].sum("type", "started")
	waittest.Until(t, "the end of the load is scraped", func() bool {
		return slices.Equal(ask(t, api, `sum(tieout_saga_events_total{type="started"})`), []string{fmt.Sprintf("map[] %g", begun)})
	})
	for _, q := range dashboardQueries(t) {
		found := ask(t, api, q.text)
		if len(found) == 0 {
			t.Errorf("%s: %s: nothing is found by %s", q.file, q.title, q.text)
			continue
		}
		t.Logf("%-20s %-45s %3d series, such as %s", strings.TrimSuffix(q.file, ".json"), q.title, len(found), found[0])
	}
}

// startPrometheus starts one that scrapes a URL each second, and gives the URL of its API.
func startPrometheus(t *testing.T, binary, target string) string {
	t.Helper()
	dir, addr := t.TempDir(), nettest.FreeAddr(t)
	scraped, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: tieout, static_configs: [{targets: [%q]}]}]\n", scraped.Host)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", addr, "--enable-feature", "exemplar-storage", "--log.level", "warn")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone
		_ = cmd.Wait()
	})
	waittest.Until(t, "Prometheus scrapes", func() bool {
		raw, err := request(t.Context(), http.MethodGet, "http://"+addr+"/api/v1/query?query=up", "")
		return err == nil && strings.Contains(string(raw), `"1"`)
	})
	return "http://" + addr + "/api/v1/query?query="
}

// ask runs a query now, and gives the values that it finds, with their labels. What is not a number is none.
func ask(t *testing.T, api, promQL string) (found []string) {
	t.Helper()
	raw, err := request(t.Context(), http.MethodGet, api+url.QueryEscape(promQL), "")
	if err != nil {
		t.Fatalf("%s: %v", promQL, err)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatalf("%s: %v", promQL, err)
	}
	for _, r := range answer.Data.Result {
		if value := fmt.Sprint(r.Value[1]); value != "NaN" {
			found = append(found, fmt.Sprintf("%v %s", r.Metric, value))
		}
	}
	return found
}
