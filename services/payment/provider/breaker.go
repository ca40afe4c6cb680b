package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/tieout/tieout/pkg/rpc"
)

// errHeld says that an operator has every call held back.
var errHeld = errors.New("an operator holds back the calls to the payment provider")

// BreakerState is what a breaker lets through.
type BreakerState int

// The states of a breaker.
const (
	// BreakerClosed lets everything through.
	BreakerClosed BreakerState = iota
	// BreakerHalfOpen lets a few calls through, to see whether the provider answers again.
	BreakerHalfOpen
	// BreakerOpen lets nothing through, because the provider does not answer.
	BreakerOpen
	// BreakerForcedOpen lets nothing through, because an operator holds it open.
	BreakerForcedOpen
)

// String names the state.
func (s BreakerState) String() string {
	names := [...]string{"closed", "half-open", "open", "forced open"}
	if s < 0 || int(s) >= len(names) {
		return "no state of a breaker"
	}
	return names[s]
}

// change is one of a breaker's state.
type change struct{ from, to BreakerState }

// Breaker holds back the calls to an account while the provider is down, and while an operator says so. What is held
// back is answered at once, as not sent.
type Breaker struct {
	name     string
	rpc      *rpc.Breaker
	log      *slog.Logger
	onChange func(from, to BreakerState) // nil: nobody is told

	// mu is taken while the rpc breaker is locked, so nothing is asked of that under it.
	mu      sync.Mutex
	held    bool
	by      BreakerState // of the rpc breaker: what holds when nobody holds it open
	untold  []change
	telling bool // somebody tells what is untold
}

func newBreaker(name string, cfg rpc.BreakerConfig, in Instruments) (*Breaker, error) {
	b := &Breaker{name: name, log: in.Log, onChange: in.OnBreakerChange}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	cfg.Service, cfg.Log, cfg.Meter = "payment", in.Log, in.Meter
	cfg.Down = func(err error) bool {
		_, down := errors.AsType[*callError](err)
		return down
	}
	cfg.OnChange = func(_, to rpc.BreakerState) {
		b.change(func() { b.by = BreakerState(to) })
	}
	var err error
	if b.rpc, err = rpc.NewBreaker(name, cfg); err != nil {
		return nil, err
	}
	meter := in.Meter
	if meter == nil {
		meter = noop.Meter{}
	}
	_, err = meter.Int64ObservableGauge("tieout.breaker.forced_open",
		metric.WithDescription("1 while an operator holds the circuit breaker open."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			var held int64
			if b.State() == BreakerForcedOpen {
				held = 1
			}
			o.Observe(held, metric.WithAttributes(attribute.String("destination", name)))
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("making metric of a forced breaker: %w", err)
	}
	return b, nil
}

// State is what it lets through now.
func (b *Breaker) State() BreakerState {
	b.rpc.State() // it notices only when it is asked that it may let probes through, and says so by OnChange
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state()
}

func (b *Breaker) state() BreakerState {
	if b.held {
		return BreakerForcedOpen
	}
	return b.by
}

// Force holds back every call, or leaves it to the breaker again, which closes by itself when the provider answers.
// It lasts until the process ends.
func (b *Breaker) Force(open bool) {
	if b.change(func() { b.held = open }) {
		b.log.Warn("breaker was set by an operator", slog.String("destination", b.name), slog.Bool("open", open))
	}
}

// do makes a call unless it is held back.
func (b *Breaker) do(call func() error) error {
	b.mu.Lock()
	held := b.held
	b.mu.Unlock()
	if held {
		return errHeld
	}
	return b.rpc.Do(call)
}

// change changes the state, tells whether that made a difference, and has it told.
func (b *Breaker) change(set func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := b.state()
	set()
	to := b.state()
	if from == to {
		return false
	}
	if b.onChange == nil {
		return true
	}
	b.untold = append(b.untold, change{from, to})
	if !b.telling {
		b.telling = true
		go b.tell()
	}
	return true
}

// tell tells of the changes, one after the other and in order, until there are none: no call waits for who is told.
func (b *Breaker) tell() {
	for {
		b.mu.Lock()
		if len(b.untold) == 0 {
			b.telling = false
			b.mu.Unlock()
			return
		}
		next := b.untold[0]
		b.untold = b.untold[1:]
		b.mu.Unlock()
		b.onChange(next.from, next.to)
	}
}
