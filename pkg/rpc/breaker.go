package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// BreakerConfig says when a breaker opens and how it closes again. The zero value is usable.
type BreakerConfig struct {
	// MinimumCalls is how many calls must have ended within Window before the rate means anything. Default 20.
	MinimumCalls uint32 `koanf:"minimum_calls"`
	// FailureRatio of calls that found the destination down opens the breaker. Default 0.5.
	FailureRatio float64 `koanf:"failure_ratio"`
	// Window is the rolling time over which calls are counted, by when they began: one that takes longer than this never
	// counts. And where calls are too few for a rate, it is for how long all of them, three at least, must have found the
	// destination down. Default 10 s.
	Window time.Duration `koanf:"window"`
	// OpenFor is how long nothing is sent before probes are. Default 2 s.
	OpenFor time.Duration `koanf:"open_for"`
	// Probes is how many calls must succeed before it closes. Default 3.
	Probes uint32 `koanf:"probes"`
	// Down tells whether an outcome means that the destination does not answer. Default: by the gRPC status.
	Down func(error) bool `koanf:"-"`
	// Service is whose calls it is for, as the metric names it.
	Service string `koanf:"-"`
	// Log is told of every change of state; Meter shows the state. Default: nobody is told.
	Log   *slog.Logger `koanf:"-"`
	Meter metric.Meter `koanf:"-"`
	// OnChange is called at every change of state, in order. The breaker is locked meanwhile: it must neither wait nor
	// ask the breaker anything. Default: none.
	OnChange func(from, to BreakerState) `koanf:"-"`
}

// BreakerState is what a breaker lets through.
type BreakerState int

// The states of a breaker.
const (
	// BreakerClosed lets everything through.
	BreakerClosed BreakerState = iota
	// BreakerHalfOpen lets Probes through.
	BreakerHalfOpen
	// BreakerOpen lets nothing through.
	BreakerOpen
)

// fewest is how many calls in a row must have found a destination down that few calls are for.
const fewest = 3

// row is the calls that found the destination down since the last one that did not.
type row struct {
	calls uint32
	since time.Time // the first of them ended
}

// add takes in a call that has ended.
func (r *row) add(down bool) {
	switch {
	case !down:
		*r = row{}
	case r.calls == 0:
		*r = row{1, time.Now()}
	default:
		r.calls++
	}
}

// lasts tells whether it is no hiccup.
func (r *row) lasts(window time.Duration) bool {
	return r.calls >= fewest && time.Since(r.since) >= window
}

// Breaker stops calls to a destination that is down, so that callers fail at once and the destination is left
// in peace. Only outcomes that say "down" count: a refusal, an answer about something else that is down, and a
// caller that went away do not. Calls carry deadlines, so a probe cannot hang.
type Breaker struct {
	destination string
	gobreaker   *gobreaker.CircuitBreaker[struct{}]
}

// NewBreaker makes the breaker of one destination; its state is the metric tieout.breaker.state (0 closed,
// 1 half open, 2 open), by service and destination.
func NewBreaker(destination string, cfg BreakerConfig) (*Breaker, error) {
	cfg = cfg.withDefaults()
	b := &Breaker{destination: destination}
	var down row // gobreaker is locked when it asks IsSuccessful, once for each call that counts, and ReadyToTrip
	b.gobreaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         destination,
		MaxRequests:  cfg.Probes,
		Interval:     cfg.Window,
		BucketPeriod: cfg.Window / 10,
		Timeout:      cfg.OpenFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			// Not c.Requests: calls that hang, and those their callers gave up, must not hide the ones that failed.
			ended := c.TotalSuccesses + c.TotalFailures
			return ended >= cfg.MinimumCalls && float64(c.TotalFailures) >= cfg.FailureRatio*float64(ended) || down.lasts(cfg.Window)
		},
		IsSuccessful: func(err error) bool {
			isDown := cfg.Down(err)
			down.add(isDown)
			return !isDown
		},
		IsExcluded: func(err error) bool {
			return errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled
		},
		OnStateChange: func(name string, from, to gobreaker.State) {
			cfg.Log.Warn("breaker changed state", slog.String("destination", name), slog.String("from", from.String()), slog.String("to", to.String()))
			if cfg.OnChange != nil {
				cfg.OnChange(BreakerState(from), BreakerState(to))
			}
		},
	})
	labels := metric.WithAttributes(attribute.String("tieout.service", cfg.Service), attribute.String("destination", destination))
	_, err := cfg.Meter.Int64ObservableGauge("tieout.breaker.state",
		metric.WithDescription("State of the circuit breaker: 0 closed, 1 half open, 2 open."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(b.State()), labels)
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("making breaker metric: %w", err)
	}
	return b, nil
}

func (cfg BreakerConfig) withDefaults() BreakerConfig {
	if cfg.MinimumCalls == 0 {
		cfg.MinimumCalls = 20
	}
	if cfg.FailureRatio == 0 {
		cfg.FailureRatio = 0.5
	}
	if cfg.Window == 0 {
		cfg.Window = 10 * time.Second
	}
	if cfg.OpenFor == 0 {
		cfg.OpenFor = 2 * time.Second
	}
	if cfg.Probes == 0 {
		cfg.Probes = 3
	}
	if cfg.Down == nil {
		cfg.Down = saysDown
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Meter == nil {
		cfg.Meter = noop.Meter{}
	}
	return cfg
}

// State is what it lets through now.
func (b *Breaker) State() BreakerState { return BreakerState(b.gobreaker.State()) }

// Do runs a call unless the destination is known to be down: DESTINATION_DOWN, and nothing was sent.
func (b *Breaker) Do(call func() error) error {
	_, err := b.gobreaker.Execute(func() (struct{}, error) { return struct{}{}, call() })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return down(b.destination, err)
	}
	return err
}

func (b *Breaker) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return b.Do(func() error { return invoke(ctx, method, req, reply, cc, opts...) })
}

// saysDown tells whether an outcome means that the destination itself does not answer.
func saysDown(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable:
		e, ours := rpcerr.FromError(err)
		return !ours || e.Reason == rpcerr.ShuttingDown
	case codes.DeadlineExceeded:
		return !rpcerr.Is(err, rpcerr.DeadlineTooShort)
	}
	return false
}
