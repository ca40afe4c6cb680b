package service

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// spare is how much garbage may gather, in bytes, as far as the bounds of GOGC allow.
	spare          = 512 << 20
	minGOGC        = 100 // Go's own
	maxGOGC        = 400
	lookAtMemory   = time.Second
	gogcMetric     = "/gc/gogc:percent"
	liveHeapMetric = "/gc/heap/live:bytes"
)

// collectLate lets more garbage gather before it is collected than Go does by itself, until ctx ends. Little lives in a service, and
// what a request needs is garbage after it: at Go's own setting a quarter of the processor time went to looking for the little
// again and again. Where more lives less may gather, so that memory stays bounded. What somebody else has set is left alone.
func collectLate(ctx context.Context) {
	set := int(measured(gogcMetric))
	if set != minGOGC {
		return
	}
	for ticker := time.NewTicker(lookAtMemory); ; {
		if percent := gogcFor(measured(liveHeapMetric)); percent*10 < set*9 || percent*10 > set*11 {
			set = percent
			debug.SetGCPercent(percent)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			ticker.Stop()
			return
		}
	}
}

// gogcFor is the percentage of a live heap that may be garbage.
func gogcFor(live uint64) int {
	return int(min(max(spare*100/max(live, 1), minGOGC), maxGOGC))
}

// measured is what the runtime says of itself; the live heap is what the last collection found to be in use.
func measured(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
