package alerts

import (
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tieout/tieout/pkg/promtest"
)

const observability = "../../deploy/observability"

// The files of rules, and their unit tests.
var (
	ruleFiles = []string{"alerts.yaml", "slo-rules.yaml"}
	testFiles = []string{"alerts_test.yaml", "slo-rules_test.yaml"}
)

func in(dir string, files ...string) []string {
	var all []string
	for _, f := range files {
		all = append(all, filepath.Join(dir, f))
	}
	return all
}

func TestRules_AreWhatPrometheusReads(t *testing.T) {
	t.Parallel()
	promtest.Promtool(t, append([]string{"check", "rules"}, in(observability, ruleFiles...)...)...)
}

func TestRules_FireAndDoNotFire(t *testing.T) {
	t.Parallel()
	promtest.Promtool(t, append([]string{"test", "rules"}, in(observability, testFiles...)...)...)
}

// TestRules_AreAllTested wants each alert, with each severity that it has, to be seen firing in a unit test, and not firing.
func TestRules_AreAllTested(t *testing.T) {
	t.Parallel()
	type alert struct{ name, severity string }
	rules, fires, silent := map[alert]bool{}, map[alert]bool{}, map[string]bool{}
	for _, path := range in(observability, ruleFiles...) {
		var file struct {
			Groups []struct {
				Rules []struct {
					Alert  string
					Labels map[string]string
				}
			}
		}
		read(t, path, &file)
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				if r.Alert != "" {
					rules[alert{r.Alert, r.Labels["severity"]}] = true
				}
			}
		}
	}
	for _, path := range in(observability, testFiles...) {
		var file struct {
			Tests []struct {
				Alerts []struct {
					Name string `yaml:"alertname"`
					Exp  []struct {
						Labels map[string]string `yaml:"exp_labels"`
					} `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		read(t, path, &file)
		for _, test := range file.Tests {
			for _, a := range test.Alerts {
				silent[a.Name] = silent[a.Name] || len(a.Exp) == 0
				for _, e := range a.Exp {
					fires[alert{a.Name, e.Labels["severity"]}] = true
				}
			}
		}
	}
	if len(rules) < 20 {
		t.Errorf("there are %d alerts", len(rules))
	}
	for a := range rules {
		if a.severity != "page" && a.severity != "ticket" {
			t.Errorf("%s has the severity %q, which is neither page nor ticket", a.name, a.severity)
		}
		if !fires[a] {
			t.Errorf("no unit test sees %s fire as a %s", a.name, a.severity)
		}
		if !silent[a.name] {
			t.Errorf("no unit test sees %s not fire", a.name)
		}
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
