package dev

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tieout/tieout/pkg/bus/local"
	redislocal "github.com/tieout/tieout/pkg/cache/local"
	"github.com/tieout/tieout/pkg/pg"
	pglocal "github.com/tieout/tieout/pkg/pg/local"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// leastProcs is how many processors Go should take itself to have; on a single core oneCoreProcs, see docs/performance.md.
const (
	leastProcs   = 4
	oneCoreProcs = 16
)

// stopLimit is how long Postgres and the provider may take to stop, each.
const stopLimit = 20 * time.Second

const (
	// webhookDelay is how long after its effect the provider tells of it, as real ones do: by then it has answered as well.
	webhookDelay = time.Second
	// hurryLimit is how long the stop may take to have it tell what it has not told.
	hurryLimit = 2 * time.Second
)

// Options say what to run, and where.
type Options struct {
	// Dir is the data directory; may be empty when Ephemeral.
	Dir string
	// Ephemeral keeps the data in a temporary directory, removed at the end; ready.json and the log are in Dir, if any.
	Ephemeral bool
	// GRPC and HTTP are where to serve.
	GRPC, HTTP Address
	// Config is the process' configuration but for its addresses.
	Config service.Config
	// Redis starts a private Redis, a primary and a replica, for the services to share what they cache.
	Redis bool
	// Services gives all services, once it is known where everything else is. Their databases are set here.
	Services func(Parts) []service.Service
	// ProviderURL is a payment provider's simulator that runs by itself, and tells nobody unless it is told whom. Empty has one
	// started, which tells the services.
	ProviderURL string
	// WebhookPath is where the services take the provider's webhooks.
	WebhookPath string
	// Note is told what the user should know.
	Note func(text string)
}

// Parts are what services are told of the rest of the system.
type Parts struct {
	// ProviderURL is the payment provider's simulator that was started, and WebhookSecret what it signs its webhooks with; empty when
	// none was.
	ProviderURL, WebhookSecret string
	// RedisPrimary and RedisReplica are URLs; empty without Redis.
	RedisPrimary, RedisReplica string
}

// System is the running system.
type System struct {
	// Ready says where things are.
	Ready Ready
	// Dir is the data directory.
	Dir string
	// Log is the path of the log.
	Log string

	process *service.Process
	psp     *pspsim.Server // nil when it runs by itself
	secret  string         // of its webhooks, new at each start
	stops   []func() error // last to first
}

// Start starts everything and returns when it serves and ready.json says so. On an error nothing is left running.
func Start(ctx context.Context, opts Options) (*System, error) {
	s := &System{}
	if err := s.start(ctx, opts); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *System) start(ctx context.Context, opts Options) error {
	d, err := openDirectory(opts.Dir, opts.Ephemeral)
	if err != nil {
		return err
	}
	s.Dir = d.path
	s.onStop(d.close)
	if err := opts.chooseAddresses(); err != nil {
		return err
	}
	file, err := d.openLog()
	if err != nil {
		return err
	}
	s.Log = file.Name()
	s.onStop(file.Close)
	services, err := s.startServers(ctx, d, telemetry.NewLogger(file, slog.LevelInfo), opts)
	if err != nil {
		return err
	}
	opts.Config.NATS.URL, opts.Config.NATS.Replicas = s.Ready.NATS, 1
	if err := migrate(ctx, services); err != nil {
		return err
	}
	if s.process, err = service.Start(ctx, opts.Config, file, services...); err != nil {
		return err
	}
	s.onStop(s.process.Stop)
	if s.psp != nil {
		s.psp.SetWebhooks(pspsim.Webhooks{
			URL: "http://" + s.process.HTTPAddr() + opts.WebhookPath, Secret: s.secret, DelayMillis: int(webhookDelay.Milliseconds()),
		})
		s.onStop(s.hurryWebhooks)
	}
	s.Ready.GRPC = s.process.GRPCAddr()
	s.Ready.HTTP = "http://" + s.process.HTTPAddr()
	s.Ready.Metrics = s.Ready.HTTP + "/metrics"
	s.onStop(d.removeReady)
	return d.writeReady(s.Ready)
}

// chooseAddresses puts the addresses to serve on into the configuration.
func (opts *Options) chooseAddresses() error {
	for _, a := range []struct {
		name   string
		wanted Address
		chosen *string
	}{{"gRPC", opts.GRPC, &opts.Config.GRPC.Addr}, {"HTTP", opts.HTTP, &opts.Config.HTTP.Addr}} {
		addr, err := a.wanted.free()
		if err != nil {
			return err
		}
		if addr != a.wanted.Addr {
			opts.Note(fmt.Sprintf("%s is busy: %s is on %s", a.wanted.Addr, a.name, addr))
		}
		*a.chosen = addr
	}
	return nil
}

