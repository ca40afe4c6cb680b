package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/failpoint"
)

// maxAnswer bounds an answer's body, in bytes. What is longer is cut off, and then is no JSON.
const maxAnswer = 64 << 10

// httpCaller speaks JSON over HTTP to one provider account.
type httpCaller struct {
	account *account
	base    *url.URL
	client  *http.Client
}

// answer is what a provider that is up has answered.
type answer struct {
	status int
	body   []byte
}

// post sends a request under an idempotency key. Because of the key, net/http itself sends again when a connection
// that it kept turns out to be closed; that is within the same call and its deadline.
func (c *httpCaller) post(ctx context.Context, path, key string, body any) (answer, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return answer{}, fmt.Errorf("encoding request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(path).String(), bytes.NewReader(encoded))
	if err != nil {
		return answer{}, fmt.Errorf("building request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	return c.call(ctx, r)
}

// find asks for what a key has brought about.
func (c *httpCaller) find(ctx context.Context, path, key string) (answer, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = url.Values{"idempotency_key": {key}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, fmt.Errorf("building request: %w", err)
	}
	return c.call(ctx, r)
}

// call makes one call. An error is a call without an answer: a *callError, or that it was not made at all.
func (c *httpCaller) call(ctx context.Context, r *http.Request) (a answer, err error) {
	err = c.account.call(ctx, r.Method+" "+r.URL.Path, func(ctx context.Context) (failed error) {
		span := trace.SpanFromContext(ctx)
		span.SetAttributes(attribute.String("http.request.method", r.Method),
			attribute.String("server.address", r.URL.Host), attribute.String("url.path", r.URL.Path))
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(r.Header))
		if a, failed = c.roundTrip(r.WithContext(ctx)); failed == nil {
			span.SetAttributes(attribute.Int("http.response.status_code", a.status))
		}
		return failed
	})
	return a, err
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
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case resp.StatusCode >= http.StatusInternalServerError:
		return answer{}, fmt.Errorf("answered %s", resp.Status)
	case err != nil:
		return answer{}, fmt.Errorf("reading answer: %w", err)
	}
	return answer{status: resp.StatusCode, body: body}, nil
}
