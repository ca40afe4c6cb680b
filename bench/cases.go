package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// kase is one thing that is measured.
type kase struct {
	name, title string
	// unit is what is counted.
	unit string
	// start starts the subject.
	start func(ctx context.Context, b *bench) (*subject, error)
	// inFlight are the numbers of units kept under way, in turn; the rate at saturation is the best of theirs.
	inFlight []int
	// weight is how many units one call is; 0 is one.
	weight int
	// does says what is compared, for the table: what the subject does, and where.
	does string
}

// cases are all of them, in the order in which they are run.
func cases() []kase {
	return []kase{
		{
			name: "orders", title: "Order sagas", unit: "order", inFlight: []int{1024},
			start: func(ctx context.Context, b *bench) (*subject, error) { return startOrders(ctx, b, 0) },
			does:  "placed over gRPC, until the event of its end is published; stock, authorization and capture at the provider, shipment",
		},
		{
			name: "failing", title: "Order sagas, 10 % compensated", unit: "order", inFlight: []int{1024},
			start: func(ctx context.Context, b *bench) (*subject, error) { return startOrders(ctx, b, 10) },
			does:  "the same; one in ten is refused by the carrier, and its money and goods are given back",
		},
		{
			name: "accept", title: "PlaceOrder until durable", unit: "order", inFlight: []int{512}, start: startAccept,
			does: "the answer to PlaceOrder",
		},
		{
			name: "temporal", title: "Temporal", unit: "workflow", inFlight: []int{128}, start: startTemporal,
			does: "a workflow of three activities that do nothing, started eagerly, until its result is read",
		},
	}
}

// Result is what came of a case.
type Result struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Unit  string `json:"unit"`
	Does  string `json:"does"`
	// Saturated are the closed loops, Loaded the open ones.
	Saturated []Phase `json:"saturated"`
	Loaded    []Phase `json:"loaded,omitempty"`
	// Memory and PostgresMemory are bytes at the most: of the subject's process, and of its Postgres.
	Memory         int64 `json:"memory_bytes"`
	PostgresMemory int64 `json:"postgres_memory_bytes"`
	// Settings are Postgres'.
	Settings map[string]string `json:"settings,omitempty"`
}

// best is the closed loop with the highest rate.
func (r Result) best() Phase {
	best := r.Saturated[0]
	for _, p := range r.Saturated[1:] {
		if p.Rate > best.Rate {
			best = p
		}
	}
	return best
}

// shares are the open loops, of the rate at saturation.
var shares = []float64{0.5, 0.9}

// run runs a case: closed loops, then open ones, and between them everything comes to rest.
func (b *bench) run(ctx context.Context, k kase) (r *Result, err error) {
	began := time.Now()
	s, err := k.start(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	r = &Result{Name: k.name, Title: k.title, Unit: k.unit, Does: k.does}
	if r.Settings, err = s.meter.settings(ctx); err != nil {
		return nil, err
	}
	stopWatching := s.meter.watchMemory(r)
	defer stopWatching()
	l := &load{meter: s.meter, do: s.do, weight: max(k.weight, 1), warm: b.lasts / 4, lasts: b.lasts}
	if b.profiles != "" && s.profile != nil {
		l.beside = func(ctx context.Context, lasts time.Duration) error { return s.profile(ctx, b.profiles, k.name, lasts) }
	}
	for _, inFlight := range k.inFlight {
		p, err := b.rest(ctx, s, func() (Phase, error) { return l.closed(ctx, inFlight) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		b.note("%s: %s", k.name, p)
		r.Saturated = append(r.Saturated, p)
	}
	for _, share := range shares {
		p, err := b.rest(ctx, s, func() (Phase, error) { return l.open(ctx, share, r.best().Rate) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		b.note("%s: %s", k.name, p)
		r.Loaded = append(r.Loaded, p)
	}
	b.note("%s: took %.0f s", k.name, time.Since(began).Seconds())
	return r, nil
}

// rest has a load come and go.
func (b *bench) rest(ctx context.Context, s *subject, run func() (Phase, error)) (Phase, error) {
	p, err := run()
	if err != nil || s.settle == nil {
		return p, err
	}
	began := time.Now()
	err = s.settle(ctx)
	p.Drained = time.Since(began).Seconds()
	return p, err
}
