package payment

import (
	"context"
	"embed"
	"fmt"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/payment/provider"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// Provider is the payment provider.
	Provider provider.SimConfig `koanf:"provider"`
}

// DefaultConfig is the configuration where nothing else is said; the provider's URL has no default.
func DefaultConfig() Config {
	return Config{Postgres: service.Postgres{MaxConns: 16}, Provider: provider.DefaultSimConfig()}
}

//go:embed sql/migrations/*.sql
var migrations embed.FS

// Migrations are what the service's database needs.
func Migrations() []pg.Migrations {
	return []pg.Migrations{idem.Migrations, outbox.Migrations, pg.Embedded("payment", migrations, "sql/migrations")}
}

// Run wires the service into env.
func Run(_ context.Context, env *service.Env, cfg Config) error {
	psp, err := provider.NewSim(cfg.Provider, provider.Instruments{Log: env.Log, Meter: env.Meter, Tracer: env.Tracer})
	if err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	register(env.GRPC, &payments{pool: env.Pool, outbox: events, provider: psp, log: env.Log})
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	return nil
}
