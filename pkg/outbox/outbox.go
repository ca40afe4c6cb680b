package outbox

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/telemetry"
)

//go:embed sql/*.sql
var migrationFiles embed.FS

// Migrations creates the tables outbox and outbox_stream.
var Migrations = pg.Embedded("outbox", migrationFiles, "sql")

const defaultRetention = 7 * 24 * time.Hour

// Config is what an Outbox works with.
type Config struct {
	// Pool leads to the database that holds the table; the relay opens one more connection with its settings.
	Pool *pgxpool.Pool
	// Service names the owner of the database in metrics, and to the relays of its other processes.
	Service string
	// Retention is how long a published row is kept; 0 is 7 days. A stream that was lost is filled again from
	// these rows.
	Retention time.Duration
	// Log is told of each event that is durable, and where the relay reports; nil discards.
	Log *slog.Logger
	// Meter makes the metrics tieout.outbox.published, tieout.outbox.lag and tieout.outbox.unpublished; nil discards.
	Meter metric.Meter
}

// Outbox is the outbox of one database.
type Outbox struct {
	pool      *pgxpool.Pool
	service   string
	retention time.Duration
	log       *slog.Logger
	metrics   metrics
	wake      periodic.Bell // rings when a transaction with events has committed
	active    atomic.Bool   // the relay of this process is the active one
	others    atomic.Pointer[nats.Conn]
}

// New makes the outbox of cfg.Pool's database.
func New(cfg Config) *Outbox {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Meter == nil {
		cfg.Meter = noop.Meter{}
	}
	return &Outbox{
		pool:      cfg.Pool,
		service:   cfg.Service,
		retention: cmp.Or(cfg.Retention, defaultRetention),
		log:       cfg.Log,
		metrics:   newMetrics(cfg.Meter, cfg.Service, cfg.Log),
		wake:      periodic.NewBell(),
	}
}

// The transaction has its id before an event has its sequence: the frontier relies on it. A condition that no row is part of is
// looked at before the first one.
const insertEvents = `
INSERT INTO outbox (id, service, entity, name, subject, reference, occurred_at, data, traceparent, tracestate)
SELECT id, service, entity, name, subject, reference, occurred_at, data, traceparent, tracestate
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::bytea[],
            $9::text[], $10::text[])
     WITH ORDINALITY AS e (id, service, entity, name, subject, reference, occurred_at, data, traceparent, tracestate, n)
WHERE pg_current_xact_id() IS NOT NULL
ORDER BY n`

// Write adds events to tx, in their order, with one statement for later; the relay is woken when tx has committed. An empty ID
// becomes a new UUIDv7, an empty Time now, an empty Traceparent the trace context of ctx. An event that could not be
// published is an error that names its attribute, and nothing is written.
func (o *Outbox) Write(ctx context.Context, tx *pg.Tx, events ...bus.Event) error {
	if len(events) == 0 {
		return nil
	}
	traceparent, tracestate := bus.TraceContext(ctx)
	var c columns
	written := slices.Clone(events)
	for i := range written {
		if err := fill(&written[i], traceparent, tracestate); err != nil {
			return fmt.Errorf("writing event to outbox: %w", err)
		}
		c.add(written[i])
	}
	_, err := tx.Later().Exec(ctx, insertEvents, c.ids, c.services, c.entities, c.names, c.subjects, c.references, c.times,
		c.data, c.traceparents, c.tracestates)
	if err != nil {
		return fmt.Errorf("writing events to outbox: %w", err)
	}
	tx.AfterCommit(func() {
		o.wakeRelay()
		o.tell(written)
	})
	return nil
}

// tell tells the log of events that are durable: one line for each change of state there is, in the trace it belongs to.
func (o *Outbox) tell(events []bus.Event) {
	if !o.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	for _, e := range events {
		ctx := telemetry.WithSaga(telemetry.InTrace(context.Background(), e.Traceparent), e.SagaID)
		o.log.LogAttrs(ctx, slog.LevelInfo, "state changed", slog.String("entity", e.Entity), slog.String("event", e.Name),
			slog.String("subject", e.Subject), slog.String("reference", e.Reference), slog.String("event_id", e.ID.String()))
	}
}

// wakeRelay wakes the active relay, wherever it is. A wake-up that is lost costs time only.
func (o *Outbox) wakeRelay() {
	o.hurry()
	if nc := o.others.Load(); nc != nil && !o.active.Load() {
		if err := nc.Publish(o.subject(), nil); err != nil {
			o.log.Debug("the active relay is not told", slog.Any("error", err))
		}
	}
}

func (o *Outbox) hurry() {
	o.wake.Ring()
}

// fill completes e and checks that it can be published.
func fill(e *bus.Event, traceparent, tracestate string) error {
	if e.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("making event id: %w", err)
		}
		e.ID = id
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.Traceparent == "" {
		e.Traceparent, e.Tracestate = traceparent, tracestate
	}
	return e.Validate()
}

// columns are events turned by 90 degrees, for unnest.
type columns struct {
	ids                                             []uuid.UUID
	services, entities, names, subjects, references []string
	times                                           []time.Time
	data                                            [][]byte
	traceparents, tracestates                       []string
}

func (c *columns) add(e bus.Event) {
	if e.Data == nil {
		e.Data = []byte{} // an empty message is a payload, NULL is none
	}
	c.ids = append(c.ids, e.ID)
	c.services = append(c.services, e.Service)
	c.entities = append(c.entities, e.Entity)
	c.names = append(c.names, e.Name)
	c.subjects = append(c.subjects, e.Subject)
	c.references = append(c.references, e.Reference)
	c.times = append(c.times, e.Time)
	c.data = append(c.data, e.Data)
	c.traceparents = append(c.traceparents, e.Traceparent)
	c.tracestates = append(c.tracestates, e.Tracestate)
}
