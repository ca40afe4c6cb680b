package carrier

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tieout/tieout/pkg/failpoint"
)

// The countries that decide what the simulated carrier does with a parcel; they are codes that ISO 3166-1 leaves to its
// users. The first time that it is asked for something, of a parcel to one of the last two, the outcome is not known.
const (
	unserved   = "XX" // it does not go there
	slowly     = "XS" // it takes its time to answer
	lostBefore = "XB" // what it was asked for has not happened
	lostAfter  = "XA" // it has happened, and its answer is lost
)

// errNoAnswer is what a call is to its caller that has no outcome.
var errNoAnswer = errors.New("the simulated carrier's answer is lost")

// SimulatorConfig says how a simulated carrier takes its time.
type SimulatorConfig struct {
	// HandOverAfter is how long after it was scheduled a parcel is handed over, and cannot be cancelled any more; 0 for
	// never.
	HandOverAfter time.Duration `koanf:"hand_over_after"`
	// LegTime is how long a parcel takes from its hand-over until it is in transit, and from then to its end.
	LegTime time.Duration `koanf:"leg_time"`
	// SlowFor is how long an answer about a parcel to "XS" takes.
	SlowFor time.Duration `koanf:"slow_for"`
}

// Validate tells what is wrong with a configuration.
func (c SimulatorConfig) Validate() error {
	if c.HandOverAfter < 0 || c.LegTime < 0 || c.SlowFor < 0 {
		return errors.New("hand_over_after, leg_time and slow_for must not be negative")
	}
	return nil
}

// Simulator is a carrier that goes everywhere but to the country "XX". What it answers follows from the booking and the
// time alone, so that it keeps its word over a restart, and for the same reason it knows of every booking that it could
// have been asked for. Only what it lost on purpose, and what was cancelled, it keeps in memory. The zero value offers
// all levels, hands nothing over, and loses nothing.
type Simulator struct {
	config SimulatorConfig
	levels []Level
	memory *memory
}

// NewSimulator makes a carrier that offers some levels; all, when none is given.
func NewSimulator(cfg SimulatorConfig, levels ...Level) Simulator {
	return Simulator{config: cfg, levels: levels, memory: &memory{done: map[string]bool{}}}
}

// Capabilities implements Carrier.
func (s Simulator) Capabilities() Capabilities {
	if len(s.levels) == 0 {
		return Capabilities{Levels: []Level{Standard, Express, Overnight}}
	}
	return Capabilities{Levels: s.levels}
}

// Book implements Carrier.
func (s Simulator) Book(ctx context.Context, b Booking) (tracking string, err error) {
	failpoint.Hit(failpoint.Before, "carrier", "Book")
	defer failpoint.Hit(failpoint.Unseen, "carrier", "Book")
	err = s.faulty(ctx, b, "book", func() error {
		if b.Address.Country == lostBefore {
			s.memory.once("booked " + b.Key)
		}
		tracking, err = answer(b)
		return err
	})
	if err != nil {
		return "", err
	}
	return tracking, nil
}

// answer is what the carrier says of a booking, whenever it is asked.
func answer(b Booking) (string, error) {
	if b.Address.Country == unserved {
		return "", &RefusedError{Reason: "no delivery to country " + unserved}
	}
	return fmt.Sprintf("SIM%X", sha256.Sum256([]byte(b.Key)))[:19], nil
}

// faulty does something as the destination has it: slowly, or not, or without an answer.
func (s Simulator) faulty(ctx context.Context, b Booking, what string, do func() error) error {
	country := b.Address.Country
	if country == slowly {
		select {
		case <-time.After(s.config.SlowFor):
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	loses := (country == lostBefore || country == lostAfter) && s.memory.once(what+" "+b.Key)
	if loses && country == lostBefore {
		return errNoAnswer
	}
	if err := do(); err != nil {
		return err
	}
	if loses {
		return errNoAnswer
	}
	return nil
}

// Lookup implements Carrier.
func (s Simulator) Lookup(ctx context.Context, b Booking) (string, bool, error) {
	failpoint.Hit(failpoint.Before, "carrier", "Lookup")
	defer failpoint.Hit(failpoint.Unseen, "carrier", "Lookup")
	if err := ctx.Err(); err != nil {
		return "", false, err
	}
	if b.Address.Country == lostBefore && !s.memory.has("booked "+b.Key) {
		return "", false, nil
	}
	tracking, err := answer(b)
	return tracking, err == nil, err
}

// Cancel implements Carrier.
func (s Simulator) Cancel(ctx context.Context, b Booking) error {
	failpoint.Hit(failpoint.Before, "carrier", "Cancel")
	defer failpoint.Hit(failpoint.Unseen, "carrier", "Cancel")
	return s.faulty(ctx, b, "cancel", func() error {
		if tracking, err := answer(b); err == nil && s.handedOver(b, time.Now()) {
			return &HandedOverError{Tracking: tracking}
		}
		s.memory.once("cancelled " + b.Key)
		return nil
	})
}

// handedOver tells whether the carrier has the parcel at a time: it was not cancelled before.
func (s Simulator) handedOver(b Booking, now time.Time) bool {
	after := s.config.HandOverAfter
	return after > 0 && !now.Before(b.BookedAt.Add(after)) && !s.memory.has("cancelled "+b.Key)
}

// memory is what a simulator has done. It is that of a process: after another start parcels to "XB" and "XA" are lost
// once more, and what was cancelled is handed over in its time.
type memory struct {
	mu   sync.Mutex
	done map[string]bool
}

// maxMemory is how much is kept, so that a process that runs for weeks does not grow; then all is forgotten.
const maxMemory = 1 << 17

// once notes that something is done, and tells whether it is for the first time; never without a memory.
func (m *memory) once(what string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.done) >= maxMemory {
		clear(m.done)
	}
	first := !m.done[what]
	m.done[what] = true
	return first
}

func (m *memory) has(what string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.done[what]
}

// DefaultSimulator is a simulated carrier's configuration where nothing else is said.
func DefaultSimulator() SimulatorConfig {
	return SimulatorConfig{HandOverAfter: 30 * time.Minute, LegTime: time.Hour, SlowFor: 2 * time.Second}
}
