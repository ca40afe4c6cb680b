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
}

// DefaultConfig is the configuration where nothing else is said.
func DefaultConfig() Config {
	return Config{Postgres: service.Postgres{MaxConns: 12}, IdempotencyTTL: 24 * time.Hour}
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
func Run(_ context.Context, env *service.Env, cfg Config) error {
	_, err := wire(env, cfg)
	return err
}

func wire(env *service.Env, cfg Config) (*reconciliation, error) {
	imports, err := newImportMetrics(env.Meter)
	if err != nil {
		return nil, err
	}
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	r := &reconciliation{
		pool: env.Pool, outbox: events, watchers: watch.New(env.Stopping), log: env.Log, keyTTL: cfg.IdempotencyTTL,
		imports: imports, read: formats.Read, detect: formats.Detect, pieceRows: pieceRows,
	}
	register(env.GRPC, r)
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	env.Go("import sweep", periodic.Duty{Name: "import sweep", Every: sweepEvery, RunOnce: r.sweepOnce, Log: env.Log}.Run)
	return r, nil
}
