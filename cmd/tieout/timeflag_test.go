package main

import (
	"strings"
	"testing"
	"time"
)

// FuzzTimeFlag reads what people say for a time: what is taken is one that a server takes.
func FuzzTimeFlag(f *testing.F) {
	for _, text := range []string{"", "2026-02-03", "2026-02-03T04:05:06.789Z", "0000-01-01", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-01:00", "17", "2026-02-30"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := timeFlag("as-of", text)
		switch {
		case err != nil && (at != nil || !strings.Contains(err.Error(), "--as-of")):
			t.Errorf("%q is refused with %v, %v", text, at, err)
		case err == nil && at == nil && text != "":
			t.Errorf("%q is no time, and no error", text)
		case at != nil && at.CheckValid() != nil:
			t.Errorf("%q is taken as %v", text, at)
		case at != nil && !strings.HasPrefix(text, at.AsTime().Format(time.DateOnly)) && !strings.Contains(text, "T"):
			t.Errorf("%q is taken as %v", text, at.AsTime())
		}
	})
}
