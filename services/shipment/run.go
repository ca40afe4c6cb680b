package shipment

import (
	"context"
	"embed"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
}

// DefaultConfig is the configuration where nothing else is said.
func DefaultConfig() Config { return Config{Postgres: service.Postgres{MaxConns: 16}} }

//go:embed sql/migrations/*.sql
var migrations embed.FS

// Migrations are what the service's database needs.
func Migrations() []pg.Migrations {
	return []pg.Migrations{idem.Migrations, outbox.Migrations, pg.Embedded("shipment", migrations, "sql/migrations")}
}

// Run wires the service into env, with the simulated carrier.
func Run(_ context.Context, env *service.Env, _ Config) error {
	wire(env, carrier.Simulator{})
	return nil
}

func wire(env *service.Env, by carrier.Carrier) {
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	register(env.GRPC, &shipments{pool: env.Pool, outbox: events, carrier: by, log: env.Log})
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
}
