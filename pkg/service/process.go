package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tieout/tieout/pkg/audit"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/deadletter"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/quota"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/pkg/tracestore"
)

const memoryBuffer = 1 << 20

// serviceKey labels what is measured of one of the services of a process.
const serviceKey = attribute.Key("tieout.service")

var (
	// ErrConfig says that a process was not started because its configuration is wrong.
	ErrConfig = errors.New("configuration")
	// ErrNotMigrated says that a process was not started because a database lacks migrations.
	ErrNotMigrated = errors.New("the database lacks migrations")
)

// Process is a running process: one gRPC server with the services that run in it.
type Process struct {
	config    Config
	services  []Service
	level     slog.LevelVar
	logs      *telemetry.Log
	log       *slog.Logger
	telemetry *telemetry.Telemetry
	server    *rpc.Server
	quotas    *quota.Quotas
	gate      *shed.Gate
	auditor   *audit.Auditor
	letters   *deadletter.Desk
	health    *health.Server
	mux       *http.ServeMux
	http      *http.Server
	memory    *bufconn.Listener
	grpcAddr  net.Addr
	httpAddr  net.Addr

	stopping chan struct{}
	cancel   context.CancelFunc // ends the duties
	duties   sync.WaitGroup
	failed   chan error // the first failure, if any

	mu      sync.Mutex
	closers []func() // run last to first
}

// Start starts a process and returns when it serves. On an error nothing is left running. Logs go to w.
func Start(ctx context.Context, cfg Config, w io.Writer, services ...Service) (*Process, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	p := &Process{
		config: cfg, services: services,
		stopping: make(chan struct{}), failed: make(chan error, 1), memory: bufconn.Listen(memoryBuffer),
		mux: http.NewServeMux(),
	}
	if err := p.start(ctx, w); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Process) start(ctx context.Context, w io.Writer) error {
	dutyCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	var err error
	var traces *tracestore.Store
	if bytes := p.config.Telemetry.KeepBytes; bytes > 0 {
		traces = tracestore.New(bytes)
		p.config.Telemetry.Keeper = traces
	}
	if p.telemetry, err = telemetry.New(ctx, p.config.Telemetry); err != nil {
		return err
	}
	if err := p.openLog(ctx, w); err != nil {
		return err
	}
	p.onStop(func() { p.logError("flushing telemetry", p.flushTelemetry()) })
	js, err := p.connectNATS()
	if err != nil {
		return err
	}
	if err := p.serveCalls(dutyCtx, js.Conn()); err != nil {
		return err
	}
	if traces != nil {
		traces.Register(p.server)
	}
	p.health = health.NewServer()
	healthv1.RegisterHealthServer(p.server.Server, p.health)
	p.auditor, err = audit.New(audit.Config{Log: p.log, Meter: p.telemetry.Meters.Meter("github.com/tieout/tieout/pkg/audit")})
	if err != nil {
		return err
	}
	p.auditor.Register(p.server)
	p.letters, err = deadletter.New(deadletter.Config{Log: p.log, Meter: p.telemetry.Meters.Meter("github.com/tieout/tieout/pkg/deadletter")})
	if err != nil {
		return err
	}
	p.letters.Register(p.server)
	keeper := &streamKeeper{js: js, replicas: p.config.NATS.Replicas}
	if _, err := keeper.runOnce(ctx); err != nil {
		p.logError("creating the event stream", err) // services start without NATS; the duty goes on trying
	}
	for _, s := range p.services {
		if err := p.wire(ctx, dutyCtx, s, js); err != nil {
			return fmt.Errorf("starting %s: %w", s.Name, err)
		}
	}
	p.duties.Go(func() {
		keep := periodic.Duty{Name: "event stream", Every: keepStreamEvery, RunOnce: keeper.runOnce, Log: p.log}
		p.logError("keeping the event stream", keep.Run(dutyCtx))
	})
	p.duties.Go(func() { collectLate(dutyCtx) })
	p.duties.Go(func() { p.logError("auditing", p.auditor.Watch(dutyCtx, p.config.AuditEvery)) })
	p.duties.Go(func() { p.logError("operating on dead letters", p.letters.Run(dutyCtx)) })
	return p.listen()
}

// keepStreamEvery is how soon the stream of events is there again after it was deleted.
const keepStreamEvery = 5 * time.Second

// streamKeeper sees to it that the stream of events exists, also when NATS comes up later or loses it.
type streamKeeper struct {
	js       jetstream.JetStream
	replicas int
	ensured  bool // as configured, in this process' life
}

// runOnce creates the stream, or brings it to its configuration the first time.
func (k *streamKeeper) runOnce(ctx context.Context) (again bool, err error) {
	if !k.js.Conn().IsConnected() {
		return false, nil // the connection's own log says so
	}
	if k.ensured {
		if _, err := k.js.Stream(ctx, bus.Stream); !errors.Is(err, jetstream.ErrStreamNotFound) {
			return false, err
		}
	}
	err = bus.EnsureStream(ctx, k.js, k.replicas)
	k.ensured = err == nil
	return false, err
}

