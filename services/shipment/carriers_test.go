package shipment

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tieout/tieout/services/shipment/carrier"
)

var errLost = errors.New("connection reset by peer")

// ledger is a carrier that remembers what it was asked, by key, and loses calls and answers as it is told. It fails
// the test when it is asked to book what it was asked to cancel.
type ledger struct {
	carrier.Simulator
	t       testing.TB
	holding chan struct{} // when there is one, bookings to France wait until it is closed

	has                    atomic.Bool  // it has all parcels, and cancels none
	calls, answers         atomic.Int32 // still to be lost
	booked, looked, undone atomic.Int32 // how often it was asked
	traced                 atomic.Value // the context of the last booking
	mu                     sync.Mutex
	known, cancelled       map[string]bool
}

func newLedger(t testing.TB) *ledger {
	return &ledger{t: t, known: map[string]bool{}, cancelled: map[string]bool{}}
}

func (l *ledger) Book(ctx context.Context, b carrier.Booking) (string, error) {
	l.booked.Add(1)
	l.traced.Store(&ctx)
	if l.holding != nil && b.Address.Country == "FR" {
		<-l.holding
	}
	if l.calls.Add(-1) >= 0 {
		return "", errLost
	}
	tracking, err := l.Simulator.Book(ctx, b)
	l.mu.Lock()
	if l.cancelled[b.Key] {
		l.t.Errorf("the carrier is asked for %s, which was cancelled", b.Reference)
	}
	l.known[b.Key] = err == nil
	l.mu.Unlock()
	if l.answers.Add(-1) >= 0 {
		return "", errLost
	}
	return tracking, err
}

func (l *ledger) Lookup(ctx context.Context, b carrier.Booking) (string, bool, error) {
	l.looked.Add(1)
	if l.calls.Add(-1) >= 0 || l.answers.Add(-1) >= 0 {
		return "", false, errLost
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if booked, asked := l.known[b.Key]; !asked {
		return "", booked, nil
	}
	return l.Simulator.Lookup(ctx, b)
}

func (l *ledger) Cancel(ctx context.Context, b carrier.Booking) error {
	l.undone.Add(1)
	if l.calls.Add(-1) >= 0 {
		return errLost
	}
	if l.has.Load() {
		tracking, err := l.Simulator.Book(ctx, b)
		return errors.Join(err, &carrier.HandedOverError{Tracking: tracking})
	}
	l.mu.Lock()
	l.cancelled[b.Key] = true
	delete(l.known, b.Key)
	l.mu.Unlock()
	if l.answers.Add(-1) >= 0 {
		return errLost
	}
	return l.Simulator.Cancel(ctx, b)
}

// wantKnown fails the test unless the carrier will come for so many parcels.
func (l *ledger) wantKnown(want int) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	got := 0
	for _, booked := range l.known {
		if booked {
			got++
		}
	}
	if got != want {
		l.t.Errorf("the carrier comes for %d parcels, want %d", got, want)
	}
}

// slow answers its first booking when it is let, and all others at once.
type slow struct {
	carrier.Simulator
	asked    atomic.Int32
	arrived  chan struct{} // closed when the first booking is there
	released chan struct{} // closed to have it answered
}

func newSlow() *slow {
	return &slow{arrived: make(chan struct{}), released: make(chan struct{})}
}

func (s *slow) Book(ctx context.Context, b carrier.Booking) (string, error) {
	if s.asked.Add(1) == 1 {
		close(s.arrived)
		select {
		case <-s.released:
		case <-ctx.Done():
		}
	}
	return s.Simulator.Book(ctx, b)
}
