package billing

import (
	"context"
	"embed"
	"time"
	_ "time/tzdata" // the zones of schedules, where the machine has none

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/watch"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// IdempotencyTTL is how long the answer to a client's key is given again; afterwards the key is refused.
	IdempotencyTTL time.Duration `koanf:"idempotency_ttl"`
	// OrchestratorAddr is where the orchestrator is; empty for one that runs in the same process.
	OrchestratorAddr string `koanf:"orchestrator_addr"`

	clock func() *time.Time // of schedules; nil for the database's
}

// DefaultConfig is the configuration where nothing else is said.
func DefaultConfig() Config {
	return Config{Postgres: service.Postgres{MaxConns: 12}, IdempotencyTTL: 24 * time.Hour}
}

// sweepEvery is how often is looked for uploads that broke off.
const sweepEvery = time.Minute

//go:embed sql/migrations/*.sql
var migrations embed.FS

// Migrations are what the service's database needs.
func Migrations() []pg.Migrations {
	return []pg.Migrations{idem.Migrations, outbox.Migrations, inbox.Migrations, pg.Embedded("billing", migrations, "sql/migrations")}
}

// Run wires the service into env.
func Run(_ context.Context, env *service.Env, cfg Config) error {
	_, err := wire(env, cfg)
	return err
}

func wire(env *service.Env, cfg Config) (*billing, error) {
	orchestrator, err := env.Dial("orchestrator", cfg.OrchestratorAddr)
	if err != nil {
		return nil, err
	}
	metrics, err := newMetrics(env.Meter)
	if err != nil {
		return nil, err
	}
	if err := observeProgress(env.Meter, env.Pool); err != nil {
		return nil, err
	}
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	b := &billing{
		pool: env.Pool, outbox: events, watchers: watch.New(env.Stopping), prove: periodic.NewBell(), log: env.Log,
		metrics: metrics, keyTTL: cfg.IdempotencyTTL, clock: cfg.clock,
	}
	if b.clock == nil {
		b.clock = func() *time.Time { return nil }
	}
	b.feeder = &feeder{
		pool: env.Pool, log: env.Log, start: startAt(orchestrator), settle: b.settle, cutOff: b.cutOff, nats: env.JetStream.Conn(),
		wake: periodic.NewBell(),
	}
	register(env.GRPC, b)
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	env.Consume(b.results())
	env.Go("feeder", b.feeder.run)
	env.Go("prover", periodic.Duty{Name: "prover", Every: proveEvery, RunOnce: b.proveOnce, Log: env.Log, Wake: b.prove}.Run)
	env.Go("dunning", periodic.Duty{Name: "dunning", Every: dunEvery, RunOnce: b.dunOnce, Log: env.Log}.Run)
	env.Go("schedules", periodic.Duty{Name: "schedules", Every: scheduleEvery, RunOnce: b.scheduleOnce, Log: env.Log}.Run)
	env.Go("upload sweep", periodic.Duty{Name: "upload sweep", Every: sweepEvery, RunOnce: b.sweepOnce, Log: env.Log}.Run)
	return b, nil
}
