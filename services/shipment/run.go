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
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// BatchPatience is how long a batch waits while the carrier answers none; what has not ended then is in flight, and
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
	s, err := wire(env, cfg, simulated(cfg.Simulator))
	if err != nil {
		return err
	}
	env.Go("tracker", periodic.Duty{Name: "tracker", Every: lookEvery, RunOnce: s.lookOnce, Log: env.Log}.Run)
	return nil
}

// simulated are the carriers that there are: one that offers every level, and one that knows no haste.
func simulated(cfg carrier.SimulatorConfig) carrier.Directory {
	return carrier.Directory{Default: "simulator", Carriers: map[string]carrier.Carrier{
		"simulator":         carrier.NewSimulator(cfg),
		"simulator-economy": carrier.NewSimulator(cfg, carrier.Standard),
	}}
}

// wire makes what answers requests.
func wire(env *service.Env, cfg Config, carriers carrier.Directory) (*shipments, error) {
	if cfg.BatchPatience <= 0 {
		return nil, errors.New("batch_patience must be more than zero")
	}
	if err := cfg.Simulator.Validate(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	s := &shipments{pool: env.Pool, outbox: events, carriers: carriers, log: env.Log, tracer: env.Tracer}
	if err := s.startErrands(env, cfg.BatchPatience); err != nil {
		return nil, err
	}
	var err error
	if s.reports, err = service.NewGroup(env, "tracking", s.takeDown); err != nil {
		return nil, err
	}
	if err := s.observe(env.Meter); err != nil {
		return nil, err
	}
	register(env.GRPC, s)
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	return s, nil
}

// startErrands makes what asks the carriers on request.
func (s *shipments) startErrands(env *service.Env, patience time.Duration) error {
	schedule, err1 := service.NewIdleGroup(env, "schedule", s.beginSchedule)
	lookUp, err2 := service.NewIdleGroup(env, "lookup", s.beginLookUp)
	cancel, err3 := service.NewIdleGroup(env, "cancel", s.beginCancel)
	decide, err4 := service.NewIdleGroup(env, "decide", s.beginDecision)
	end, err5 := service.NewIdleGroup(env, "end", s.end)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	crew := errand.NewCrew(atOnce)
	s.ends = end
	s.schedules = errand.New(errand.Config[*scheduleCommand, ending, *shipment]{
		Method: methodSchedule, Crew: crew, Begin: schedule.DoAll, Work: s.schedule, End: s.finish,
		Limit: limit, Patience: patience, Log: env.Log,
	})
	s.lookUps = errand.New(errand.Config[*scheduleCommand, ending, *shipment]{
		Method: methodSchedule, Crew: crew, Begin: lookUp.DoAll, Work: s.lookUp, End: s.finish,
		Limit: limit, Patience: patience, Log: env.Log,
	})
	s.cancels = errand.New(errand.Config[*cancelCommand, ending, *shipment]{
		Method: methodCancel, Crew: crew, Begin: cancel.DoAll, Work: s.cancel, End: s.finish,
		Limit: limit, Patience: patience, Log: env.Log,
	})
	s.decisions = errand.New(errand.Config[*decision, ending, *shipment]{
		Method: methodCancelShipment, Crew: crew, Begin: decide.DoAll, Work: s.cancelDecided, End: s.finish,
		Limit: limit, Patience: patience, Log: env.Log,
	})
	env.Go("errands to the carriers", func(ctx context.Context) error {
		return crew.Run(ctx, schedule.Run, lookUp.Run, cancel.Run, decide.Run, end.Run)
	})
	return nil
}
