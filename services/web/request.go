package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

const (
	// maxBody is how large the body of a request may be: 1 MiB.
	maxBody = 1 << 20
	// exchangeLimit is how long a request may take to come in, and its answer to go out.
	exchangeLimit = time.Minute
	// maxCaller is how long a caller's name may be, as for the servers.
	maxCaller = 128

	callerHeader = "Tieout-Caller"
	keyHeader    = "Idempotency-Key"
)

// gateway holds what requests share.
type gateway struct {
	tracer   trace.Tracer
	origins  origins
	draining context.Context // ends when the process begins to stop
	seats    *seats
	watch    Watch
}

// received is every request's way in: whose page sent it, in which trace, and in whose name.
func (g *gateway) received(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		cors, err := g.origins.check(r)
		if err != nil {
			writeError(w, err)
			return
		}
		if cors {
			allowPage(w, r)
			if isPreflight(r) {
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		caller, err := callerOf(r)
		if err != nil {
			writeError(w, err)
			return
		}
		ctx := rpc.AsCaller(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header)), caller)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// callerOf is who a request says that it comes from.
func callerOf(r *http.Request) (string, error) {
	name := r.Header.Get(callerHeader)
	if name == "" {
		return rpc.Anonymous, nil
	}
	printable := func(c rune) bool { return c >= ' ' && c <= '~' }
	if len(name) > maxCaller || strings.TrimFunc(name, printable) != "" {
		return "", rpcerr.ForField(rpcerr.RequestInvalid, callerHeader, "is no name of up to %d printable ASCII characters", maxCaller)
	}
	return name, nil
}

// seatOf is as whom a request's live connection is counted.
func seatOf(r *http.Request) string {
	if name := r.Header.Get(callerHeader); name != "" {
		return name
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return "address " + host
}

// bounded reads a request's body, which may not be too large or take too long, and traces it.
func (g *gateway) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := g.tracer.Start(r.Context(), "HTTP "+r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		c := http.NewResponseController(w)
		until := time.Now().Add(exchangeLimit)
		if err := errors.Join(c.SetReadDeadline(until), c.SetWriteDeadline(until)); err != nil {
			writeError(w, err)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			if _, large := errors.AsType[*http.MaxBytesError](err); large {
				err = rpcerr.New(rpcerr.RequestTooLarge, "the body is larger than %d bytes", maxBody)
			} else {
				err = rpcerr.New(rpcerr.RequestMalformed, "the body ended too early")
			}
			writeError(w, err)
			return
		}
		r = r.WithContext(withKey(ctx, r.Header.Get(keyHeader)))
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// keyOf is the key of a context's idempotency key.
type keyOf struct{}

func withKey(ctx context.Context, key string) context.Context {
	if key == "" {
		return ctx
	}
	return context.WithValue(ctx, keyOf{}, key)
}

// keyed is a connection whose requests have the idempotency key that came in a header.
type keyed struct{ grpc.ClientConnInterface }

// Invoke implements grpc.ClientConnInterface.
func (c keyed) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if key, ok := ctx.Value(keyOf{}).(string); ok {
		if err := setKey(args, key); err != nil {
			return err
		}
	}
	return c.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
}

// setKey sets the idempotency key of a request that has one.
func setKey(request any, key string) error {
	m, ok := request.(proto.Message)
	if !ok {
		return nil
	}
	field := m.ProtoReflect().Descriptor().Fields().ByName("idempotency_key")
	if field == nil {
		return nil
	}
	if given := m.ProtoReflect().Get(field).String(); given != "" && given != key {
		return rpcerr.ForField(rpcerr.RequestInvalid, "idempotency_key", "is another one than the header %s says", keyHeader)
	}
	m.ProtoReflect().Set(field, protoreflect.ValueOfString(key))
	return nil
}
