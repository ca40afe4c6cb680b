package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"

	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/periodic"
)

const (
	// keyTTL is how long the answer to an idempotency key is given again.
	keyTTL = 24 * time.Hour
	// operateEvery is how soon a replica goes on with an operation that another one left behind.
	operateEvery = 15 * time.Second
)

// Config is what a Desk works with.
type Config struct {
	Log *slog.Logger
	// Meter makes the metrics tieout.dead_letter.open and .age, by tieout.service and consumer.
	Meter metric.Meter
}

// Desk serves the dead letters of one process.
type Desk struct {
	log   *slog.Logger
	boxes []*box
	wake  periodic.Bell
}

// box is the dead letters of one service, in its database.
type box struct {
	service   string
	pool      *pgxpool.Pool
	consumers map[string]*inbox.Inbox
}

// New makes a desk without consumers.
func New(cfg Config) (*Desk, error) {
	d := &Desk{log: cfg.Log, wake: periodic.NewBell()}
	open, err := cfg.Meter.Int64ObservableGauge("tieout.dead_letter.open",
		metric.WithDescription("Dead letters that wait for a person, by consumer."), metric.WithUnit("{event}"))
	age, err2 := cfg.Meter.Float64ObservableGauge("tieout.dead_letter.age",
		metric.WithDescription("For how long the oldest dead letter has been waiting for a person; 0 when there is none."), metric.WithUnit("s"))
	if err = errors.Join(err, err2); err == nil {
		_, err = cfg.Meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error { return d.observe(ctx, o, open, age) }, open, age)
	}
	if err != nil {
		return nil, fmt.Errorf("making metrics of dead letters: %w", err)
	}
	return d, nil
}

// Add has the dead letters of a service's consumer served. All are to be added before the first request.
func (d *Desk) Add(service string, pool *pgxpool.Pool, consumer *inbox.Inbox) {
	for _, b := range d.boxes {
		if b.service == service {
			b.consumers[consumer.Consumer()] = consumer
			return
		}
	}
	d.boxes = append(d.boxes, &box{service, pool, map[string]*inbox.Inbox{consumer.Consumer(): consumer}})
}

// Register makes the desk the DeadLetterService of a server.
func (d *Desk) Register(r grpc.ServiceRegistrar) {
	deadletterv1.RegisterDeadLetterServiceServer(r, &server{desk: d})
}

// Run carries operations out until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	return periodic.Duty{Name: "dead letters", Every: operateEvery, RunOnce: d.operateOnce, Log: d.log, Wake: d.wake}.Run(ctx)
}

// operateOnce does the next item of an operation of each service.
func (d *Desk) operateOnce(ctx context.Context) (again bool, err error) {
	var errs []error
	for _, b := range d.boxes {
		more, err := b.operateOnce(ctx)
		again, errs = again || more, append(errs, err)
	}
	return again, errors.Join(errs...)
}

const countOpen = `
SELECT consumer, count(*), extract(epoch FROM now() - min(created_at))::float8 FROM dead_letter WHERE state = 1 GROUP BY consumer`

// waiting is what waits for a person.
type waiting struct {
	letters int64
	oldest  float64 // in seconds
}

// observe counts what is open, when somebody collects the metrics.
func (d *Desk) observe(ctx context.Context, o metric.Observer, open metric.Int64Observable, age metric.Float64Observable) error {
	var errs []error
	for _, b := range d.boxes {
		all, err := b.countOpen(ctx)
		for consumer, w := range all {
			labels := metric.WithAttributes(
				attribute.String("tieout.service", b.service), attribute.String("messaging.consumer.group.name", consumer))
			o.ObserveInt64(open, w.letters, labels)
			o.ObserveFloat64(age, w.oldest, labels)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// countOpen counts what is open, by consumer; 0 for a consumer that has nothing.
func (b *box) countOpen(ctx context.Context) (map[string]waiting, error) {
	all := map[string]waiting{}
	for consumer := range b.consumers {
		all[consumer] = waiting{}
	}
	rows, err := b.pool.Query(ctx, countOpen)
	if err != nil {
		return nil, fmt.Errorf("counting dead letters of %s: %w", b.service, err)
	}
	var consumer string
	var w waiting
	if _, err := pgx.ForEachRow(rows, []any{&consumer, &w.letters, &w.oldest}, func() error { all[consumer] = w; return nil }); err != nil {
		return nil, fmt.Errorf("counting dead letters of %s: %w", b.service, err)
	}
	return all, nil
}
