package main

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
)

// wantInJSON fails where a command's table has a column that its JSON knows nothing of: scripts get all that people see. Run runs the
// command in a format.
func wantInJSON(t *testing.T, run func(format string) (code int, stdout, stderr string)) {
	t.Helper()
	known := map[string]bool{}
	_, text, stderr := run("json")
	var found any
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		t.Fatalf("%v: %s%s", err, text, stderr)
	}
	collectNames(found, known)
	_, text, _ = run("csv")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%v: %s", err, text)
	}
	for i, column := range rows[0] {
		if rows[1][i] != "" && !known[column] && !known[column+"_code"] {
			t.Errorf("JSON does not know of column %s, %q: %v", column, rows[1][i], found)
		}
	}
}

func collectNames(in any, into map[string]bool) {
	switch in := in.(type) {
	case map[string]any:
		for name, value := range in {
			into[name] = true
			collectNames(value, into)
		}
	case []any:
		for _, value := range in {
			collectNames(value, into)
		}
	}
}
