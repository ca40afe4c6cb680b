package shipment

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/tieout/tieout/services/shipment/carrier"
)

// forgetful does what it is asked, and then loses its first answers.
type forgetful struct {
	carrier.Simulator
	losses         atomic.Int32 // answers still to be lost
	booked, undone atomic.Int32 // how often it was asked
}

var errLost = errors.New("connection reset by peer")

func (f *forgetful) Book(ctx context.Context, b carrier.Booking) (string, error) {
	f.booked.Add(1)
	tracking, err := f.Simulator.Book(ctx, b)
	if f.losses.Add(-1) >= 0 {
		return "", errLost
	}
	return tracking, err
}

func (f *forgetful) Cancel(ctx context.Context, key string) error {
	f.undone.Add(1)
	err := f.Simulator.Cancel(ctx, key)
	if f.losses.Add(-1) >= 0 {
		return errLost
	}
	return err
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

// leaveBehind is a carrier that goes on with what it was asked when the asker has gone.
type leaveBehind struct{ *slow }

func (l leaveBehind) Book(ctx context.Context, b carrier.Booking) (string, error) {
	return l.slow.Book(context.WithoutCancel(ctx), b)
}
