package shed

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// LimitConfig bounds a limit. The zero value is usable.
type LimitConfig struct {
	// Initial is what the limit begins with. Default 1024.
	Initial int `koanf:"initial"`
	// Min is the least it comes down to. Default 256: a full batch of writes.
	Min int `koanf:"min"`
	// Max is the most it grows to. Default 8192.
	Max int `koanf:"max"`
}

// Validate tells what is wrong with the bounds.
func (c LimitConfig) Validate() error {
	if d := c.withDefaults(); d.Min < 1 || d.Initial < d.Min || d.Max < d.Initial {
		return fmt.Errorf("min %d, initial %d, max %d: each is at least as much as the one before, and min is 1 or more", d.Min, d.Initial, d.Max)
	}
	return nil
}

func (c LimitConfig) withDefaults() LimitConfig {
	return LimitConfig{Initial: cmp.Or(c.Initial, 1024), Min: cmp.Or(c.Min, 256), Max: cmp.Or(c.Max, 8192)}
}

const (
	// window is over how much time, at least, and windowSize over how many observations the limit is judged.
	window     = 100 * time.Millisecond
	windowSize = 10
	// backOff is what an overload leaves of the limit at least.
	backOff = 0.8
	// nearly is how much of the limit must have been used for more to be tried.
	nearly = 0.8
)

// Limit is how much may be under way at once. It grows by its root in each window in which work takes no longer than it
// should while the limit is used, and shrinks by as much as it takes too long in each in which it does, by a fifth at most:
// many who do the same share what there is, and none is locked out. Then it waits for work that began under the smaller
// limit, for that is the first that can tell whether it is small enough. It has no clock, and belongs to one goroutine at a
// time.
type Limit struct {
	config  LimitConfig
	value   float64
	lowered time.Time // when it last shrank

	began time.Time // of the window
	n     int
	load  float64 // of all observations: how long they took, in times of what they should
	peak  int     // the most that was under way
}

// NewLimit makes a limit.
func NewLimit(cfg LimitConfig) *Limit {
	cfg = cfg.withDefaults()
	return &Limit{config: cfg, value: float64(cfg.Initial)}
}

// Value is the limit now.
func (l *Limit) Value() float64 { return l.value }

// Work is a piece of work that has ended.
type Work struct {
	// Took is how long it took, Should how long it should take at most.
	Took, Should time.Duration
	// UnderWay is how much was under way with it.
	UnderWay int
}

// Observe tells of a piece of work that has ended now.
func (l *Limit) Observe(now time.Time, w Work) {
	if now.Add(-w.Took).Before(l.lowered) {
		return
	}
	if l.n == 0 {
		l.began = now
	}
	l.n++
	l.load += float64(w.Took) / float64(w.Should)
	l.peak = max(l.peak, w.UnderWay)
	if l.n < windowSize || now.Sub(l.began) < window {
		return
	}
	switch load := l.load / float64(l.n); {
	case load > 1:
		// What was not used has not been tried either.
		l.value = max(backOff, 1/load) * min(l.value, 2*float64(l.peak))
		l.lowered = now
	case float64(l.peak) >= nearly*l.value:
		l.value += math.Sqrt(l.value)
	}
	l.value = min(max(l.value, float64(l.config.Min)), float64(l.config.Max))
	l.n, l.load, l.peak = 0, 0, 0
}
