package cache

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

const (
	// queued is how many writes may wait for Redis before more are dropped.
	queued = 4096
	// pipelined is how many writes travel together.
	pipelined = 256
)

//go:embed store.lua
var storeScript string

// Redis is the tier that replicas share. A nil one is none.
type Redis struct {
	primary *redisServer
	reading []*redisServer // the replica, if there is one, then the primary
	timeout time.Duration
	queue   chan write
	log     *slog.Logger
	metrics redisMetrics
}

// RedisConfig is what a Redis works with.
type RedisConfig struct {
	// Settings are the operator's; they must be valid.
	Settings RedisSettings
	// Log is told when a breaker opens or closes and, for debugging, of each error; nil discards.
	Log *slog.Logger
	// Meter makes the metrics; nil discards.
	Meter metric.Meter
}

// redisServer is one server, and what is known of its health.
type redisServer struct {
	name    string
	client  *redis.Client
	breaker *rpc.Breaker
}

// write is an entry on its way to Redis; without one, the key is removed.
type write struct {
	key   string
	entry []byte
	over  int64     // the highest version that it replaces
	until time.Time // when its life is over
	life  time.Duration
}

// OpenRedis prepares the tier; nil when the settings name none. Nothing is asked yet: the servers may be down, and may
// come and go. Run writes, and closes.
func OpenRedis(cfg RedisConfig) (*Redis, error) {
	s := cfg.Settings
	if s.PrimaryURL == "" {
		return nil, nil
	}
	if cfg.Meter == nil {
		cfg.Meter = noop.Meter{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Redis{timeout: s.Timeout, queue: make(chan write, queued), log: cfg.Log}
	var err error
	if r.metrics, err = newRedisMetrics(cfg.Meter); err != nil {
		return nil, fmt.Errorf("making metrics of Redis: %w", err)
	}
	if r.primary, err = openServer("primary", s.PrimaryURL, cfg); err != nil {
		return nil, err
	}
	if s.ReplicaURL != "" {
		replica, err := openServer("replica", s.ReplicaURL, cfg)
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.reading = append(r.reading, replica)
	}
	r.reading = append(r.reading, r.primary)
	return r, nil
}

func openServer(name, url string, cfg RedisConfig) (*redisServer, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("the URL of the %s is no URL of a Redis", name) // the error itself may quote the password
	}
	timeout := cfg.Settings.Timeout
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = timeout, timeout, timeout, timeout
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = -1, 1 // the database is there; asking again would only take longer
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	breaker, err := rpc.NewBreaker("redis "+name, rpc.BreakerConfig{
		MinimumCalls: 5, Down: func(err error) bool { return err != nil }, Log: cfg.Log, Meter: cfg.Meter,
	})
	if err != nil {
		return nil, err
	}
	return &redisServer{name, redis.NewClient(options), breaker}, nil
}

// do makes one call, within the time that calls have. That the caller went away says nothing about the server.
func (r *Redis) do(ctx context.Context, s *redisServer, call func(context.Context) error) error {
	err := s.breaker.Do(func() error {
		limited, cancel := context.WithTimeout(ctx, r.timeout)
		defer cancel()
		err := call(limited)
		if err != nil && ctx.Err() != nil {
			return context.Canceled
		}
		return err
	})
	switch {
	case err == nil || errors.Is(err, context.Canceled):
	case rpcerr.Is(err, rpcerr.DestinationDown):
		r.metrics.fellBack(ctx, s.name, causeOpen)
	default:
		r.metrics.fellBack(ctx, s.name, causeError)
		r.log.DebugContext(ctx, "redis does not help", slog.String("server", s.name), slog.Any("error", err))
	}
	return err
}

// read gives what is there of keys, nil for nothing; false when no server answered.
func (r *Redis) read(ctx context.Context, keys []string) ([][]byte, bool) {
	for _, s := range r.reading {
		raw := make([][]byte, len(keys))
		err := r.do(ctx, s, func(ctx context.Context) error {
			found, err := s.client.MGet(ctx, keys...).Result()
			for i, value := range found {
				if text, ok := value.(string); ok {
					raw[i] = []byte(text)
				}
			}
			return err
		})
		if err == nil {
			return raw, true
		}
	}
	return nil, false
}

// garbage has what makes no sense removed.
func (r *Redis) garbage(ctx context.Context, key string) {
	r.metrics.fellBack(ctx, r.primary.name, causeGarbage) // a replica only repeats it
	r.write(write{key: key})
}

// write hands a write in, and drops it when too many wait.
func (r *Redis) write(w write) {
	select {
	case r.queue <- w:
	default:
		r.metrics.fellBack(context.Background(), r.primary.name, causeFull)
	}
}

// Run writes what is handed in until ctx ends, and closes the connections. What waits then is dropped.
func (r *Redis) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return r.close()
		case first := <-r.queue:
			_ = r.store(ctx, r.gather(first)) // it is counted; what is not written lives out its time
		}
	}
}

// gather takes what waits behind a write, as much as travels together.
func (r *Redis) gather(first write) []write {
	writes := []write{first}
	for len(writes) < pipelined {
		select {
		case next := <-r.queue:
			writes = append(writes, next)
		default:
			return writes
		}
	}
	return writes
}

func (r *Redis) store(ctx context.Context, writes []write) error {
	return r.do(ctx, r.primary, func(ctx context.Context) error {
		_, err := r.primary.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, w := range writes {
				if w.entry == nil {
					p.Del(ctx, w.key)
					continue
				}
				p.Eval(ctx, storeScript, []string{w.key}, w.entry, w.over, w.until.UnixMilli(), w.life.Milliseconds())
			}
			return nil
		})
		return err
	})
}

func (r *Redis) close() error {
	err := r.primary.client.Close()
	for _, s := range r.reading {
		if s != r.primary {
			err = errors.Join(err, s.client.Close())
		}
	}
	return err
}
