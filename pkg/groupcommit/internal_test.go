package groupcommit

import (
	"testing"
	"time"
)

func TestRestAfter_IsAsLongAsSeveralWritesTook(t *testing.T) {
	t.Parallel()
	for _, of := range []struct {
		writes          int
		took, gap, want time.Duration
	}{
		{writes: 1, took: 5 * time.Millisecond, want: -5 * time.Millisecond},
		{writes: 1, took: 5 * time.Millisecond, gap: 25 * time.Millisecond, want: 20 * time.Millisecond},
		{writes: 2, took: 5 * time.Millisecond, want: 5 * time.Millisecond},
		{writes: 2, took: 5 * time.Millisecond, gap: 25 * time.Millisecond, want: 20 * time.Millisecond},
		{writes: 2, took: 20 * time.Millisecond, gap: 25 * time.Millisecond, want: 20 * time.Millisecond},
		{writes: 256, took: time.Hour, want: 100 * time.Millisecond},
	} {
		if got := restAfter(of.writes, of.took, of.gap); got != of.want {
			t.Errorf("after %d writes in %v, with a gap of %v: %v, want %v", of.writes, of.took, of.gap, got, of.want)
		}
	}
}
