package payment

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/payment/provider"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// Provider is the payment provider.
	Provider provider.Config `koanf:"provider"`
	// BatchPatience is how long a batch waits while none of its requests gets done; what has not ended then is
	// answered as in flight, and goes on.
	BatchPatience time.Duration `koanf:"batch_patience"`
}

// DefaultConfig is the configuration where nothing else is said; the provider's URL has no default.
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
	s, err := wire(env, cfg)
	if err != nil {
		return err
	}
	for name, duty := range map[string]func(context.Context) error{
		"breaker events": s.tellBreaker,
		"hold":           periodic.Duty{Name: "hold", Every: holdEvery, RunOnce: s.keepHold, Log: env.Log}.Run,
		"resolver":       periodic.Duty{Name: "resolver", Every: resolveEvery, RunOnce: s.resolveOnce, Log: env.Log}.Run,
		"webhooks":       periodic.Duty{Name: "webhooks", Every: applyEvery, RunOnce: s.applyWebhooks, Log: env.Log, Wake: s.webhooks, Gap: webhookGap}.Run,
	} {
		env.Go(name, duty)
	}
	return nil
}

// wire makes what answers requests.
func wire(env *service.Env, cfg Config) (*payments, error) {
	if cfg.BatchPatience <= 0 {
		return nil, errors.New("batch_patience must be more than zero")
	}
	changes := make(chan provider.BreakerState, 16)
	account, err := provider.New(cfg.Provider, provider.Instruments{
		Log: env.Log, Meter: env.Meter, Tracer: env.Tracer,
		OnBreakerChange: func(_, to provider.BreakerState) {
			select {
			case changes <- to:
			default: // the metric tells it
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	s := &payments{pool: env.Pool, outbox: events, provider: account, breaker: changes, webhooks: periodic.NewBell(), log: env.Log, tracer: env.Tracer}
	in, err := newIntake(env, account, s.webhooks)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.startErrands(env, cfg.BatchPatience), s.observe(env.Meter)); err != nil {
		return nil, err
	}
	env.HTTP.Handle("POST "+WebhookPath, in)
	register(env.GRPC, s)
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	return s, nil
}

// startErrands makes what runs the commands: one group for the intents of each kind, and one for all outcomes.
func (s *payments) startErrands(env *service.Env, patience time.Duration) error {
	fresh, err1 := service.NewIdleGroup(env, "new", s.beginNew)
	further, err2 := service.NewIdleGroup(env, "further", s.beginFurther)
	undone, err3 := service.NewIdleGroup(env, "undo", s.beginUndo)
	outcomes, err4 := service.NewIdleGroup(env, "outcome", s.end)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	s.outcomes = outcomes
	crew := errand.NewCrew(inProcess)
	s.errands = map[method]*errand.Errands[*command, ending, *payment]{}
	for m, group := range map[method]*groupcommit.Group[*command, idem.Begun[*payment]]{
		methodCharge: fresh, methodAuthorize: fresh, methodRefund: undone, methodVoid: undone,
		methodCapture: further, methodRefundPayment: further, methodVoidPayment: further,
	} {
		s.errands[m] = errand.New(errand.Config[*command, ending, *payment]{
			Method: string(m), Crew: crew, Begin: group.DoAll, Work: s.work, End: s.conclude,
			Limit: s.lease(), Patience: patience, Log: env.Log,
		})
	}
	env.Go("commands", func(ctx context.Context) error {
		return crew.Run(ctx, fresh.Run, further.Run, undone.Run, outcomes.Run)
	})
	return nil
}
