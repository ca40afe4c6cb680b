package cache

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Settings are what an operator may say about caching.
type Settings struct {
	// Size is how many entries of each kind are kept in process. 0 turns caching off: every read asks the database.
	Size int `koanf:"size"`
	// TTL is how old what is kept in process may get, counted from its reading.
	TTL time.Duration `koanf:"ttl"`
	// NegativeTTL is the same of what does not exist, also on Redis.
	NegativeTTL time.Duration `koanf:"negative_ttl"`
	// Redis is the tier that replicas share.
	Redis RedisSettings `koanf:"redis"`
}

// RedisSettings are where Redis is, and how long it may keep and take.
type RedisSettings struct {
	// PrimaryURL is the server that is written to, redis://user:password@host:port/database or rediss://…; empty for
	// no Redis. The URL may hold a password: it can be read from a file.
	PrimaryURL string `koanf:"primary_url"`
	// ReplicaURL is the server that is read from; empty for the primary.
	ReplicaURL string `koanf:"replica_url"`
	// TTL is how old what is kept there may get, counted from its reading in the database.
	TTL time.Duration `koanf:"ttl"`
	// Timeout is how long one call may take before it counts as failed.
	Timeout time.Duration `koanf:"timeout"`
}

// DefaultSettings keep some tens of megabytes in process when it is full, for two seconds, and ask no Redis.
func DefaultSettings() Settings {
	return Settings{
		Size: 50_000, TTL: 2 * time.Second, NegativeTTL: time.Second,
		Redis: RedisSettings{TTL: 10 * time.Second, Timeout: 50 * time.Millisecond},
	}
}

// Validate tells what is wrong with the settings; the error names the setting.
func (s Settings) Validate() error {
	var errs []error
	if s.Size < 0 {
		errs = append(errs, fmt.Errorf("size: %d is less than 0", s.Size))
	}
	if s.Size > 0 && (s.TTL <= 0 || s.NegativeTTL <= 0) {
		errs = append(errs, errors.New("ttl and negative_ttl must be more than zero; size 0 turns caching off"))
	}
	r := s.Redis
	if r.PrimaryURL == "" {
		if r.ReplicaURL != "" {
			errs = append(errs, errors.New("redis.replica_url: there is no redis.primary_url"))
		}
		return errors.Join(errs...)
	}
	if s.Size == 0 {
		errs = append(errs, errors.New("redis.primary_url: caching is turned off by size 0"))
	}
	if r.Timeout <= 0 || r.TTL < s.TTL {
		errs = append(errs, errors.New("redis.timeout must be more than zero, and redis.ttl at least ttl"))
	}
	for name, url := range map[string]string{"redis.primary_url": r.PrimaryURL, "redis.replica_url": cmp.Or(r.ReplicaURL, r.PrimaryURL)} {
		if _, err := redis.ParseURL(url); err != nil {
			errs = append(errs, fmt.Errorf("%s is no URL of a Redis", name)) // the error itself may quote the password
		}
	}
	return errors.Join(errs...)
}
