package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tieout/tieout/pkg/benchtest"
)

const (
	// maxOut is how many units the generator has under way in an open loop at most; what is due beyond that fails.
	maxOut = 50_000
	// patience is how long a unit may take.
	patience = 30 * time.Second
)

// unit does the n-th unit of work, n from 1, and returns when that is done.
type unit func(ctx context.Context, n int64) error

// Phase is what came of one load.
type Phase struct {
	// Load is the share of the rate at saturation that came; 0 for the closed loop that measures it.
	Load float64 `json:"load,omitempty"`
	// InFlight is how many were kept under way in the closed loop.
	InFlight int `json:"in_flight,omitempty"`
	// Rate is what ended a second; Failed are units that did not end well, and FirstError the first one's.
	Rate       float64 `json:"rate"`
	Failed     int64   `json:"failed"`
	FirstError string  `json:"first_error,omitempty"`
	// P50, P99, P999 and Max are in milliseconds, from when a unit was to begin.
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
	// Costs are those of one unit.
	Costs Costs `json:"costs"`
	// Took is how many seconds a call took that was measured by itself.
	Took float64 `json:"took_s,omitempty"`
	// Drained is how many seconds it took afterwards until everything had come to rest.
	Drained float64 `json:"drained_s"`
}

// errNotSent is a unit that the generator could not begin any more.
var errNotSent = errors.New("the generator has too many units under way")

// tally takes note of what ends.
type tally struct {
	open atomic.Bool  // while it is measured
	done atomic.Int64 // what has ended well while it was

	mu     sync.Mutex
	ended  []ended // well
	failed int64
	first  error
}

// ended is a unit that has ended.
type ended struct {
	due  time.Time
	took time.Duration
}

func (t *tally) note(due time.Time, err error) {
	took := time.Since(due)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed++
		t.first = cmp.Or(t.first, err)
		return
	}
	t.ended = append(t.ended, ended{due, took})
	if t.open.Load() {
		t.done.Add(1)
	}
}

// phase sums up what was done between two readings; each unit counts for so many. The rate is of units that ended meanwhile,
// latencies are of units that were due, whenever they ended.
func (t *tally) phase(from, to reading, weight int) Phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	units := float64(t.done.Load()) * float64(weight)
	p := Phase{Rate: units / to.at.Sub(from.at).Seconds(), Failed: t.failed, Costs: costs(from, to, max(units, 1))}
	if t.first != nil {
		p.FirstError = t.first.Error()
	}
	var took []time.Duration
	for _, e := range t.ended {
		if e.due.After(from.at) && e.due.Before(to.at) {
			took = append(took, e.took)
		}
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		if len(took) == 0 {
			return 0
		}
		return float64(took[int(share*float64(len(took)-1))].Microseconds()) / 1000
	}
	p.P50, p.P99, p.P999, p.Max = at(0.5), at(0.99), at(0.999), at(1)
	return p
}

// load puts loads on a subject.
type load struct {
	meter  *meter
	do     unit
	weight int           // how much one unit of work counts for
	warm   time.Duration // what comes before the measurement
	lasts  time.Duration // the measurement
	next   atomic.Int64
	// beside runs beside the measurement of the closed loop, for as long as it lasts; may be nil.
	beside func(ctx context.Context, lasts time.Duration) error
}

// call makes one call.
func (l *load) call(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return l.do(ctx, l.next.Add(1))
}

// closed keeps so many units under way.
func (l *load) closed(ctx context.Context, inFlight int) (Phase, error) {
	var t tally
	var doing sync.WaitGroup
	var stop atomic.Bool
	for range inFlight {
		doing.Go(func() {
			for !stop.Load() && ctx.Err() == nil {
				due := time.Now()
				err := l.call(ctx)
				if t.note(due, err); err != nil {
					pause(ctx, 100*time.Millisecond) // a subject that fails is not to be flooded
				}
			}
		})
	}
	from, to, err := l.window(ctx, &t, l.beside)
	stop.Store(true)
	doing.Wait()
	p := t.phase(from, to, l.weight)
	p.InFlight = inFlight
	return p, err
}

// window measures for as long as the load lasts, after the warm-up.
func (l *load) window(ctx context.Context, t *tally, beside func(context.Context, time.Duration) error) (from, to reading, err error) {
	pause(ctx, l.warm)
	if from, err = l.meter.read(ctx); err != nil {
		return from, to, err
	}
	var group errgroup.Group
	if beside != nil {
		group.Go(func() error { return beside(ctx, l.lasts) })
	}
	t.open.Store(true)
	pause(ctx, l.lasts)
	t.open.Store(false)
	to, err = l.meter.read(ctx)
	return from, to, errors.Join(err, ctx.Err(), group.Wait())
}

// open has units come at random, at a share of a rate on average.
func (l *load) open(ctx context.Context, share, rate float64) (Phase, error) {
	var t tally
	var doing sync.WaitGroup
	var out atomic.Int64
	coming, stop := context.WithCancel(ctx)
	defer stop()
	doing.Go(func() {
		benchtest.Poisson(coming, share*rate/float64(l.weight), func(due time.Time) {
			if out.Add(1) > maxOut {
				out.Add(-1)
				t.note(due, errNotSent)
				return
			}
			doing.Go(func() {
				defer out.Add(-1)
				t.note(due, l.call(ctx))
			})
		})
	})
	from, to, err := l.window(ctx, &t, nil)
	stop()
	doing.Wait()
	p := t.phase(from, to, l.weight)
	p.Load = share
	return p, err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
