package benchtest

import (
	"context"
	"math/rand/v2"
	"time"
)

// Poisson calls do at random times, so many a second on average, each with the time at which it was due, until ctx ends. It
// waits for do, which must not wait: what was due meanwhile is called late, one right after the other.
func Poisson(ctx context.Context, rate float64, do func(due time.Time)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := time.Now(); ; due = due.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second))) {
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		} else if ctx.Err() != nil {
			return
		}
		do(due)
	}
}
