package metrics

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// family is a metric with its series.
type family struct {
	name   string // as scraped: a counter's ends with _total
	kind   string // counter, gauge, histogram …
	help   string
	series []series
}

// series is one line of a scrape.
type series struct {
	name     string
	labels   map[string]string
	value    float64
	exemplar string // of which there may be none
}

// label matches one label of a series.
var label = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)

// parse reads what a process serves as OpenMetrics.
func parse(t testing.TB, text string) map[string]*family {
	t.Helper()
	families := map[string]*family{}
	var last *family
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch fields := strings.SplitN(line, " ", 4); {
		case strings.HasPrefix(line, "# HELP "):
			last = &family{help: fields[3]}
		case strings.HasPrefix(line, "# TYPE "):
			if last.name, last.kind = fields[2], fields[3]; last.kind == "counter" {
				last.name += "_total"
			}
			if families[last.name] != nil {
				t.Errorf("%s is there twice", last.name)
			}
			families[last.name] = last
		case strings.HasPrefix(line, "#"):
		default:
			last.series = append(last.series, parseSeries(line))
		}
	}
	return families
}

func parseSeries(line string) series {
	s := series{labels: map[string]string{}}
	line, s.exemplar, _ = strings.Cut(line, " # ")
	name, labels, _ := strings.Cut(line, "{")
	s.name, _, _ = strings.Cut(name, " ")
	s.value, _ = strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64) // NaN is none
	for _, m := range label.FindAllStringSubmatch(labels, -1) {
		s.labels[m[1]] = m[2]
	}
	return s
}

// ours tells whether a metric is the system's, and not of the runtime, which the Prometheus client library makes.
func (f *family) ours() bool {
	return !strings.HasPrefix(f.name, "go_") && !strings.HasPrefix(f.name, "process_") && f.name != "target_info"
}

// labels are the names of the labels of all its series, but for a histogram's le.
func (f *family) labels() []string {
	names := map[string]bool{}
	for _, s := range f.series {
		for name := range s.labels {
			names[name] = true
		}
	}
	delete(names, "le")
	return slices.Sorted(maps.Keys(names))
}

// sum adds up the series that have a value of a label.
func (f *family) sum(label, value string) (sum float64) {
	for _, s := range f.series {
		if s.labels[label] == value {
			sum += s.value
		}
	}
	return sum
}

// sorted are the system's metrics by name.
func sorted(families map[string]*family) []*family {
	all := slices.Collect(maps.Values(families))
	all = slices.DeleteFunc(all, func(f *family) bool { return !f.ours() })
	slices.SortFunc(all, func(a, b *family) int { return cmp.Compare(a.name, b.name) })
	return all
}

// count is how many series there are.
func count(families map[string]*family) (n int) {
	for _, f := range families {
		n += len(f.series)
	}
	return n
}
