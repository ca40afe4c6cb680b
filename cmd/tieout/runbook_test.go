package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/tieout/tieout/pkg/promtest"
)

const (
	docs       = "../../docs"
	runbookURL = "https://github.com/tieout/tieout/blob/main/docs/runbook/"
)

// alertRule is a rule of Prometheus that alerts, or records.
type alertRule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

func alertRules(t *testing.T) []alertRule {
	t.Helper()
	var all []alertRule
	for _, name := range []string{"alerts.yaml", "slo-rules.yaml"} {
		raw, err := os.ReadFile(filepath.Join(observability, name))
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Groups []struct{ Rules []alertRule } }
		if err := yaml.Unmarshal(raw, &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, g := range file.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

// runbooks gives the text of each runbook by its name.
func runbooks(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(docs + "/runbook/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("looking for runbooks: %d, %v", len(files), err)
	}
	all := map[string]string{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(f), ".md")] = string(raw)
	}
	return all
}

func TestRunbooks_AreThoseOfTheAlerts(t *testing.T) {
	t.Parallel()
	texts, alerts := runbooks(t), map[string]bool{}
	for _, r := range alertRules(t) {
		if r.Alert == "" {
			continue
		}
		alerts[r.Alert] = true
		if got, want := r.Annotations["runbook_url"], runbookURL+r.Alert+".md"; got != want {
			t.Errorf("%s leads to the runbook %q, want %q", r.Alert, got, want)
		}
		if r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s has no summary, or no severity", r.Alert)
		}
		if texts[r.Alert] == "" {
			t.Errorf("%s has no runbook docs/runbook/%s.md", r.Alert, r.Alert)
		}
	}
	for name, text := range texts {
		if !alerts[name] {
			t.Errorf("docs/runbook/%s.md is for no alert", name)
		}
		at := 0
		for _, part := range []string{"# " + name + "\n", "\n## Symptom\n", "\n## What it costs\n", "\n## Look\n", "\n## Do\n"} {
			next := strings.Index(text[at:], part)
			if next < 0 {
				t.Fatalf("docs/runbook/%s.md: %q is not there, in this order", name, strings.TrimSpace(part))
			}
			at += next
		}
		if n := len(codeBlock.FindAllString(text, -1)); n < 3 {
			t.Errorf("docs/runbook/%s.md: there are %d checks to copy, want three", name, n)
		}
	}
}

var (
	codeBlock   = regexp.MustCompile("(?s)```(sh|promql)\n(.*?)\n```")
	inlineShell = regexp.MustCompile("`(tieout [^`]*)`")
	shellWord   = regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`)
	word        = regexp.MustCompile(`[A-Za-z_:][A-Za-z0-9_:]*`)
)

// TestRunbooks_NameCommandsThatExist reads every command line as the binary would, up to carrying it out.
func TestRunbooks_NameCommandsThatExist(t *testing.T) {
	t.Parallel()
	for name, text := range runbooks(t) {
		var lines []string
		for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
			if block[1] == "sh" {
				lines = append(lines, strings.Split(block[2], "\n")...)
			}
		}
		for _, inline := range inlineShell.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
			lines = append(lines, inline[1])
		}
		for _, line := range lines {
			if !strings.HasPrefix(line, "tieout ") {
				continue
			}
			if err := understands(t, line); err != nil {
				t.Errorf("docs/runbook/%s.md: %s: %v", name, line, err)
			}
		}
	}
}

// understands says what a command line lacks to be carried out.
func understands(t *testing.T, line string) error {
	t.Helper()
	var words []string
	for _, word := range shellWord.FindAllString(line, -1)[1:] {
		words = append(words, strings.Trim(word, `'"`))
	}
	c := &cli{program: "tieout", stdout: t.Output(), stderr: t.Output()}
	cmd, rest, err := newRoot(c).Find(words)
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() {
		return fmt.Errorf("%s only holds other commands", cmd.CommandPath())
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if needs := cmd.Flags().Lookup("reason"); needs != nil && strings.Contains(needs.Usage, "(required)") && !needs.Changed {
		return fmt.Errorf("--reason is required")
	}
	return validArgs(cmd)
}

func validArgs(cmd *cobra.Command) error {
	if cmd.Args == nil {
		return nil
	}
	return cmd.Args(cmd, cmd.Flags().Args())
}

// runbookQueries are the queries of the runbooks, by where they are.
func runbookQueries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, text := range runbooks(t) {
		for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
			if block[1] != "promql" {
				continue
			}
			for query := range strings.SplitSeq(block[2], "\n") {
				all[fmt.Sprintf("docs/runbook/%s.md, %d", name, len(all))] = query
			}
		}
	}
	return all
}

func TestRunbooks_QueriesAreWhatPrometheusReads(t *testing.T) {
	t.Parallel()
	var rules []map[string]string
	for _, expr := range runbookQueries(t) {
		rules = append(rules, map[string]string{"alert": fmt.Sprintf("Query%d", len(rules)), "expr": expr})
	}
	raw, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "runbooks", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	promtest.Promtool(t, "check", "rules", file)
}
