package placing

import (
	"math/bits"
	"sync"
	"time"
)

// precision is how many leading bits of a latency are kept: it is known to one part in 128.
const precision = 7

// latencies counts durations by microseconds, in constant memory. The zero value is empty.
type latencies struct {
	mu     sync.Mutex
	counts [(64 - precision + 1) << precision]int64
	total  int64
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[bucket(uint64(max(0, d.Microseconds())))]++
	l.total++
}

// bucket keeps small values as they are, and of others the leading bits and how many follow.
func bucket(us uint64) int {
	shift := max(0, bits.Len64(us)-precision-1)
	return shift<<precision + int(us>>shift)
}

// value is the least duration of a bucket.
func value(bucket int) time.Duration {
	shift := max(0, bucket>>precision-1)
	return time.Duration(bucket-shift<<precision) << shift * time.Microsecond
}

// quantile gives the duration that a share of all is not above, 0 when there is none.
func (l *latencies) quantile(share float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	rank := max(1, int64(share*float64(l.total)+0.5))
	for i, n := range l.counts {
		if rank -= n; rank <= 0 {
			return value(i)
		}
	}
	return 0
}
