package orchestrator

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// IdempotencyTTL is how long the answer to a client's key is given again; afterwards the key is refused.
	IdempotencyTTL time.Duration `koanf:"idempotency_ttl"`
	// Lease is how long a replica that says nothing more is still taken for the owner of its shards: 1 s or more. It
	// is renewed three times in that time. One that dies is replaced when it has passed.
	Lease time.Duration `koanf:"lease"`
	// Watch is how watches of orders are served.
	Watch Watch `koanf:"watch"`
	// SlowTrace is how long an order may take before it is traced, whatever share of the orders is.
	SlowTrace time.Duration `koanf:"slow_trace"`
	// InventoryAddr, PaymentAddr and ShipmentAddr are where the participants are; empty for one that runs in the
	// same process.
	InventoryAddr string `koanf:"inventory_addr"`
	PaymentAddr   string `koanf:"payment_addr"`
	ShipmentAddr  string `koanf:"shipment_addr"`
}

// DefaultConfig is the configuration where nothing else is said.
func DefaultConfig() Config {
	return Config{
		Postgres: service.Postgres{MaxConns: 24}, IdempotencyTTL: 24 * time.Hour, Lease: 5 * time.Second, SlowTrace: 10 * time.Second,
		Watch: Watch{Heartbeat: 15 * time.Second, Patience: 30 * time.Second},
	}
}

// serviceName is the source of the service's events.
const serviceName = "orchestrator"

//go:embed sql/migrations/*.sql
var migrations embed.FS

// Migrations are what the service's database needs.
func Migrations() []pg.Migrations {
	return []pg.Migrations{
		idem.Migrations, outbox.Migrations, inbox.Migrations, pg.Embedded("orchestrator", migrations, "sql/migrations"),
	}
}

// Run wires the service into env.
func Run(ctx context.Context, env *service.Env, cfg Config) error {
	_, err := wire(ctx, env, cfg, orderSagas...)
	return err
}

// wire is Run with versions of the order saga, the newest last.
func wire(ctx context.Context, env *service.Env, cfg Config, versions ...saga.Definition) (*orchestrator, error) {
	if cfg.Lease < time.Second {
		return nil, fmt.Errorf("orchestrator.lease: %s is less than 1s", cfg.Lease)
	}
	if cfg.SlowTrace <= 0 {
		return nil, fmt.Errorf("orchestrator.slow_trace: %s is not more than 0s", cfg.SlowTrace)
	}
	orders, err := newOrders(env, cfg.Watch)
	if err != nil {
		return nil, err
	}
	p, err := dialPeers(env, cfg)
	if err != nil {
		return nil, err
	}
	metrics, err := newEngineMetrics(env.Meter)
	if err != nil {
		return nil, err
	}
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	watchers, waker, actions := watch.New(env.Stopping), newWaker(env.JetStream.Conn(), env.Log), p.actions()
	known, err := registered(ctx, env.Pool, actions, append(versions, recurringV1)...)
	if err != nil {
		return nil, err
	}
	engine := &engine{
		pool: env.Pool, outbox: events, log: env.Log, tracer: env.Tracer, slow: cfg.SlowTrace, metrics: metrics,
		definitions: known, watchers: watchers, orders: orders, waker: waker, stopping: env.Stopping,
		shards: newShards(env.Pool, env.Log, cfg.Lease, waker.freed),
	}
	standby, err := newStandby(env)
	if err != nil {
		return nil, err
	}
	engine.databaseIsAway = standby.isNeeded
	engine.prepare(actions)
	engine.backlog = env.Backlog(engine.backlogConfig())
	o := &orchestrator{
		pool: env.Pool, outbox: events, engine: engine, catalogue: newCatalogue(p.unknownSKUs), watchers: watchers, orders: orders,
		keyTTL: cfg.IdempotencyTTL, newest: versions[len(versions)-1], standby: standby,
	}
	o.bulk = &bulk{pool: env.Pool, watchers: watchers, log: env.Log, wake: periodic.NewBell(), load: engine.loadAll, record: engine.record, recorded: o.recorded}
	if err := errors.Join(o.gather(env), engine.observe(env.Meter)); err != nil {
		return nil, err
	}
	register(env.GRPC, o)
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	env.Consume(timelineConsumer(engine.told))
	env.Go("engine", engine.run)
	env.Go("watches", orders.Run)
	env.Go("bulk operations", o.bulk.run)
	env.Go("intake drain", (&drainer{orchestrator: o, log: env.Log}).run)
	return o, nil
}
