package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"

	auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"
)

// Config is what an Auditor works with.
type Config struct {
	Log *slog.Logger
	// Meter makes the metrics tieout.invariant.violations, by tieout.service and tieout.invariant, and
	// tieout.invariant.failures, by tieout.service.
	Meter metric.Meter
}

// Auditor checks the databases of one process.
type Auditor struct {
	auditv1.UnimplementedAuditServiceServer
	log       *slog.Logger
	gauge     metric.Int64Gauge
	failures  metric.Int64Counter
	databases []database
	turn      chan struct{} // held by the check that runs
}

// New makes an auditor of no database.
func New(cfg Config) (*Auditor, error) {
	gauge, err := cfg.Meter.Int64Gauge("tieout.invariant.violations",
		metric.WithDescription("Violations of an invariant, when it was last checked."))
	failures, err2 := cfg.Meter.Int64Counter("tieout.invariant.failures",
		metric.WithDescription("Checks of invariants that could not be made: nobody knows whether they hold."))
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("making metrics of the audit: %w", err)
	}
	return &Auditor{log: cfg.Log, gauge: gauge, failures: failures, turn: make(chan struct{}, 1)}, nil
}

// Add has the database of a service audited. All are to be added before the first audit.
func (a *Auditor) Add(service string, pool *pgxpool.Pool) {
	a.databases = append(a.databases, database{service: service, pool: pool})
	a.failures.Add(context.Background(), 0, ofService(service))
}

// Register makes the auditor the AuditService of a server.
func (a *Auditor) Register(r grpc.ServiceRegistrar) { auditv1.RegisterAuditServiceServer(r, a) }

func ofService(name string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("tieout.service", name))
}

// run runs a check when it is its turn. The error is that of ctx.
func (a *Auditor) run(ctx context.Context, d database, c check) (result, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return result{}, ctx.Err()
	}
	r := d.run(ctx, c)
	if ctx.Err() != nil {
		return result{}, ctx.Err()
	}
	if r.err != nil {
		a.failures.Add(ctx, 1, ofService(c.service))
	} else {
		a.gauge.Record(ctx, r.count, metric.WithAttributes(
			attribute.String("tieout.service", c.service), attribute.String("tieout.invariant", fmt.Sprintf("%d_%s", c.number, c.name))))
	}
	return r, nil
}
