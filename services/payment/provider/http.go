package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/failpoint"
	"github.com/tieout/tieout/pkg/rpc"
)

// maxAnswer bounds an answer's body, in bytes.
const maxAnswer = 64 << 10

// httpCaller makes calls to one provider account: bounded in time and size, behind a breaker, traced.
type httpCaller struct {
	base    *url.URL
	timeout time.Duration
	client  *http.Client
	breaker *rpc.Breaker
	tracer  trace.Tracer
}

// answer is what a provider that is up has answered.
type answer struct {
	status int
	body   []byte
}

// callError is a call that a working provider did not answer: connection refused, timeout, 5xx.
type callError struct {
	// sent is true when the request may have left.
	sent bool
	err  error
}

// Error says what went wrong.
func (e *callError) Error() string { return e.err.Error() }

// Unwrap gives what went wrong.
func (e *callError) Unwrap() error { return e.err }

func newHTTPCaller(cfg SimConfig, in Instruments) (*httpCaller, error) {
	base, err := url.Parse(strings.TrimSuffix(cfg.URL, "/"))
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	cfg.Breaker.Log, cfg.Breaker.Meter = in.Log, in.Meter
	cfg.Breaker.Down = func(err error) bool {
		_, down := errors.AsType[*callError](err)
		return down
	}
	breaker, err := rpc.NewBreaker("payment provider", cfg.Breaker)
	if err != nil {
		return nil, err
	}
	return &httpCaller{
		base: base, timeout: cfg.Timeout, breaker: breaker, tracer: in.Tracer,
		client: &http.Client{
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: cfg.Timeout}).DialContext,
				TLSHandshakeTimeout: cfg.Timeout,
				MaxIdleConnsPerHost: 64,
				IdleConnTimeout:     90 * time.Second,
			},
			// A payment API does not move: a redirect is a wrong address.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// post sends a request under an idempotency key. Because of the key, net/http itself sends again when a connection
// that it kept turns out to be closed; that is within the same call and its deadline.
func (c *httpCaller) post(ctx context.Context, path, key string, body any) (answer, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return answer{}, fmt.Errorf("encoding request: %w", err)
	}
	return c.call(ctx, func(ctx context.Context) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(path).String(), bytes.NewReader(encoded))
		if err == nil {
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", key)
		}
		return r, err
	})
}

// find asks for what a key has brought about.
func (c *httpCaller) find(ctx context.Context, path, key string) (answer, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = url.Values{"idempotency_key": {key}}.Encode()
	return c.call(ctx, func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	})
}

// call makes one call. An error is a call without an answer: a *callError, or that it was not made at all.
func (c *httpCaller) call(ctx context.Context, build func(context.Context) (*http.Request, error)) (a answer, err error) {
	if ctx.Err() != nil {
		return answer{}, fmt.Errorf("no time left for a call: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("the payment provider did not answer within %s", c.timeout))
	defer cancel()
	var left atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { left.Store(true) }})
	r, err := build(ctx)
	if err != nil {
		return answer{}, fmt.Errorf("building request: %w", err)
	}
	ctx, span := c.tracer.Start(ctx, r.Method+" "+r.URL.Path, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("http.request.method", r.Method),
			attribute.String("server.address", r.URL.Host), attribute.String("url.path", r.URL.Path)))
	defer span.End()
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(r.Header))
	err = c.breaker.Do(func() error {
		var failed error
		if a, failed = c.roundTrip(r); failed != nil {
			return &callError{sent: left.Load(), err: failed}
		}
		return nil
	})
	if err != nil {
		span.RecordError(err)
		span.SetStatus(otelcodes.Error, "no answer")
		return answer{}, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", a.status))
	return a, nil
}

// roundTrip gives the answer of a provider that is up.
func (c *httpCaller) roundTrip(r *http.Request) (answer, error) {
	failpoint.Hit(failpoint.Before, "provider", r.Method, r.URL.Path)
	resp, err := c.client.Do(r)
	failpoint.Hit(failpoint.Unseen, "provider", r.Method, r.URL.Path)
	if err != nil {
		if cause := context.Cause(r.Context()); cause != nil {
			return answer{}, fmt.Errorf("%w: %w", cause, err)
		}
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, fmt.Errorf("reading answer: %w", err)
	case len(body) > maxAnswer:
		return answer{}, fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	case resp.StatusCode >= http.StatusInternalServerError:
		return answer{}, fmt.Errorf("answered %s", resp.Status)
	}
	return answer{status: resp.StatusCode, body: body}, nil
}

// withoutAnswer is the outcome of a call that was not answered: unknown, unless nothing can have left.
func withoutAnswer(err error) Outcome {
	if e, ok := errors.AsType[*callError](err); ok && e.sent {
		return Outcome{Kind: Unknown, Err: err}
	}
	return Outcome{Kind: NotSent, Err: err}
}
