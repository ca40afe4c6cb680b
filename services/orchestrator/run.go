package orchestrator

import (
	"context"
	"embed"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// IdempotencyTTL is how long the answer to a client's key is given again; afterwards the key is refused.
	IdempotencyTTL time.Duration `koanf:"idempotency_ttl"`
	// Concurrency is how many calls to participants are under way at once.
	Concurrency int `koanf:"concurrency"`
	// InventoryAddr, PaymentAddr and ShipmentAddr are where the participants are; empty for one that runs in the
	// same process.
	InventoryAddr string `koanf:"inventory_addr"`
	PaymentAddr   string `koanf:"payment_addr"`
	ShipmentAddr  string `koanf:"shipment_addr"`
}

// DefaultConfig is the configuration where nothing else is said.
func DefaultConfig() Config {
	return Config{Postgres: service.Postgres{MaxConns: 24}, IdempotencyTTL: 24 * time.Hour, Concurrency: 64}
}

//go:embed sql/migrations/*.sql
var migrations embed.FS

// Migrations are what the service's database needs.
func Migrations() []pg.Migrations {
	return []pg.Migrations{
		idem.Migrations, outbox.Migrations, inbox.Migrations, pg.Embedded("orchestrator", migrations, "sql/migrations"),
	}
}

// Run wires the service into env.
func Run(_ context.Context, env *service.Env, cfg Config) error {
	if cfg.Concurrency < 1 {
		return fmt.Errorf("orchestrator.concurrency: %d is not 1 or more", cfg.Concurrency)
	}
	p, err := dialPeers(env, cfg)
	if err != nil {
		return err
	}
	metrics, err := newEngineMetrics(env.Meter)
	if err != nil {
		return err
	}
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	watchers := newWatchers()
	engine := &engine{
		pool: env.Pool, outbox: events, log: env.Log, tracer: env.Tracer, metrics: metrics,
		definitions: definitions(), actions: p.actions(), watchers: watchers,
		slots: make(chan struct{}, cfg.Concurrency),
		lock:  pg.NewSessionLock(env.Pool, driverLock), stopping: env.Stopping,
		drivers: map[SagaID]chan struct{}{},
	}
	if err := checkDefinitions(engine.definitions, engine.actions); err != nil {
		return err
	}
	o := &orchestrator{
		pool: env.Pool, outbox: events, engine: engine, catalogue: newCatalogue(p.unknownSKUs), watchers: watchers,
		stopping: env.Stopping, keyTTL: cfg.IdempotencyTTL,
	}
	o.bulk = &bulk{
		pool: env.Pool, definitions: engine.definitions, watchers: watchers, log: env.Log, wake: make(chan struct{}, 1),
		record: engine.record, recorded: o.recorded,
	}
	if engine.transitions, err = service.NewGroup(env, "transitions", engine.record); err != nil {
		return err
	}
	if o.intake, err = service.NewGroup(env, "intake", o.placeAll); err != nil {
		return err
	}
	register(env.GRPC, o)
	timeline := inbox.New(inbox.Config{Pool: env.Pool, Log: env.Log, Meter: env.Meter, Tracer: env.Tracer}, timelineConsumer())
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	env.Go("timeline", func(ctx context.Context) error { return timeline.Run(ctx, env.JetStream) })
	env.Go("engine", engine.run)
	env.Go("bulk operations", o.bulk.run)
	return nil
}

func dialPeers(env *service.Env, cfg Config) (p peers, err error) {
	if p.inventory, err = env.Dial("inventory", cfg.InventoryAddr); err != nil {
		return p, err
	}
	if p.payment, err = env.Dial("payment", cfg.PaymentAddr); err != nil {
		return p, err
	}
	p.shipment, err = env.Dial("shipment", cfg.ShipmentAddr)
	return p, err
}
