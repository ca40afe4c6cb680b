package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// vocabulary is the labels of each series there is, by its name.
type vocabulary map[string][]string

// documented is what docs/reference/metrics.md tells of, and what rules record. That a real scrape has what is documented is tested
// where the metrics are.
func documented(t *testing.T) vocabulary {
	t.Helper()
	raw, err := os.ReadFile(docs + "/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := vocabulary{}
	for _, foreign := range []string{"up", "probe_ssl_earliest_cert_expiry"} {
		if all[foreign] = []string{"instance", "job"}; !strings.Contains(string(raw), "`"+foreign+"`") {
			t.Errorf("%s is not in docs/reference/metrics.md", foreign)
		}
	}
	for line := range strings.Lines(string(raw)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !slices.Contains([]string{"counter", "gauge", "histogram"}, strings.TrimSpace(cells[2])) {
			continue
		}
		labels := append(word.FindAllString(cells[3], -1), "instance", "job")
		for _, name := range word.FindAllString(cells[1], -1) {
			all[name] = labels
			if strings.TrimSpace(cells[2]) == "histogram" {
				all[name+"_bucket"], all[name+"_count"], all[name+"_sum"] = append(labels, "le"), labels, labels
			}
		}
	}
	for _, r := range alertRules(t) {
		if r.Record != "" {
			all[r.Record] = []string{"slo", "currency", "age", "why", "state", "destination"}
		}
	}
	return all
}

var (
	quoted   = regexp.MustCompile(`"(\\.|[^"\\])*"`)
	grouping = regexp.MustCompile(`\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)`)
	selector = regexp.MustCompile(`([A-Za-z_:][A-Za-z0-9_:]*)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([A-Za-z_]+)\s*(?:=~|!~|!=|=)`)
	braces   = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]|\boffset\s+\w+`)
	called   = regexp.MustCompile(`[A-Za-z_:][A-Za-z0-9_:]*(\s*\()?`)
	named    = regexp.MustCompile(`__name__=~"([^"]*)"`)
	relabels = regexp.MustCompile(`label_replace`)
)

// check tells what an expression asks for that there is not: metrics, labels that are compared, and labels that are grouped by.
func (v vocabulary) check(expr string) (missing []string) {
	var metrics, labels []string
	for _, list := range named.FindAllStringSubmatch(expr, -1) {
		metrics = append(metrics, strings.Split(list[1], "|")...)
	}
	if relabels.MatchString(expr) {
		for _, made := range quoted.FindAllString(expr, -1) {
			labels = append(labels, strings.Trim(made, `"`))
		}
	}
	expr = quoted.ReplaceAllString(expr, `""`)
	for _, name := range called.FindAllString(braces.ReplaceAllString(grouping.ReplaceAllString(expr, ""), ""), -1) {
		if !strings.HasSuffix(name, "(") && !slices.Contains([]string{"and", "or", "unless", "bool", "group_left"}, name) {
			metrics = append(metrics, name)
		}
	}
	for _, name := range metrics {
		if v[name] == nil {
			missing = append(missing, "metric "+name)
		}
		labels = append(labels, v[name]...)
	}
	for _, s := range selector.FindAllStringSubmatch(expr, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if v[s[1]] != nil && !slices.Contains(v[s[1]], m[1]) {
				missing = append(missing, "label "+m[1]+" of "+s[1])
			}
		}
	}
	for _, list := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, label := range word.FindAllString(list[1], -1) {
			if !slices.Contains(labels, label) {
				missing = append(missing, "label "+label+" to group by")
			}
		}
	}
	return missing
}

var (
	nested       = regexp.MustCompile(`query "((?:\\.|[^"\\])*)"`)
	inlineMetric = regexp.MustCompile("`(tieout_[a-z_]+)`")
)

func TestPromQL_UsesWhatIsThere(t *testing.T) {
	t.Parallel()
	all := documented(t)
	check := func(where, expr string) {
		for _, missing := range all.check(expr) {
			t.Errorf("%s: there is no %s: %s", where, missing, expr)
		}
	}
	for _, r := range alertRules(t) {
		check("rule "+r.Alert+r.Record, r.Expr)
		for _, q := range nested.FindAllStringSubmatch(r.Annotations["summary"], -1) {
			check("summary of "+r.Alert, strings.ReplaceAll(q[1], `\"`, `"`))
		}
	}
	for where, expr := range runbookQueries(t) {
		check(where, expr)
	}
	for name, text := range runbooks(t) {
		for _, inline := range inlineMetric.FindAllStringSubmatch(text, -1) {
			check("docs/runbook/"+name+".md", inline[1])
		}
	}
}

func TestVocabulary_MissesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	v := vocabulary{"x_total": {"code"}, "y": {"code", "age"}}
	for expr, want := range map[string]string{
		`sum by (code) (rate(x_total{code=~"a|b"}[5m])) > 0 and on (code) y{age!="1"}`: "",
		`sum(rate(z_total[5m]))`:                                              "metric z_total",
		`x_total{age="1"}`:                                                    "label age of x_total",
		`sum by (age) (x_total)`:                                              "label age to group by",
		`group by (code) ({__name__=~"x_total|w"})`:                           "metric w",
		`x_total > 0 and z_total offset 2m > 0`:                               "metric z_total",
		`sum by (to) (label_replace(y, "to", "$1", "code", "(.*)")) > bool 1`: "",
	} {
		if got := strings.Join(v.check(expr), ", "); got != want {
			t.Errorf("%s misses %q, want %q", expr, got, want)
		}
	}
}
