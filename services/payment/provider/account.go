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
	// OnBreakerChange is told of every change of the breaker's state, one after the other and in order; no call waits
	// for it. Nil: nobody is told.
	OnBreakerChange func(from, to BreakerState)
}

// account is one account at a provider: each call to it is bounded in time, traced, and behind a breaker.
type account struct {
	name    string
	timeout time.Duration
	breaker *Breaker
	tracer  trace.Tracer
	took    metric.Float64Histogram
	labels  map[bool]metric.MeasurementOption // by whether a call was answered; made once, as making them costs more than counting
}

// callError is a call that was not answered: connection refused, timeout, 5xx. Only these speak against the provider,
// unless the caller did not wait for it.
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
	// Calls are counted by when they began, so a call that takes longer than the window never counts: without this, a
	// provider that hangs would never be found out.
	cfg.Window = max(cfg.Window, 10*time.Second, 3*timeout)
	breaker, err := newBreaker(name, cfg, in)
	if err != nil {
		return nil, err
	}
	meter := in.Meter
	if meter == nil {
		meter = noop.Meter{}
	}
	took, err := meter.Float64Histogram("tieout.provider.call.duration", metric.WithUnit("s"),
		metric.WithDescription("Calls to the payment provider, by whether they were answered, whatever the answer; those that are held back are none."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
	if err != nil {
		return nil, fmt.Errorf("making metric of calls: %w", err)
	}
	labels := map[bool]metric.MeasurementOption{}
	for _, answered := range []bool{false, true} {
		labels[answered] = metric.WithAttributeSet(attribute.NewSet(attribute.String("provider", name), attribute.Bool("answered", answered)))
	}
	return &account{name: name, timeout: timeout, breaker: breaker, tracer: in.Tracer, took: took, labels: labels}, nil
}

// Name implements Account.
func (a *account) Name() string { return a.name }

// Breaker implements Account.
func (a *account) Breaker() *Breaker { return a.breaker }

// call makes one call, unless calls are held back. What send returns as an error is that the provider did not answer;
// it is returned as a *callError. Other errors say that nothing was sent.
func (a *account) call(ctx context.Context, name string, send func(context.Context) error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no time left for a call: %w", ctx.Err())
	}
	caller, begun := ctx, time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("the payment provider did not answer within %s", a.timeout))
	defer cancel()
	var left atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { left.Store(true) }})
	ctx, span := a.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	err := a.breaker.do(func() error {
		err := send(ctx)
		a.took.Record(ctx, time.Since(begun).Seconds(), a.labels[err == nil])
		if err == nil {
			return nil
		}
		if caller.Err() != nil && (!errors.Is(caller.Err(), context.DeadlineExceeded) || time.Since(begun) < a.timeout/2) {
			err = fmt.Errorf("%w: %w", errGivenUp, err)
		}
		return &callError{sent: left.Load(), err: err}
	})
	if err != nil {
		span.RecordError(err)
		span.SetStatus(otelcodes.Error, "no answer")
	}
	return err
}

// errGivenUp says that the caller did not wait for the provider, which therefore is not to blame: he went away, or left
// it less than half the time that it may take. A deadline close to that time counts as the provider's own, or one that
// hangs would never be noticed by callers who keep to it. The breaker leaves out what was canceled.
var errGivenUp = fmt.Errorf("the caller gave up: %w", context.Canceled)

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
