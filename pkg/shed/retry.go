package shed

import (
	"sync"
	"time"
)

const (
	// retryPart is how many retries each first attempt allows.
	retryPart = 0.1
	// retryFloor is how many retries a second are always allowed: where little is done, one that is held back saves nothing.
	retryFloor = 10
	// retrySaved is how many retries can be saved up.
	retrySaved = 500
)

// RetryBudget bounds what is tried again by what is tried: where much fails, trying all of it again would only add to
// what is too much already. Only the one layer that retries has one. The zero value has nothing saved up but a second's
// floor.
type RetryBudget struct {
	mu    sync.Mutex
	saved float64
	since time.Time
}

// Tried tells of a first attempt.
func (b *RetryBudget) Tried() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saved = min(b.saved+retryPart, retrySaved)
}

// Take tells whether a retry may be made now, and takes it out of the budget.
func (b *RetryBudget) Take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.since).Seconds(); passed > 0 {
		b.saved = max(b.saved, min(b.saved+passed*retryFloor, retryFloor))
		b.since = now
	}
	if b.saved < 1 {
		return false
	}
	b.saved--
	return true
}
