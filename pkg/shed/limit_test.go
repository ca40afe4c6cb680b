package shed_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/shed"
)

// plant is a server of so many workers, as a calculation: who is let in takes the next worker that is free.
type plant struct {
	limit   *shed.Limit
	free    []time.Time // of each worker
	service time.Duration
	should  time.Duration

	leaving  []call // by when they end, as a queue: each takes as long as the others
	done     int
	refused  int
	slowest  time.Duration
	measured time.Time // since when done, refused and slowest count
}

type call struct{ came, ends time.Time }

func newPlant(workers int, service, should time.Duration) *plant {
	return &plant{limit: shed.NewLimit(shed.LimitConfig{Min: 32}), free: make([]time.Time, workers), service: service, should: should}
}

// run has calls come at a rate, as part of what the plant can do, for some time. It counts the second half.
func (p *plant) run(from time.Time, d time.Duration, load float64) (to time.Time) {
	capacity := float64(len(p.free)) / p.service.Seconds()
	gap := time.Duration(float64(time.Second) / (capacity * load))
	p.done, p.refused, p.slowest, p.measured = 0, 0, 0, from.Add(d/2)
	for now := from; now.Before(from.Add(d)); now = now.Add(gap) {
		p.leave(now)
		if float64(len(p.leaving)) >= math.Floor(p.limit.Value()) {
			if now.After(p.measured) {
				p.refused++
			}
			continue
		}
		worker := slices.IndexFunc(p.free, func(at time.Time) bool { return at.Equal(slices.MinFunc(p.free, time.Time.Compare)) })
		begins := p.free[worker]
		if begins.Before(now) {
			begins = now
		}
		p.free[worker] = begins.Add(p.service)
		p.leaving = append(p.leaving, call{now, p.free[worker]})
	}
	return from.Add(d)
}

func (p *plant) leave(now time.Time) {
	for len(p.leaving) > 0 && !p.leaving[0].ends.After(now) {
		c := p.leaving[0]
		took := c.ends.Sub(c.came)
		p.limit.Observe(c.ends, shed.Work{Took: took, Should: p.should, UnderWay: len(p.leaving)})
		p.leaving = p.leaving[1:]
		if c.ends.After(p.measured) {
			p.done++
			p.slowest = max(p.slowest, took)
		}
	}
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestLimit_RefusesNothingBelowCapacity(t *testing.T) {
	t.Parallel()
	p := newPlant(8, 10*time.Millisecond, 50*time.Millisecond)
	p.run(epoch, 20*time.Second, 0.9)
	if p.refused > 0 {
		t.Errorf("refused %d of %d at 90 %% of the capacity", p.refused, p.done)
	}
}

func TestLimit_KeepsThePlantBusyAndItsCallsPrompt(t *testing.T) {
	t.Parallel()
	for _, load := range []float64{1.5, 5, 10} {
		p := newPlant(8, 10*time.Millisecond, 50*time.Millisecond)
		p.run(epoch, 40*time.Second, load)
		if capacity := 800 * 20; p.done < capacity*99/100 {
			t.Errorf("at %g times the capacity: %d were done of %d that could be", load, p.done, capacity)
		}
		// The limit is tried upwards until calls take too long, so that some take a little longer.
		if p.slowest > 100*time.Millisecond {
			t.Errorf("at %g times the capacity: the slowest call took %v, and should take 50ms; the limit is %.0f", load, p.slowest, p.limit.Value())
		}
	}
}

// What began before the limit was lowered takes as long as before; it must not be lowered for that again and again.
func TestLimit_WaitsForItsOwnEffect(t *testing.T) {
	t.Parallel()
	for _, load := range []float64{1.5, 10} {
		p := newPlant(100, time.Second, 3*time.Second)
		p.run(epoch, 200*time.Second, load)
		if capacity := 100 * 100; p.done < capacity*99/100 {
			t.Errorf("at %g times the capacity: %d were done of %d that could be", load, p.done, capacity)
		}
	}
}

func TestLimit_FollowsThePlant(t *testing.T) {
	t.Parallel()
	p := newPlant(8, 10*time.Millisecond, 50*time.Millisecond)
	now := p.run(epoch, 20*time.Second, 10)
	before := p.limit.Value()
	p.service = 5 * time.Millisecond
	p.run(now, 20*time.Second, 10)
	if after := p.limit.Value(); after < 1.4*before {
		t.Errorf("a plant twice as fast: the limit went from %.0f to %.0f", before, after)
	}
}

func TestLimit_StaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	l := shed.NewLimit(shed.LimitConfig{Min: 5, Initial: 10, Max: 20})
	now := epoch
	observe := func(load float64) {
		for range 1000 {
			now = now.Add(20 * time.Millisecond)
			l.Observe(now, shed.Work{Took: time.Duration(load * float64(time.Second)), Should: time.Second, UnderWay: 100})
		}
	}
	if observe(0.5); l.Value() != 20 {
		t.Errorf("when all is well: got %v, want 20", l.Value())
	}
	if observe(1.5); l.Value() != 5 {
		t.Errorf("when nothing is: got %v, want 5", l.Value())
	}
}

func TestLimit_DoesNotGrowWhileItIsNotUsed(t *testing.T) {
	t.Parallel()
	l := shed.NewLimit(shed.LimitConfig{})
	now := epoch
	for range 1000 {
		now = now.Add(20 * time.Millisecond)
		l.Observe(now, shed.Work{Took: time.Second, Should: 10 * time.Second, UnderWay: 3})
	}
	if l.Value() != 1024 {
		t.Errorf("got %v, want what it began with", l.Value())
	}
}
