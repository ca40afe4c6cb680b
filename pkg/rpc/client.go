package rpc

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/failpoint"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/pkg/telemetry"
)

// keepalivePing notices a peer that is gone without a word.
const keepalivePing = 30 * time.Second

// reconnect is how soon a peer that went away is tried again. By default gRPC waits up to two minutes, which is how long
// work would then wait for a peer that has come back.
var reconnect = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second}

// ClientConfig is what a connection is made of.
type ClientConfig struct {
	// Caller is the name that the other side knows the caller by.
	Caller string
	// Destination names the other side in errors, breaker and metrics: "inventory".
	Destination string
	// Target is a gRPC target: "host:port", "dns:///…", "unix:…".
	Target    string
	Telemetry *telemetry.Telemetry
	Tracers   trace.TracerProvider
	// Breaker, when set, holds back calls while the destination is down.
	Breaker *Breaker
	// Options are further dial options, as for a connection in memory.
	Options []grpc.DialOption
}

// Dial makes a connection. It does not wait for the other side: a call fails when it is not there.
func Dial(cfg ClientConfig) (*grpc.ClientConn, error) {
	chain := []grpc.UnaryClientInterceptor{unaryClient(cfg)}
	if cfg.Breaker != nil {
		chain = append(chain, cfg.Breaker.unary)
	}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: 5 * time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepalivePing, Timeout: 10 * time.Second}),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(
			otelgrpc.WithTracerProvider(cfg.Tracers),
			otelgrpc.WithMeterProvider(cfg.Telemetry.Meters),
			otelgrpc.WithPropagators(cfg.Telemetry.Propagator))),
		grpc.WithChainUnaryInterceptor(chain...),
		grpc.WithChainStreamInterceptor(streamClient(cfg)),
		grpc.WithDisableRetry(), // the engine is the one layer that retries
	}, cfg.Options...)
	conn, err := grpc.NewClient(cfg.Target, options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s at %s: %w", cfg.Destination, cfg.Target, err)
	}
	return conn, nil
}

// unaryClient names the caller, sets the method's default deadline when there is none, and tells a call that
// never left (DESTINATION_DOWN) from one whose answer was lost.
func unaryClient(cfg ClientConfig) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		ctx = withSender(ctx, cfg.Caller)
		if _, ok := ctx.Deadline(); !ok {
			if d := defaultDeadline(Options(method)); d > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, d)
				defer cancel()
			}
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= hopMargin {
			return rpcerr.New(rpcerr.DeadlineTooShort, "less than %s left before the deadline; nothing was sent to %s", hopMargin, cfg.Destination)
		}
		var p peer.Peer
		failpoint.Hit(failpoint.Before, "rpc", method)
		err := invoke(ctx, method, req, reply, cc, append(opts, grpc.Peer(&p))...)
		failpoint.Hit(failpoint.Unseen, "rpc", method)
		if status.Code(err) == codes.Unavailable && p.Addr == nil && !rpcerr.Is(err, rpcerr.DestinationDown) {
			return down(cfg.Destination, err)
		}
		return err
	}
}

// onBehalfOf is the key of a context's caller.
type onBehalfOf struct{}

// AsCaller has the calls of a context made in the name of a caller, and not in the connection's own: by a gateway, which
// passes on what others ask. The name is up to 128 printable ASCII characters.
func AsCaller(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, onBehalfOf{}, name)
}

func streamClient(cfg ClientConfig) grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return stream(withSender(ctx, cfg.Caller), desc, cc, method, opts...)
	}
}

// withSender says who calls, the context's caller or else the connection's, and what the call is worth: as much as the work that it
// is part of.
func withSender(ctx context.Context, caller string) context.Context {
	if name, ok := ctx.Value(onBehalfOf{}).(string); ok {
		caller = name
	}
	ctx = metadata.AppendToOutgoingContext(ctx, callerHeader, caller)
	if c := shed.ClassOf(ctx); c != 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, priorityHeader, c.String())
	}
	return ctx
}

// down is the error of a call that was not sent. The cause, which names addresses, is for the log and not for
// clients further up.
func down(destination string, cause error) error {
	e := rpcerr.New(rpcerr.DestinationDown, "%s does not answer, nothing was sent", destination)
	e.RetryAfter = time.Second
	return fmt.Errorf("%w: %w", e, cause)
}