// enoughProcs has Go schedule onto some threads also where there are few cores, unless somebody has said otherwise. The streams
// and the simulator's journal, which run in this process, sync each write, and who syncs holds one of Go's processors until
// the disk has answered: with a single one, everything would wait for each of them. On a single core they are more, for the one
// that runs out of work is the one that looks what has come in.
func enoughProcs() {
	least := leastProcs
	if runtime.NumCPU() == 1 {
		least = oneCoreProcs
	}
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < least {
		runtime.GOMAXPROCS(least)
	}
}

// startServers starts what the services need, and gives them with their databases.
func (s *System) startServers(ctx context.Context, d *directory, log *slog.Logger, opts Options) ([]service.Service, error) {
	dir, closed, err := d.postgres()
	if err != nil {
		return nil, err
	}
	if closed != "" {
		opts.Note(fmt.Sprintf("Postgres does not run as root and may not pass %s: its files are in %s", closed, dir))
	}
	postgres, err := pglocal.Start(ctx, pglocal.Options{Dir: dir, Sync: true})
	if err != nil {
		return nil, err
	}
	s.onStop(func() error { return within(postgres.Stop) })
	s.Ready.Postgres = postgres.DSN("postgres")

	enoughProcs()
	nats, err := local.Start(local.Options{Dir: d.dataFile("nats"), Log: log})
	if err != nil {
		return nil, err
	}
	s.onStop(func() error { nats.Shutdown(); return nil })
	s.Ready.NATS = nats.URL()

	parts := Parts{}
	if s.Ready.PSP = opts.ProviderURL; s.Ready.PSP == "" {
		if err := s.startProvider(ctx, d, log); err != nil {
			return nil, err
		}
		parts.ProviderURL, parts.WebhookSecret = s.Ready.PSP, s.secret
	}
	if opts.Redis {
		if err := s.startRedis(ctx, d); err != nil {
			return nil, err
		}
		parts.RedisPrimary, parts.RedisReplica = s.Ready.Redis, s.Ready.RedisReplica
	}
	services := opts.Services(parts)
	for i, one := range services {
		if one.Stateless {
			continue
		}
		if services[i].Postgres.DSN, err = postgres.EnsureDatabase(ctx, services[i].Name); err != nil {
			return nil, err
		}
	}
	return services, nil
}

// startProvider starts the payment provider's simulator. It ends with Close, after the services, and not with the signal.
func (s *System) startProvider(ctx context.Context, d *directory, log *slog.Logger) (err error) {
	if s.psp, err = pspsim.Start(context.WithoutCancel(ctx), pspsim.Options{Journal: d.dataFile("psp.jsonl"), Log: log}); err != nil {
		return err
	}
	s.onStop(func() error { return within(s.psp.Close) })
	s.Ready.PSP, s.secret = s.psp.URL(), rand.Text()
	return nil
}

// startRedis starts a primary and a replica.
func (s *System) startRedis(ctx context.Context, d *directory) error {
	primary, err := redislocal.Start(ctx, redislocal.Options{Dir: d.dataFile("redis-primary")})
	if err != nil {
		return err
	}
	s.onStop(func() error { primary.Stop(); return nil })
	replica, err := redislocal.Start(ctx, redislocal.Options{Dir: d.dataFile("redis-replica"), Primary: primary})
	if err != nil {
		return err
	}
	s.onStop(func() error { replica.Stop(); return nil })
	s.Ready.Redis, s.Ready.RedisReplica = primary.URL(), replica.URL()
	return nil
}

// migrate migrates all databases at once.
func migrate(ctx context.Context, services []service.Service) error {
	errs := make([]error, len(services))
	var migrations sync.WaitGroup
	for i, s := range services {
		if s.Stateless {
			continue
		}
		migrations.Go(func() {
			if err := pg.Migrate(ctx, s.Postgres.DSN, s.Migrations...); err != nil {
				errs[i] = fmt.Errorf("migrating %s: %w", s.Name, err)
			}
		})
	}
	migrations.Wait()
	return errors.Join(errs...)
}

// hurryWebhooks has the provider tell what it has not told while there is somebody to tell: what waits is lost when it ends, and
// nobody else tells of a chargeback.
func (s *System) hurryWebhooks() error {
	ctx, cancel := context.WithTimeout(context.Background(), hurryLimit)
	defer cancel()
	s.psp.HurryWebhooks(ctx)
	return nil
}

func within(stop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	return stop(ctx)
}

func (s *System) onStop(f func() error) { s.stops = append(s.stops, f) }

// Failed gives the error of a service's duty that ended on its own; the system should then be stopped.
func (s *System) Failed() <-chan error { return s.process.Failed() }

// Stop stops everything in order: no webhook waits any more, no new work, the services, Redis, the provider, NATS, Postgres;
// then the directory is unlocked, and removed if ephemeral. It may be called once.
func (s *System) Stop() error {
	var errs []error
	for _, stop := range slices.Backward(s.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}
