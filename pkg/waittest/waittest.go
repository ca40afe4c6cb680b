// Package waittest waits in a test for what another goroutine, process or server brings about.
package waittest

import (
	"testing"
	"time"
)

const (
	limit = time.Minute
	pause = 5 * time.Millisecond
)

// Until returns when what holds, which it asks again and again, and fails the test after a minute.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("did not come to pass within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}
