package arch

import (
	"bytes"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// emptyNames say nothing about what is inside; things end up there that have no place.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "data", "misc", "base"}

// unwelcome are strings no text of the project holds. They are spelled in pieces so that this file is no
// find of its own.
var unwelcome = []struct {
	pattern *regexp.Regexp
	rule    string
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`), "a known gap is written BUG(area): what is missing"},
	{regexp.MustCompile(`(//|#|--)\s*BUG\b($|[^(]|\([^)]*\)[^:])`), "a known gap is written BUG(area): what is missing"},
	{regexp.MustCompile(`(^|[^\w.~-])/(wo` + `rk|ro` + `ot|ho` + `me)/`), "no path of somebody's machine"},
	{regexp.MustCompile(`proxy\.gol` + `ang\.org|registry\.npm` + `js`), "no address of a package registry: it is the machine's setting"},
}

// foreign are the files whose text is not ours.
var foreign = regexp.MustCompile(`^(third_party/|gen/|LICENSE$)|(^|/)(go\.sum|testdata/.*)$`)

func TestNames_PackagesSayWhatIsInside(t *testing.T) {
	t.Parallel()
	for dir, files := range house(t).packages() {
		last := path.Base(dir)
		for _, name := range slices.Compact([]string{last, files[0].ast.Name.Name}) {
			if slices.Contains(emptyNames, name) {
				t.Errorf("%s:1: a package is named for what it holds, not %q", files[0].path, name)
			}
		}
	}
}

func TestNames_TextsHoldNothingUnwelcome(t *testing.T) {
	t.Parallel()
	for name, text := range house(t).texts {
		if foreign.MatchString(name) {
			continue
		}
		number := 0
		for line := range bytes.Lines(text) {
			number++
			for _, u := range unwelcome {
				if found := u.pattern.Find(line); found != nil {
					t.Errorf("%s:%d: %s; found %q", name, number, u.rule, bytes.TrimSpace(found))
				}
			}
		}
	}
}

func TestNames_EveryFileIsText(t *testing.T) {
	t.Parallel()
	for _, name := range house(t).others {
		if !foreign.MatchString(name) {
			t.Errorf("%s:1: is no text; what is built is not kept", name)
		}
	}
}

func TestNames_TestsWaitForASignal(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, s := range tr.written() {
		if !s.isTest() && !s.isKit() {
			continue
		}
		s.uses(names{"time": {"Sleep"}}, func(node ast.Node, _ string) {
			t.Errorf("%s:%d: a test waits for a signal or a condition with a deadline, never for time to pass", s.path, tr.line(node))
		})
	}
}

func TestNames_ErrorsSayWhatWasBeingDone(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, s := range tr.written() {
		ast.Inspect(s.ast, func(node ast.Node) bool {
			text, ok := node.(*ast.BasicLit)
			if ok && strings.HasPrefix(strings.ToLower(strings.Trim(text.Value, "\"`")), "failed"+" to ") {
				t.Errorf(`%s:%d: an error says what was being done ("parsing statement: %%w"), not that it failed`, s.path, tr.line(text))
			}
			return true
		})
	}
}
