package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/placing"
	"github.com/tieout/tieout/cmd/tieout/resend"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/telemetry"
)

const (
	// contactLimit is how long the server may take to say that it is there.
	contactLimit = 5 * time.Second
	flushLimit   = 2 * time.Second
	// reconnectWithin is how soon a server that is back is found again.
	reconnectWithin = 2 * time.Second
	// pageSize is how many items a list reads at once.
	pageSize = 500
	// defaultLimit is how many items a list prints.
	defaultLimit = 50
)

// remote is a connection to the server.
type remote struct {
	conn    *grpc.ClientConn
	tracer  trace.Tracer
	timeout time.Duration
}

// callContext is the context of one call; without --timeout the method's own deadline applies.
func (r *remote) callContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.timeout > 0 {
		return context.WithTimeout(ctx, r.timeout)
	}
	return ctx, func() {}
}

// contact asks the server whether it is there, so that a wrong address is known at once and not after much patience.
func contact(ctx context.Context, r *remote) error {
	ctx, cancel := context.WithTimeout(ctx, contactLimit)
	defer cancel()
	_, err := healthv1.NewHealthClient(r.conn).Check(ctx, &healthv1.HealthCheckRequest{})
	return err
}

// remoteGroup is a group of commands that talk to the server.
func (c *cli) remoteGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	return c.withServer(group(use, short, commands...))
}

// withServer adds the flags of commands that talk to the server.
func (c *cli) withServer(cmd *cobra.Command) *cobra.Command {
	cmd.PersistentFlags().String("addr", "", "host:port of the server (default $"+envAddr+", else "+service.DefaultConfig().GRPC.Addr+")")
	cmd.PersistentFlags().Duration("timeout", 0, "how long one call may take (default: what the method declares)")
	return cmd
}

// withRemote runs a command against the server, in a trace of its own.
func (c *cli) withRemote(cmd *cobra.Command, do func(context.Context, *remote) error) error {
	addr, err := cmd.Flags().GetString("addr")
	if err != nil {
		return err
	}
	timeout, err := cmd.Flags().GetDuration("timeout")
	if err != nil {
		return err
	}
	caller, err := c.caller(cmd)
	if err != nil {
		return err
	}
	addr = cmp.Or(addr, c.getenv(envAddr), service.DefaultConfig().GRPC.Addr)
	ctx := cmd.Context()
	tel, err := telemetry.New(ctx, c.clientTelemetry())
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushLimit)
		defer cancel()
		if err := tel.Shutdown(ctx); err != nil {
			c.note("sending traces: %v", err)
		}
	}()
	tracers := tel.Tracers("cli")
	conn, err := rpc.Dial(rpc.ClientConfig{
		Caller: caller, Destination: "the server at " + addr, Target: addr, Telemetry: tel, Tracers: tracers,
		Options: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectWithin},
			MinConnectTimeout: reconnectWithin,
		})},
	})
	if err != nil {
		return usageError{err}
	}
	defer conn.Close()
	r := &remote{conn: conn, tracer: tracers.Tracer("github.com/tieout/tieout/cmd/tieout"), timeout: timeout}
	ctx, span := r.tracer.Start(ctx, cmd.CommandPath())
	defer span.End()
	if err := do(ctx, r); err != nil {
		return &remoteError{error: err, addr: addr, traceID: span.SpanContext().TraceID().String()}
	}
	return nil
}

// clientTelemetry asks the server to record what this command causes, so that the trace id that an error names
// leads somewhere; the client's own part is sent where TIEOUT_TELEMETRY_OTLP_ENDPOINT or OpenTelemetry's own variables say.
func (c *cli) clientTelemetry() telemetry.Config {
	cfg := telemetry.Config{
		OTLPEndpoint: cmp.Or(c.getenv(service.EnvPrefix+"TELEMETRY_OTLP_ENDPOINT"), c.standardEndpoint()),
		SampleRatio:  1, Version: thisBuild().Version,
	}
	if cfg.OTLPEndpoint == "" {
		cfg.Processor = discard{}
	}
	return cfg
}

// discard is a span processor that sends nothing: the spans are sampled, and so recorded where they arrive.
type discard struct{}

// OnStart implements sdktrace.SpanProcessor.
func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (discard) OnEnd(sdktrace.ReadOnlySpan) {}

// Shutdown implements sdktrace.SpanProcessor.
func (discard) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (discard) ForceFlush(context.Context) error { return nil }

// send makes a request that takes effect once, under its key. Where the transport loses the answer it is sent again. It tells
// whether the answer had been given before.
func send[Q, A any](ctx context.Context, r *remote, call func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (answer A, replayed bool, err error) {
	var header metadata.MD
	err = resend.New(patience).Do(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := r.callContext(ctx)
		defer cancel()
		answer, err = call(ctx, request, grpc.Header(&header))
		return err
	})
	return answer, placing.Replayed(header), err
}

// keyOf gives the key that was given, or else a new one, which it tells: asking again under it does nothing twice.
func (c *cli) keyOf(given, prefix, what string) string {
	if given != "" {
		return given
	}
	key := prefix + "/" + uuid.NewString()
	c.note("the key of this %s is %s", what, key)
	return key
}

// object is a command that gets one thing from the server and prints it.
func object[T proto.Message](c *cli, cmd *cobra.Command, view output.View[T], get func(context.Context, *remote, []string) (T, error)) *cobra.Command {
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			ctx, cancel := r.callContext(ctx)
			defer cancel()
			found, err := get(ctx, r, args)
			if err != nil {
				return err
			}
			return output.One(c.stdout, *format, view, found)
		})
	}
	return cmd
}

// page reads up to size items from behind a token.
type page[T any] func(ctx context.Context, r *remote, size int32, token string) (items []T, next string, err error)

// list is a command that prints what the server lists, page by page.
func list[T proto.Message](c *cli, cmd *cobra.Command, view output.View[T], read page[T]) *cobra.Command {
	format := formatFlag(cmd)
	limit := cmd.Flags().Int("limit", defaultLimit, "how many to print at most; 0 for all")
	cmd.Args = args(cobra.NoArgs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *limit < 0 {
			return usageError{fmt.Errorf("--limit %d is less than zero", *limit)}
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			w := output.NewWriter(c.stdout, *format, view)
			more, err := listInto(ctx, r, w, *limit, read)
			if more {
				c.note("there are more than these %d; --limit N prints up to N, --limit 0 all", *limit)
			}
			return w.End(err)
		})
	}
	return cmd
}

func listInto[T any](ctx context.Context, r *remote, w *output.Writer[T], limit int, read page[T]) (more bool, err error) {
	token, left := "", limit
	for {
		size := pageSize
		if limit > 0 {
			size = min(size, left)
		}
		callCtx, cancel := r.callContext(ctx)
		items, next, err := read(callCtx, r, int32(size), token)
		cancel()
		if err != nil {
			return false, err
		}
		for _, item := range items {
			if err := w.Write(item); err != nil {
				return false, err
			}
		}
		if err := w.Flush(); err != nil {
			return false, err
		}
		left -= len(items)
		if next == "" || limit > 0 && left <= 0 {
			return next != "", nil
		}
		token = next
	}
}
