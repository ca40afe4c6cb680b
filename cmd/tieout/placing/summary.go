package placing

import (
	"math"
	"sync/atomic"
	"time"
)

// Summary is what became of the orders of a file.
type Summary struct {
	// Accepted orders are durable at the server; of these, Replayed were so before.
	Accepted int64 `json:"accepted"`
	// Refused orders were not placed and will not be by asking again.
	Refused int64 `json:"refused"`
	// Completed, Compensated and Parked are the ends that were seen; none without following.
	Completed   int64 `json:"completed"`
	Compensated int64 `json:"compensated"`
	Parked      int64 `json:"parked"`
	// DurationS is how long it took, in seconds.
	DurationS float64 `json:"duration_s"`
	// LatencyMS is how long an order took to be acknowledged.
	LatencyMS Latency `json:"latency_ms"`
	// Replayed orders had been accepted under the same key before; nothing was placed again.
	Replayed int64 `json:"replayed"`
	// Failed orders may or may not be placed: no answer came. The same file again settles it.
	Failed int64 `json:"failed"`
}

// Latency is in milliseconds, to about one percent.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// tally counts while orders are placed.
type tally struct {
	began                                                               time.Time
	accepted, refused, replayed, failed, completed, compensated, parked atomic.Int64
	latency                                                             latencies
}

func (t *tally) summary() Summary {
	return Summary{
		Accepted: t.accepted.Load(), Refused: t.refused.Load(), Replayed: t.replayed.Load(), Failed: t.failed.Load(),
		Completed: t.completed.Load(), Compensated: t.compensated.Load(), Parked: t.parked.Load(),
		DurationS: thousandths(time.Since(t.began).Seconds()),
		LatencyMS: Latency{P50: milliseconds(t.latency.quantile(0.5)), P99: milliseconds(t.latency.quantile(0.99))},
	}
}

func milliseconds(d time.Duration) float64 { return thousandths(d.Seconds() * 1000) }

func thousandths(x float64) float64 { return math.Round(x*1000) / 1000 }
