package shipment

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
	"github.com/tieout/tieout/services/shipment/carrier"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// BatchPatience is how long a batch waits for the carrier; what has not ended by then is answered as in flight, and
	// goes on.
	BatchPatience time.Duration `koanf:"batch_patience"`
	// Simulator is how the simulated carriers take their time.
	Simulator carrier.SimulatorConfig `koanf:"simulator"`
}

// DefaultConfig is the configuration where nothing else is said.
func DefaultConfig() Config {
	return Config{Postgres: service.Postgres{MaxConns: 16}, BatchPatience: 500 * time.Millisecond, Simulator: carrier.DefaultSimulator()}
}

//go:embed sql/migrations/*.sql
var migrations embed.FS

// Migrations are what the service's database needs.
func Migrations() []pg.Migrations {
	return []pg.Migrations{idem.Migrations, outbox.Migrations, pg.Embedded("shipment", migrations, "sql/migrations")}
}

// Run wires the service into env, with simulated carriers.
func Run(_ context.Context, env *service.Env, cfg Config) error {
	return wire(env, cfg, simulated(cfg.Simulator))
}

// simulated are the carriers that there are: one that offers every level, and one that knows no haste.
func simulated(cfg carrier.SimulatorConfig) carrier.Directory {
	return carrier.Directory{Default: "simulator", Carriers: map[string]carrier.Carrier{
		"simulator":         carrier.NewSimulator(cfg),
		"simulator-economy": carrier.NewSimulator(cfg, carrier.Standard),
	}}
}

func wire(env *service.Env, cfg Config, carriers carrier.Directory) error {
	if cfg.BatchPatience <= 0 {
		return errors.New("batch_patience must be more than zero")
	}
	if err := cfg.Simulator.Validate(); err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	s := &shipments{pool: env.Pool, outbox: events, carriers: carriers, log: env.Log, tracer: env.Tracer}
	schedule, err1 := service.NewIdleGroup(env, "schedule", s.beginSchedule)
	lookUp, err2 := service.NewIdleGroup(env, "lookup", s.beginLookUp)
	cancel, err3 := service.NewIdleGroup(env, "cancel", s.beginCancel)
	end, err4 := service.NewIdleGroup(env, "end", s.end)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	crew := errand.NewCrew(atOnce)
	s.ends = end
	s.schedules = errand.New(errand.Config[*scheduleCommand, ending, *shipment]{
		Method: methodSchedule, Crew: crew, Begin: schedule.DoAll, Work: s.schedule, End: s.finish,
		Limit: limit, Patience: cfg.BatchPatience, Log: env.Log,
	})
	s.lookUps = errand.New(errand.Config[*scheduleCommand, ending, *shipment]{
		Method: methodSchedule, Crew: crew, Begin: lookUp.DoAll, Work: s.lookUp, End: s.finish,
		Limit: limit, Patience: cfg.BatchPatience, Log: env.Log,
	})
	s.cancels = errand.New(errand.Config[*cancelCommand, ending, *shipment]{
		Method: methodCancel, Crew: crew, Begin: cancel.DoAll, Work: s.cancel, End: s.finish,
		Limit: limit, Patience: cfg.BatchPatience, Log: env.Log,
	})
	register(env.GRPC, s)
	env.Go("errands to the carrier", func(ctx context.Context) error {
		return crew.Run(ctx, schedule.Run, lookUp.Run, cancel.Run, end.Run)
	})
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	return nil
}
