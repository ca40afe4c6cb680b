package main

import (
	"strings"
	"testing"
)

func TestStock_RefusesACommandLineWithTheReason(t *testing.T) {
	t.Parallel()
	for line, text := range map[string]string{
		"stock":                               "needs a command",
		"stock adjust MUG":                    "--by says how many",
		"stock adjust MUG --by 0 --reason x":  "--by says how many",
		"stock adjust MUG --by -3":            "needs --reason",
		"stock adjust MUG --by 9999999999":    "--by",
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
