package inbox

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
)

//go:embed sql/*.sql
var migrationFiles embed.FS

// Migrations creates the tables inbox and dead_letter.
var Migrations = pg.Embedded("inbox", migrationFiles, "sql")

const (
	defaultMaxAttempts = 5
	// ackWait is how long a batch may take before its events are delivered again.
	ackWait = 30 * time.Second
	// retryEvery is the first pause after NATS or Postgres failed; it doubles up to eight times that.
	retryEvery = 500 * time.Millisecond
)

// Config is what an Inbox works with.
type Config struct {
	// Pool leads to the database that holds the inbox and the effects.
	Pool *pgxpool.Pool
	// Log is where failures are reported; nil discards.
	Log *slog.Logger
	// Meter makes the metrics tieout.inbox.processed, .duplicates, .dead_letters and .lag; nil discards.
	Meter metric.Meter
	// Tracer makes a span per event, in the trace of its writer; nil makes none.
	Tracer trace.Tracer
}

// Consumer says who consumes which events and what they do.
type Consumer struct {
	// Name identifies the consumer in the stream and in the tables, for ever: lower-case letters, digits, - and _.
	// Processes that use the same name share the events between them.
	Name string
	// Subjects are the NATS subjects it wants, with wildcards: "evt.payment.payment.captured.*". They must not overlap.
	Subjects []string
	// Wants says whether an event is any of its business; what is not is acknowledged and leaves no row. Nil wants all. It
	// must say the same of an event each time.
	Wants func(bus.Event) bool
	// MaxAttempts is how often Handle may fail on an event before it becomes a dead letter; 0 is 5.
	MaxAttempts int
	// Handle applies events, in the order of the stream, within tx. An error rolls back all of them. Its ctx is in
	// the event's trace when there is one event. It must not call out of the database.
	Handle func(ctx context.Context, tx *pg.Tx, events []bus.Event) error
}

var consumerName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

func (c Consumer) validate() error {
	switch {
	case !consumerName.MatchString(c.Name):
		return fmt.Errorf("consumer name %q: only lower-case letters, digits, - and _ are allowed", c.Name)
	case len(c.Subjects) == 0:
		return fmt.Errorf("consumer %s: no subjects", c.Name)
	case c.Handle == nil:
		return fmt.Errorf("consumer %s: no Handle", c.Name)
	}
	return nil
}

// Inbox is one consumer at work on one database.
type Inbox struct {
	consumer Consumer
	pool     *pgxpool.Pool
	log      *slog.Logger
	tracer   trace.Tracer
	metrics  metrics
}

// New makes the inbox of c.
func New(cfg Config, c Consumer) *Inbox {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Meter == nil {
		cfg.Meter = noopmetric.Meter{}
	}
	if cfg.Tracer == nil {
		cfg.Tracer = nooptrace.Tracer{}
	}
	c.MaxAttempts = cmp.Or(c.MaxAttempts, defaultMaxAttempts)
	log := cfg.Log.With(slog.String("consumer", c.Name))
	return &Inbox{
		consumer: c,
		pool:     cfg.Pool,
		log:      log,
		tracer:   cfg.Tracer,
		metrics:  newMetrics(cfg.Meter, c.Name, log),
	}
}

// Run consumes until ctx ends; it then returns nil. It creates the durable consumer in the stream, and again when it
// or the stream is gone, and keeps trying while NATS or Postgres cannot be reached. Its only error is a Consumer that
// cannot run, returned at once.
func (in *Inbox) Run(ctx context.Context, js jetstream.JetStream) error {
	if err := in.consumer.validate(); err != nil {
		return err
	}
	registration, err := in.metrics.observe(js, in.consumer.Name)
	if err != nil {
		return err
	}
	defer func() { _ = registration.Unregister() }() // the process ends
	r := newReceiver(in, js)
	defer r.close()
	return periodic.Duty{Name: "inbox", Every: retryEvery, RunOnce: r.runOnce, Log: in.log}.Run(ctx)
}

var errDisconnected = errors.New("nats is not connected")
