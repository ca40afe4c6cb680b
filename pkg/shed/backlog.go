package shed

import (
	"sync"
	"time"
)

const (
	// countEvery is how old the count of what is under way may be.
	countEvery = 5 * time.Millisecond
)

// backlogLimit bounds the limit of a backlog: a crowd that is soon worked off is not sent away.
var backlogLimit = LimitConfig{Initial: 2048, Min: 1024, Max: 1 << 16}

// BacklogConfig is what a backlog is made of.
type BacklogConfig struct {
	// Name names it in metrics; one of few.
	Name string
	// UnderWay counts what is being worked on. What waits for a time or for others that are away is not.
	UnderWay func() int
	// Target is how long a piece of work should wait for its turn at most.
	Target time.Duration
	// Limit bounds how much may be under way. Default: 1024 to 65536.
	Limit LimitConfig
	// Now is the clock. Default: the time.
	Now func() time.Time
}

// Backlog is work that outlasts the calls that bring it. Who works on it says how long pieces of it wait.
type Backlog struct {
	config BacklogConfig

	mu       sync.Mutex
	limit    *Limit
	counted  time.Time
	underWay int // when counted, and what was let in since
}

// NewBacklog makes a backlog; it counts once a gate has it.
func NewBacklog(cfg BacklogConfig) *Backlog {
	if cfg.Limit == (LimitConfig{}) {
		cfg.Limit = backlogLimit
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Backlog{config: cfg, limit: NewLimit(cfg.Limit)}
}

// Waited tells how long a piece of work has waited for its turn.
func (b *Backlog) Waited(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.config.Now()
	b.count(now)
	b.limit.Observe(now, Work{Took: d, Should: b.config.Target, UnderWay: b.underWay})
}

// takes tells whether one more call of a class may come, and counts what it brings.
func (b *Backlog) takes(c Class) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(b.config.Now())
	if b.isFull(c) {
		return false
	}
	if c.begins() {
		b.underWay++
	}
	return true
}

// IsFull tells whether it takes no more of a class at present.
func (b *Backlog) IsFull(c Class) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(b.config.Now())
	return b.isFull(c)
}

// isFull needs mu. Reads bring nothing, and are refused before what is worth more.
func (b *Backlog) isFull(c Class) bool {
	return b.underWay >= c.ceiling(b.limit.Value())
}

// count counts again if it is time. It needs mu.
func (b *Backlog) count(now time.Time) {
	if now.Sub(b.counted) >= countEvery {
		b.counted, b.underWay = now, b.config.UnderWay()
	}
}

// state is the limit and what is under way.
func (b *Backlog) state() (limit float64, underWay int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit.Value(), b.underWay
}
