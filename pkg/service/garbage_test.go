package service

import (
	"runtime"
	"testing"
)

func TestGogcFor_LetsLessGatherWhereMoreLives(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 128 << 20: 400, 256 << 20: 200, 512 << 20: 100, 4 << 30: 100} {
		if got := gogcFor(live); got != want {
			t.Errorf("with %d MiB in use, got %d, want %d", live>>20, got, want)
		}
	}
	runtime.GC()
	if measured(liveHeapMetric) == 0 {
		t.Error("Go does not tell how much is in use")
	}
}