// name is the service's, or the system's when several run in the process.
func (p *Process) name() string {
	if len(p.services) == 1 {
		return p.services[0].Name
	}
	return "tieout"
}

func (p *Process) connectNATS() (jetstream.JetStream, error) {
	nc, err := nats.Connect(p.config.NATS.URL,
		nats.Name("tieout "+p.name()),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(500*time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { p.logError("lost NATS", err) }), // nil at an orderly close
		nats.ReconnectHandler(func(*nats.Conn) { p.log.Info("back on NATS") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			p.log.Warn("NATS error", slog.Any("error", err))
		}))
	if err != nil {
		return nil, fmt.Errorf("connecting to NATS: %w", err)
	}
	p.onStop(nc.Close)
	_, err = p.telemetry.Meters.Meter("github.com/tieout/tieout/pkg/service").Int64ObservableGauge("tieout.nats.connected",
		metric.WithDescription("1 while the process is connected to NATS."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			var connected int64
			if nc.IsConnected() {
				connected = 1
			}
			o.Observe(connected)
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("making metric of NATS: %w", err)
	}
	return jetstream.New(nc)
}

// wire gives a service its pool and env, and runs its wiring.
func (p *Process) wire(ctx, dutyCtx context.Context, s Service, js jetstream.JetStream) error {
	tracers := p.telemetry.Tracers(s.Name)
	var pool *pgxpool.Pool
	if !s.Stateless {
		var err error
		if pool, err = p.openPool(ctx, s, tracers); err != nil {
			return err
		}
		p.auditor.Add(s.Name, pool)
	}
	return s.Run(ctx, &Env{
		Name: s.Name, Log: p.logs.Logger(s.Name),
		Tracer: tracers.Tracer("github.com/tieout/tieout/services/" + s.Name),
		Meter:  p.telemetry.Meters.Meter("github.com/tieout/tieout/services/" + s.Name),
		Pool:   pool, JetStream: js, StreamReplicas: p.config.NATS.Replicas, GRPC: p.server, HTTP: p.mux, Stopping: p.stopping,
		ctx: dutyCtx, process: p,
	})
}

// openPool connects to a service's database, which has to be there and migrated.
func (p *Process) openPool(ctx context.Context, s Service, tracers trace.TracerProvider) (*pgxpool.Pool, error) {
	if s.Postgres.DSN == "" {
		return nil, errors.New("postgres.dsn is not set")
	}
	pool, err := pg.Open(ctx, pg.Config{
		DSN: s.Postgres.DSN, MaxConns: s.Postgres.MaxConns, Reserved: s.Postgres.MaxConns / 4, ApplicationName: "tieout " + s.Name,
		Tracer: otelpgx.NewTracer(otelpgx.WithTracerProvider(tracers), otelpgx.WithMeterProvider(p.telemetry.Meters),
			otelpgx.WithMeterAttributes(serviceKey.String(s.Name))),
	})
	if err != nil {
		return nil, err
	}
	p.onStop(pool.Close)
	if err := otelpgx.RecordStats(pool, otelpgx.WithStatsMeterProvider(p.telemetry.Meters), otelpgx.WithStatsAttributes(serviceKey.String(s.Name))); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.StartTimeout)
	defer cancel()
	if err := pg.WaitReady(ctx, pool); err != nil {
		return nil, err
	}
	return pool, checkMigrated(ctx, s)
}

func checkMigrated(ctx context.Context, s Service) error {
	statuses, err := pg.Status(ctx, s.Postgres.DSN, s.Migrations...)
	if err != nil {
		return err
	}
	for _, m := range statuses {
		if m.Pending() {
			return fmt.Errorf("%w (%s is at %d of %d): run `tieout migrate up`", ErrNotMigrated, m.Set, m.Applied, m.Latest)
		}
	}
	return nil
}

// GRPCAddr is the address that gRPC is served on.
func (p *Process) GRPCAddr() string { return p.grpcAddr.String() }

// HTTPAddr is the address that health and metrics are served on.
func (p *Process) HTTPAddr() string { return p.httpAddr.String() }

// Log is the process' logger.
func (p *Process) Log() *slog.Logger { return p.log }

// Failed gives the error of a duty that ended on its own; the process should then be stopped.
func (p *Process) Failed() <-chan error { return p.failed }

func (p *Process) fail(err error) {
	select {
	case p.failed <- err:
	default:
	}
}

func (p *Process) runs(name string) bool {
	return slices.ContainsFunc(p.services, func(s Service) bool { return s.Name == name })
}

func (p *Process) dialMemory(ctx context.Context, _ string) (net.Conn, error) {
	return p.memory.DialContext(ctx)
}

func (p *Process) onStop(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closers = append(p.closers, f)
}

func (p *Process) logError(what string, err error) {
	if err != nil {
		p.log.Warn(what, slog.Any("error", err))
	}
}
