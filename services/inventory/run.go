package inventory

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/tieout/tieout/pkg/cache"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
)

// Config is the service's configuration.
type Config struct {
	Postgres service.Postgres `koanf:"postgres"`
	// IdempotencyTTL is how long the answer to a client's key is given again; afterwards the key is refused.
	IdempotencyTTL time.Duration `koanf:"idempotency_ttl"`
	// ExpireEvery is how often reservations whose time is over are looked for.
	ExpireEvery time.Duration `koanf:"expire_every"`
	// ProjectEvery is how often new events are taken into the daily movements. Nobody waits for them, and an idle
	// replica is to ask less than twice a second, all in all.
	ProjectEvery time.Duration `koanf:"project_every"`
	// Cache is how reads of stock and items are cached; docs/caching.md says when they should not be.
	Cache cache.Settings `koanf:"cache"`
}

// DefaultConfig is the configuration where nothing else is said.
func DefaultConfig() Config {
	return Config{
		Postgres: service.Postgres{MaxConns: 16}, IdempotencyTTL: 24 * time.Hour, ExpireEvery: time.Second,
		ProjectEvery: 5 * time.Second, Cache: cache.DefaultSettings(),
	}
}

//go:embed sql/migrations/*.sql
var migrations embed.FS

// Migrations are what the service's database needs.
func Migrations() []pg.Migrations {
	return []pg.Migrations{idem.Migrations, outbox.Migrations, pg.Embedded("inventory", migrations, "sql/migrations")}
}

// Run wires the service into env.
func Run(_ context.Context, env *service.Env, cfg Config) error {
	_, err := wire(env, cfg)
	return err
}

func wire(env *service.Env, cfg Config) (*inventory, error) {
	events := outbox.New(outbox.Config{Pool: env.Pool, Service: env.Name, Log: env.Log, Meter: env.Meter})
	s := &inventory{pool: env.Pool, outbox: events, tracer: env.Tracer, keyTTL: cfg.IdempotencyTTL}
	var errs [6]error
	s.reserves, errs[0] = service.NewGroup(env, "reserve", s.reserve)
	s.releases, errs[1] = service.NewGroup(env, "release", s.release)
	s.commits, errs[2] = service.NewGroup(env, "commit", s.commit)
	s.receipts, errs[3] = service.NewGroup(env, "receive", s.receive)
	s.adjusts, errs[4] = service.NewGroup(env, "adjust", s.adjust)
	s.caches, errs[5] = newCaches(env, cfg.Cache)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	register(env.GRPC, s)
	env.Go("expiry", periodic.Duty{Name: "expiry", Every: cfg.ExpireEvery, RunOnce: s.expireOnce, Log: env.Log}.Run)
	env.Go("daily movements", periodic.Duty{Name: "daily movements", Every: cfg.ProjectEvery, RunOnce: s.projectOnce, Log: env.Log}.Run)
	env.Go("outbox relay", func(ctx context.Context) error { return events.Run(ctx, env.JetStream) })
	return s, nil
}
