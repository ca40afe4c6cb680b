package shipment

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// Patience is how long a batch waits for the carrier; what takes longer is answered IDEMPOTENCY_KEY_IN_FLIGHT and
	// goes on.
	Patience time.Duration `koanf:"patience"`
}

// DefaultConfig is the configuration where nothing else is said.
func DefaultConfig() Config {
	return Config{Postgres: service.Postgres{MaxConns: 16}, Patience: 500 * time.Millisecond}
}

//go:embed sql/migrations/*.sql
var migrations embed.FS

// Migrations are what the service's database needs.
func Migrations() []pg.Migrations {
	return []pg.Migrations{idem.Migrations, outbox.Migrations, pg.Embedded("shipment", migrations, "sql/migrations")}
}

// Run wires the service into env, with the simulated carrier.
func Run(_ context.Context, env *service.Env, cfg Config) error {
	return wire(env, cfg, carrier.Simulator{})
}

func wire(env *service.Env, cfg Config, by carrier.Carrier) error {
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	s := &shipments{pool: env.Pool, outbox: events, carrier: by, log: env.Log, tracer: env.Tracer}
	schedule, err1 := newGroup(env, "schedule", s.beginSchedule)
	lookUp, err2 := newGroup(env, "lookup", s.beginLookUp)
	cancel, err3 := newGroup(env, "cancel", s.beginCancel)
	end, err4 := newGroup(env, "end", s.end)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	crew := errand.NewCrew(atOnce)
	s.ends = end
	s.schedules = errand.New(errand.Config[*scheduleCommand, ending, *shipment]{
		Method: methodSchedule, Crew: crew, Begin: schedule.DoAll, Work: s.schedule, End: s.finish,
		Limit: lease, Patience: cfg.Patience, Log: env.Log,
	})
	s.lookUps = errand.New(errand.Config[*scheduleCommand, ending, *shipment]{
		Method: methodSchedule, Crew: crew, Begin: lookUp.DoAll, Work: s.lookUp, End: s.finish,
		Limit: lease, Patience: cfg.Patience, Log: env.Log,
	})
	s.cancels = errand.New(errand.Config[*cancelCommand, ending, *shipment]{
		Method: methodCancel, Crew: crew, Begin: cancel.DoAll, Work: s.cancel, End: s.finish,
		Limit: lease, Patience: cfg.Patience, Log: env.Log,
	})
	register(env.GRPC, s)
	env.Go("errands to the carrier", func(ctx context.Context) error {
		return crew.Run(ctx, schedule.Run, lookUp.Run, cancel.Run, end.Run)
	})
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	return nil
}

// newGroup is service.NewGroup for a group that the crew runs.
func newGroup[W, R any](env *service.Env, name string,
	apply func(ctx context.Context, tx *pg.Tx, batch []W) ([]groupcommit.Result[R], error),
) (*groupcommit.Group[W, R], error) {
	return groupcommit.New(groupcommit.Config[W, R]{
		Name: env.Name + "." + name, Pool: env.Pool, Apply: apply, Log: env.Log, Meter: env.Meter,
	})
}
