package reconciliation

import (
	"context"
	"embed"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// IdempotencyTTL is how long the answer to a client's key is given again; afterwards the key is refused.
	IdempotencyTTL time.Duration `koanf:"idempotency_ttl"`
	// PaymentAddr is where the payment service is; empty for one that runs in the same process. So are the others.
	PaymentAddr      string `koanf:"payment_addr"`
	OrchestratorAddr string `koanf:"orchestrator_addr"`
	InventoryAddr    string `koanf:"inventory_addr"`
	ShipmentAddr     string `koanf:"shipment_addr"`
	// Every is how often a run begins by itself, when movements have come in or a day has gone by; 0 for never.
	Every time.Duration `koanf:"every"`
	// SigningKey is what runs are signed with: the 32 bytes of an Ed25519 seed, in base64. Empty for one that the service makes
	// and keeps in its database, which proves less: docs/reconciliation.md says what.
	SigningKey string `koanf:"signing_key"`
	// TieOut says when what the services did is compared.
	TieOut TieOutConfig `koanf:"tie_out"`
}

// DefaultConfig is the configuration where nothing else is said.
func DefaultConfig() Config {
	return Config{Postgres: service.Postgres{MaxConns: 12}, IdempotencyTTL: 24 * time.Hour, TieOut: defaultTieOut()}
}

// sweepEvery is how often is looked for imports that broke off.
const sweepEvery = time.Minute

//go:embed sql/migrations/*.sql
var migrations embed.FS

// Migrations are what the service's database needs.
func Migrations() []pg.Migrations {
	return []pg.Migrations{idem.Migrations, outbox.Migrations, inbox.Migrations, pg.Embedded("reconciliation", migrations, "sql/migrations")}
}

// Run wires the service into env.
func Run(ctx context.Context, env *service.Env, cfg Config) error {
	r, err := wire(ctx, env, cfg)
	if err != nil {
		return err
	}
	if r.ties, err = newTies(env, r, cfg); err != nil {
		return err
	}
	r.repairers, r.poster = r.ties.repairers(), r.ties.owners
	r.ties.start(env)
	return nil
}

func wire(ctx context.Context, env *service.Env, cfg Config) (*reconciliation, error) {
	r, err := newReconciliation(env, cfg)
	if err != nil {
		return nil, err
	}
	if err := r.ensureRules(ctx); err != nil {
		return nil, err
	}
	register(env.GRPC, r)
	env.Go("outbox relay", func(ctx context.Context) error { return r.outbox.Run(ctx, env.JetStream) })
	env.Go("runs", r.runner.run)
	env.Go("import sweep", periodic.Duty{Name: "import sweep", Every: sweepEvery, RunOnce: r.sweepOnce, Log: env.Log}.Run)
	env.Go("breaks", r.runBreaks)
	return r, nil
}

// newReconciliation makes what the use cases share.
func newReconciliation(env *service.Env, cfg Config) (*reconciliation, error) {
	key, err := parseSigningKey(cfg.SigningKey)
	if err != nil {
		return nil, err
	}
	r := &reconciliation{
		pool: env.Pool, watchers: watch.New(env.Stopping), log: env.Log, key: key, keyTTL: cfg.IdempotencyTTL,
		outbox: outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter}),
		read:   formats.Read, detect: formats.Detect, pieceRows: pieceRows, tieOut: cfg.TieOut, breakBell: periodic.NewBell(),
		slot: make(chan struct{}, 1), stopping: env.Stopping,
	}
	if r.imports, err = newImportMetrics(env.Meter); err != nil {
		return nil, err
	}
	if r.metrics, err = newMetrics(env.Meter); err != nil {
		return nil, err
	}
	if err := observeBacklog(env.Meter, env.Pool, cfg.Every > 0); err != nil {
		return nil, err
	}
	r.runner = &runner{
		reconciliation: r, every: cfg.Every, lock: pg.NewSessionLock(env.Pool, runLock), wake: periodic.NewBell(), pieceSize: pieceSize,
	}
	return r, nil
}
