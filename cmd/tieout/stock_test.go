package main

import (
	"strings"
	"testing"

	"github.com/tieout/tieout/pkg/waittest"
)

func TestStock_RefusesACommandLineWithTheReason(t *testing.T) {
	t.Parallel()
	for line, text := range map[string]string{
		"stock":                               "needs a command",
		"stock adjust MUG":                    "--by says how many",
		"stock adjust MUG --by 0 --reason x":  "--by says how many",
		"stock adjust MUG --by -3":            "needs --reason",
		"stock adjust MUG --by 9999999999":    "--by",
		"stock receive MUG 2147483648":        "not a whole number that fits 32 bits",
		"stock receive MUG 1.5":               "not a whole number that fits 32 bits",
		"stock adjust --by 3 --reason count":  "accepts 1 arg",
		"stock get MUG --as-of noon":          `--as-of "noon" is neither`,
		"stock events --since noon":           `--since "noon" is neither`,
		"stock rebuild":                       "needs --reason",
		"stock rebuild --verify --yes":        "exclude each other",
		"stock item put MUG":                  "--description",
		"stock item put --description A-mug.": "accepts 1 arg",
	} {
		if code, stdout, stderr := call(t, nil, strings.Fields(line)...); code != exitUsage || stdout != "" || !strings.Contains(stderr, text) {
			t.Errorf("tieout %s: exit %d, want %d with %q; stdout %q, stderr:\n%s", line, code, exitUsage, text, stdout, stderr)
		}
	}
}

func TestStock_IsCorrectedLookedBackAtAndAddedUp(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	for _, step := range []struct {
		line string
		code int
		text string // of stdout
	}{
		{"stock receive MUG 9 -o csv", exitOK, "MUG,9,0,0,9,0"},
		{"stock adjust MUG --by -2 --reason counted -o csv", exitOK, "MUG,9,0,0,9,0"},
		{"stock adjust MUG --by -2 --reason counted --yes -o csv", exitOK, "MUG,7,0,0,9,-2"},
		{"stock adjust MUG --by -8 --reason counted --yes", exitPrecondition, ""},
		{"stock item put TEA --description Assam --unit box -o csv", exitOK, "TEA,box,Assam"},
		{"stock item list -o csv", exitOK, "MUG,piece,"},
		{"stock events --sku MUG -o csv", exitOK, "MUG,adjusted,-2,,cli,counted"},
		{"stock get MUG --as-of 1 -o csv", exitOK, "MUG,9,0,0,9,0"},
		{"stock get MUG --as-of 2001-01-01 -o csv", exitOK, "MUG,0,0,0,0,0"},
		{"stock rebuild --verify -o csv", exitOK, "sku,level,events"},
		{"stock rebuild --reason audit --yes", exitOK, ""},
	} {
		code, stdout, stderr := d.tieout(t, "", strings.Fields(step.line)...)
		if code != step.code || !strings.Contains(stdout, step.text) {
			t.Errorf("tieout %s: exit %d, want %d with %q; stdout %s, stderr:\n%s", step.line, code, step.code, step.text, stdout, stderr)
		}
	}
	waittest.Until(t, "the movements follow", func() bool {
		_, stdout, _ := d.tieout(t, "", "stock", "movements", "--sku", "MUG", "-o", "csv")
		return strings.Contains(stdout, ",9,0,0,0,-2,0")
	})
}
