package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/rpc"
)

// Instruments are what a connector logs, counts and traces with.
type Instruments struct {
	Log    *slog.Logger
	Meter  metric.Meter
	Tracer trace.Tracer
}

// errHeld says that an operator has every call held back.
var errHeld = errors.New("an operator holds back the calls to the payment provider")

// account is one account at a provider: each call to it is bounded in time, traced, and behind a breaker.
type account struct {
	name    string
	timeout time.Duration
	breaker *rpc.Breaker
	tracer  trace.Tracer
	log     *slog.Logger
	held    atomic.Bool
}

// callError is a call that a working provider did not answer: connection refused, timeout, 5xx. Only these speak
// against the provider.
type callError struct {
	// sent is true when the request may have left.
	sent bool
	err  error
}

// Error says what went wrong.
func (e *callError) Error() string { return e.err.Error() }

// Unwrap gives what went wrong.
func (e *callError) Unwrap() error { return e.err }

func newAccount(name string, timeout time.Duration, cfg rpc.BreakerConfig, in Instruments) (*account, error) {
	cfg.Log, cfg.Meter = in.Log, in.Meter
	cfg.Down = func(err error) bool {
		_, down := errors.AsType[*callError](err)
		return down
	}
	breaker, err := rpc.NewBreaker(name, cfg)
	if err != nil {
		return nil, err
	}
	a := &account{name: name, timeout: timeout, breaker: breaker, tracer: in.Tracer, log: in.Log}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	meter := in.Meter
	if meter == nil {
		meter = noop.Meter{}
	}
	_, err = meter.Int64ObservableGauge("tieout.breaker.forced_open",
		metric.WithDescription("1 while an operator holds the circuit breaker open."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			var held int64
			if a.held.Load() {
				held = 1
			}
			o.Observe(held, metric.WithAttributes(attribute.String("destination", name)))
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("making metric of a forced breaker: %w", err)
	}
	return a, nil
}

// Force holds back every call, or leaves it to the breaker again, which closes by itself when the provider answers.
// It lasts until the process ends.
func (a *account) Force(open bool) {
	if a.held.Swap(open) != open {
		a.log.Warn("breaker was set by an operator", slog.String("destination", a.name), slog.Bool("open", open))
	}
}

// call makes one call, unless the provider is known to be down. What send returns as an error is that the provider
// did not answer; it is returned as a *callError. Other errors say that nothing was sent.
func (a *account) call(ctx context.Context, name string, send func(context.Context) error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no time left for a call: %w", ctx.Err())
	}
	if a.held.Load() {
		return errHeld
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("the payment provider did not answer within %s", a.timeout))
	defer cancel()
	var left atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { left.Store(true) }})
	ctx, span := a.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	err := a.breaker.Do(func() error {
		if err := send(ctx); err != nil {
			return &callError{sent: left.Load(), err: err}
		}
		return nil
	})
	if err != nil {
		span.RecordError(err)
		span.SetStatus(otelcodes.Error, "no answer")
	}
	return err
}

// withoutAnswer is the outcome of a call that was not answered: unknown, unless nothing can have left.
func withoutAnswer(err error) Outcome {
	if e, ok := errors.AsType[*callError](err); ok && e.sent {
		return Outcome{Kind: Unknown, Err: err}
	}
	return Outcome{Kind: NotSent, Err: err}
}

// newHTTPClient makes a client for calls that end with their context.
func newHTTPClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: timeout}).DialContext,
			TLSHandshakeTimeout: timeout,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     90 * time.Second,
		},
		// A payment API does not move: a redirect is a wrong address.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// cannot is the outcome of a request that a connector does not carry out.
func cannot(r Request) Outcome {
	return Outcome{Kind: NotSent, Err: fmt.Errorf("the provider cannot be asked to %q", r.Op)}
}
