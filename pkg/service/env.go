package service

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/shed"
)

// Service is one of the system's services, ready to run in a process.
type Service struct {
	// Name is also its name in logs, traces, health and on the command line: "inventory".
	Name string
	// Stateless says that it has no database.
	Stateless bool
	// Postgres is its own database.
	Postgres Postgres
	// Migrations are the sets its database must have.
	Migrations []pg.Migrations
	// Run wires the service into env and returns; what it started ends with ctx.
	Run func(ctx context.Context, env *Env) error
}

// Env is what a service is given to live in.
type Env struct {
	// Name is the service's.
	Name string
	// Log carries the service's name.
	Log *slog.Logger
	// Tracer makes the service's spans.
	Tracer trace.Tracer
	// Meter makes the service's instruments.
	Meter metric.Meter
	// Pool is the service's database, migrated; nil for a stateless one.
	Pool *pgxpool.Pool
	// JetStream is the process' connection to NATS. The server may be down: what needs it keeps trying.
	JetStream jetstream.JetStream
	// StreamReplicas is how many servers keep a copy of a stream.
	StreamReplicas int
	// GRPC takes the service's RPCs.
	GRPC grpc.ServiceRegistrar
	// HTTP takes what the service serves over HTTP, beside the process' metrics and health.
	HTTP *http.ServeMux
	// Stopping closes when the process begins to stop: calls that would last on their own end then.
	Stopping <-chan struct{}

	ctx     context.Context
	process *Process
}

// Go runs a background duty until the process stops. A duty that ends before that with an error ends the
// process: it is better started again than left without it.
func (e *Env) Go(name string, duty func(context.Context) error) {
	e.process.duties.Go(func() {
		if err := duty(e.ctx); err != nil && e.ctx.Err() == nil {
			e.process.fail(fmt.Errorf("%s: %s: %w", e.Name, name, err))
		}
	})
}

// Consume consumes events until the process stops, and has what the consumer gives up on served as dead letters. How often it
// may fail on an event is the configuration's where c does not say.
func (e *Env) Consume(c inbox.Consumer) {
	c.MaxAttempts = cmp.Or(c.MaxAttempts, e.process.config.Events.MaxAttempts)
	in := inbox.New(inbox.Config{Pool: e.Pool, Log: e.Log, Meter: e.Meter, Tracer: e.Tracer}, c)
	e.process.letters.Add(e.Name, e.Pool, in)
	e.Go(c.Name, func(ctx context.Context) error { return in.Run(ctx, e.JetStream) })
}

// Backlog has new work refused while there is too much of what earlier calls brought. The service says how long pieces of
// it wait.
func (e *Env) Backlog(cfg shed.BacklogConfig) *shed.Backlog {
	b := shed.NewBacklog(cfg)
	e.process.gate.Before(b)
	return b
}

// Dial connects to another service, through a circuit breaker: in memory when it runs in this process and addr
// is empty, else at addr. The connection closes with the process.
func (e *Env) Dial(destination, addr string) (*grpc.ClientConn, error) {
	breaker, err := rpc.NewBreaker(destination, rpc.BreakerConfig{Service: e.Name, Log: e.Log, Meter: e.Meter})
	if err != nil {
		return nil, err
	}
	cfg := rpc.ClientConfig{
		Caller: e.Name, Destination: destination, Target: addr, Breaker: breaker,
		Telemetry: e.process.telemetry, Tracers: e.process.telemetry.Tracers(e.Name),
	}
	if addr == "" {
		if !e.process.runs(destination) {
			return nil, fmt.Errorf("%s does not run in this process and has no address", destination)
		}
		cfg.Target = "passthrough:///" + destination
		cfg.Options = []grpc.DialOption{grpc.WithContextDialer(e.process.dialMemory)}
	}
	conn, err := rpc.Dial(cfg)
	if err != nil {
		return nil, err
	}
	e.process.onStop(func() { conn.Close() })
	return conn, nil
}
