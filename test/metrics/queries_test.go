package metrics

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const observability = "../../deploy/observability"

// query is PromQL that a dashboard or a rule asks.
type query struct {
	file, title, text string
}

// dashboard is of a Grafana dashboard what is looked at here.
type dashboard struct {
	Title  string
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

// dashboardQueries are the queries of all panels.
func dashboardQueries(t testing.TB) []query {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(observability, "dashboards", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	var all []query
	for _, file := range files {
		raw, err := os.ReadFile(file)
		var d dashboard
		if err != nil || json.Unmarshal(raw, &d) != nil {
			t.Fatalf("%s is no dashboard: %v", file, err)
		}
		for _, p := range d.Panels {
			for _, of := range p.Targets {
				all = append(all, query{filepath.Base(file), p.Title, of.Expr})
			}
		}
	}
	return all
}

// ruleQueries are the queries of all rules, and of the objectives that rules are made of.
func ruleQueries(t testing.TB) []query {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(observability, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []query
	for _, file := range files {
		if strings.HasSuffix(file, "_test.yaml") {
			continue
		}
		raw, err := os.ReadFile(file)
		var root yaml.Node
		if err != nil || yaml.Unmarshal(raw, &root) != nil {
			t.Fatalf("%s is no YAML: %v", file, err)
		}
		walk(&root, func(key string, value *yaml.Node) {
			if slices.Contains([]string{"expr", "bad", "total"}, key) && value.Kind == yaml.ScalarNode {
				all = append(all, query{filepath.Base(file), "", value.Value})
			}
		})
	}
	return all
}

// walk visits all values of mappings.
func walk(n *yaml.Node, visit func(key string, value *yaml.Node)) {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			visit(n.Content[i-1].Value, child)
		}
		walk(child, visit)
	}
}

var (
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'`)
	// word is a name of a metric, or of a label, or one of PromQL's own; recorded series have colons.
	word = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	// measured begin the names of what is scraped.
	measured = regexp.MustCompile(`^(tieout|rpc|db|pgxpool|go|process)_`)
)

// names are the names of metrics and labels in a query.
func (q query) names() (all []string) {
	for _, w := range word.FindAllString(quoted.ReplaceAllString(q.text, ""), -1) {
		if measured.MatchString(w) && !strings.Contains(w, ":") {
			all = append(all, w)
		}
	}
	return all
}

// known are the names that a query may use.
func known(all map[string]*family) map[string]bool {
	names := map[string]bool{}
	for _, f := range all {
		for _, s := range f.series {
			names[s.name] = true
			for label := range s.labels {
				names[label] = true
			}
		}
	}
	return names
}

// wantQueriesAnswered wants every metric and label that is asked for to be in the scrape.
func wantQueriesAnswered(t *testing.T, all map[string]*family) {
	names := known(all)
	for _, q := range append(dashboardQueries(t), ruleQueries(t)...) {
		for _, name := range q.names() {
			if !names[name] {
				t.Errorf("%s: %s: there is no %s", q.file, q.title, name)
			}
		}
	}
}

var (
	selector = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"`)
	part     = regexp.MustCompile(`_(bucket|count|sum)$`)
)

// wantSelectorsPossible wants every label that a query selects by to be of its metric, and to have such a value: a slip of the pen
// finds nothing, and nobody would know.
func wantSelectorsPossible(t *testing.T, all map[string]*family) {
	for _, q := range append(dashboardQueries(t), ruleQueries(t)...) {
		for _, s := range selector.FindAllStringSubmatch(q.text, -1) {
			f := all[s[1]]
			if f == nil {
				f = all[part.ReplaceAllString(s[1], "")]
			}
			if f == nil {
				continue // what was recorded by a rule
			}
			for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
				for _, value := range alternatives(m[1], m[2], m[3]) {
					if !f.canBe(m[1], strings.HasSuffix(m[2], "~"), value) {
						t.Errorf("%s: %s: no %s has %s %q", q.file, q.title, f.name, m[1], value)
					}
				}
			}
		}
	}
}

// alternatives are the parts of a regular expression that is nothing but a choice; each of them is to be possible. Bounds of buckets
// are written in two ways, of which a scrape has one.
func alternatives(label, operator, value string) []string {
	if !strings.HasSuffix(operator, "~") || label == "le" || strings.ContainsAny(value, "()[]") {
		return []string{value}
	}
	return strings.Split(value, "|")
}

// canBe tells whether a label of the metric can have a value, or one that a regular expression matches.
func (f *family) canBe(label string, isRegexp bool, value string) bool {
	fits := func(s string) bool { return s == value }
	if isRegexp {
		fits = regexp.MustCompile(`^(?:` + value + `)$`).MatchString
	}
	if slices.ContainsFunc(f.series, func(s series) bool { v, has := s.labels[label]; return has && fits(v) }) {
		return true
	}
	v, _, known := valuesOf(f.name, label)
	switch {
	case !known || !slices.Contains(f.labels(), label):
		return false
	case v.is != nil:
		return !isRegexp && v.is(value)
	}
	return slices.ContainsFunc(v.these, fits)
}
