package payment

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/payment/provider"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// Provider is the payment provider, and how it is reached.
	Provider provider.Config `koanf:"provider"`
	// BatchPatience is how long a batch of charges or refunds waits for those that take long; what has not ended by
	// then is answered as in flight, and goes on.
	BatchPatience time.Duration `koanf:"batch_patience"`
}

// DefaultConfig is the configuration where nothing else is said; the simulator's URL has no default.
func DefaultConfig() Config {
	return Config{
		Postgres: service.Postgres{MaxConns: 16}, Provider: provider.DefaultConfig(), BatchPatience: 500 * time.Millisecond,
	}
}

//go:embed sql/migrations/*.sql
var migrations embed.FS

// Migrations are what the service's database needs.
func Migrations() []pg.Migrations {
	return []pg.Migrations{idem.Migrations, outbox.Migrations, pg.Embedded("payment", migrations, "sql/migrations")}
}

// Run wires the service into env.
func Run(_ context.Context, env *service.Env, cfg Config) error {
	psp, err := provider.New(cfg.Provider, provider.Instruments{Log: env.Log, Meter: env.Meter, Tracer: env.Tracer})
	if err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	if cfg.BatchPatience <= 0 {
		return errors.New("batch_patience must be more than zero")
	}
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	s := &payments{pool: env.Pool, outbox: events, provider: psp, log: env.Log, tracer: env.Tracer}
	charges, err1 := service.NewIdleGroup(env, "charge", s.beginCharges)
	refunds, err2 := service.NewIdleGroup(env, "refund", s.beginRefunds)
	outcomes, err3 := service.NewIdleGroup(env, "outcome", s.end)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	s.outcomes = outcomes
	crew := errand.NewCrew(maxCalls)
	s.charges = errand.New(errand.Config[*chargeCommand, ending, *payment]{
		Method: methodCharge, Crew: crew, Begin: charges.DoAll, Work: s.charge, End: s.conclude,
		Limit: s.lease(), Patience: cfg.BatchPatience, Log: env.Log,
	})
	s.refunds = errand.New(errand.Config[*refundCommand, ending, *payment]{
		Method: methodRefund, Crew: crew, Begin: refunds.DoAll, Work: s.refund, End: s.conclude,
		Limit: s.lease(), Patience: cfg.BatchPatience, Log: env.Log,
	})
	register(env.GRPC, s)
	env.Go("charges and refunds", func(ctx context.Context) error {
		return crew.Run(ctx, charges.Run, refunds.Run, outcomes.Run)
	})
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	return nil
}
