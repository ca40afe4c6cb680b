package service

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tieout/tieout/pkg/quota"
	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/pkg/telemetry"
)

// Config is what a process needs whatever services it runs.
type Config struct {
	GRPC      Listener         `koanf:"grpc"`
	HTTP      Listener         `koanf:"http"`
	NATS      NATS             `koanf:"nats"`
	Events    Events           `koanf:"events"`
	Log       Log              `koanf:"log"`
	Telemetry telemetry.Config `koanf:"telemetry"`
	// CallLimit bounds how many calls are let in at once; between its bounds the number is found by trying.
	CallLimit shed.LimitConfig `koanf:"call_limit"`
	// Quotas are how much callers may ask for. They can be replaced while the process runs.
	Quotas quota.Config `koanf:"quotas"`
	// Insecure allows listeners that other machines can reach, although callers are not authenticated.
	Insecure bool `koanf:"insecure"`
	// AuditEvery is how often the invariants of the services' databases are checked for the metrics.
	AuditEvery time.Duration `koanf:"audit_every"`
	// StartTimeout is how long Postgres may take to answer at start.
	StartTimeout time.Duration `koanf:"start_timeout"`
	// DrainDelay is how long the process goes on taking calls at stop after its health says that it does not, for
	// balancers that only look from time to time. 0 where clients are told, as gRPC clients are.
	DrainDelay time.Duration `koanf:"drain_delay"`
	// StopTimeout is how long calls in flight may take to finish at stop; duties have 5 s more.
	StopTimeout time.Duration `koanf:"stop_timeout"`
}

// Listener is an address to listen on.
type Listener struct {
	// Addr is host:port; port 0 takes a free one.
	Addr string `koanf:"addr"`
}

// NATS is how the process reaches NATS.
type NATS struct {
	// URL of the server, or several separated by commas.
	URL string `koanf:"url"`
	// Replicas of the streams: 1, or 3 on a cluster.
	Replicas int `koanf:"replicas"`
}

// Events is how the process consumes events.
type Events struct {
	// MaxAttempts is how often a consumer may fail on an event before it is a dead letter: tries after 1 s, 5 s and then every
	// 30 s lie in between.
	MaxAttempts int `koanf:"max_attempts"`
}

// Log is how the process logs.
type Log struct {
	// Level is the least level logged: debug, info, warn or error. It can be changed while the process runs.
	Level string `koanf:"level"`
}

// Postgres is how a service reaches its database.
type Postgres struct {
	// DSN is a connection URL, postgres://role:password@host:port/database.
	DSN string `koanf:"dsn"`
	// MaxConns is how many connections the service keeps at most. A quarter of them is for work that was started: new work
	// and reads do not take them.
	MaxConns int32 `koanf:"max_conns"`
}

// DefaultConfig is a process that is reachable from its own machine only.
func DefaultConfig() Config {
	return Config{
		GRPC:         Listener{Addr: "127.0.0.1:7433"},
		HTTP:         Listener{Addr: "127.0.0.1:7480"},
		NATS:         NATS{URL: "nats://127.0.0.1:4222", Replicas: 1},
		Events:       Events{MaxAttempts: 5},
		Log:          Log{Level: "info"},
		Telemetry:    telemetry.Config{SampleRatio: 0.1},
		AuditEvery:   time.Minute,
		StartTimeout: 30 * time.Second,
		StopTimeout:  15 * time.Second,
	}
}

// Validate tells what is wrong with the configuration, as Start would.
func (c Config) Validate() error {
	var errs []error
	if c.Telemetry.SampleRatio < 0 || c.Telemetry.SampleRatio > 1 {
		errs = append(errs, fmt.Errorf("telemetry.sample_ratio: %v is not between 0 and 1", c.Telemetry.SampleRatio))
	}
	if c.Telemetry.KeepBytes < 0 {
		errs = append(errs, fmt.Errorf("telemetry.keep_bytes: %d is less than 0", c.Telemetry.KeepBytes))
	}
	if c.NATS.Replicas < 1 {
		errs = append(errs, fmt.Errorf("nats.replicas: %d is not 1 or more", c.NATS.Replicas))
	}
	if c.Events.MaxAttempts < 1 {
		errs = append(errs, fmt.Errorf("events.max_attempts: %d is not 1 or more", c.Events.MaxAttempts))
	}
	if c.DrainDelay < 0 {
		errs = append(errs, errors.New("drain_delay must not be less than zero"))
	}
	if c.StopTimeout <= 0 || c.StartTimeout <= 0 || c.AuditEvery <= 0 {
		errs = append(errs, errors.New("audit_every, start_timeout and stop_timeout must be more than zero"))
	}
	if err := c.CallLimit.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("call_limit: %w", err))
	}
	_, err := c.Log.level()
	errs = append(errs, err, c.Quotas.Validate())
	errs = append(errs, c.checkListener("grpc.addr", c.GRPC), c.checkListener("http.addr", c.HTTP))
	return errors.Join(errs...)
}

// checkListener refuses an address that other machines can reach unless that was asked for.
func (c Config) checkListener(key string, l Listener) error {
	host, _, err := net.SplitHostPort(l.Addr)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if ip := net.ParseIP(host); c.Insecure || host == "localhost" || ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s: %q can be reached from other machines, and callers are not authenticated: use a loopback address or say --insecure", key, l.Addr)
}
