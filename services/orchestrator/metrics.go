package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/services/orchestrator/saga"
)

// engineMetrics are the engine's instruments.
type engineMetrics struct {
	calls    metric.Float64Histogram
	outcomes metric.Int64Counter
	events   metric.Int64Counter
	held     metric.Int64Counter
}

func newEngineMetrics(m metric.Meter) (engineMetrics, error) {
	calls, err1 := m.Float64Histogram("tieout.saga.call.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
		metric.WithDescription("Time of one call to a participant, which carries the steps of many sagas."))
	outcomes, err2 := m.Int64Counter("tieout.saga.outcomes",
		metric.WithDescription("Steps and compensations that calls carried, by call and outcome."))
	events, err3 := m.Int64Counter("tieout.saga.events",
		metric.WithDescription("Events recorded, by type: started sagas, steps done, compensations, parked sagas."))
	held, err4 := m.Int64Counter("tieout.saga.retries.held",
		metric.WithDescription("Times that a step was not asked again yet because it would be beyond the retry budget, by call."))
	return engineMetrics{calls: calls, outcomes: outcomes, events: events, held: held}, errors.Join(err1, err2, err3, err4)
}

// intakeMetrics count orders that the database was not there for.
type intakeMetrics struct{ taken, moved metric.Int64Counter }

func newIntakeMetrics(m metric.Meter) (intakeMetrics, error) {
	taken, err1 := m.Int64Counter("tieout.intake.queued",
		metric.WithDescription("Orders that the intake stream took in while the database could not be reached."))
	moved, err2 := m.Int64Counter("tieout.intake.drained", metric.WithDescription("Orders that were moved from the intake stream to the database."))
	return intakeMetrics{taken, moved}, errors.Join(err1, err2)
}

// observe shows what is in memory: the sagas, and those that wait in each lane.
func (e *engine) observe(m metric.Meter) error {
	sagas, err1 := m.Int64ObservableGauge("tieout.saga.live", metric.WithDescription("Sagas that this replica drives."))
	shards, err2 := m.Int64ObservableGauge("tieout.saga.shards", metric.WithDescription("Shards that this replica owns."))
	lanes, err3 := m.Int64ObservableGauge("tieout.saga.lane.waiting", metric.WithDescription("Sagas that wait for a call to carry them."))
	blocked, err4 := m.Int64ObservableGauge("tieout.saga.lane.blocked", metric.WithDescription("1 while nothing can be sent, 0 otherwise."))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		e.mu.Lock()
		live := len(e.live)
		e.mu.Unlock()
		o.ObserveInt64(sagas, int64(live))
		o.ObserveInt64(shards, int64(len(e.shards.ours())))
		for name, l := range e.lanes {
			waiting, isBlocked := l.waits()
			call := metric.WithAttributes(attribute.String("call", name))
			o.ObserveInt64(lanes, int64(waiting), call)
			var held int64
			if isBlocked {
				held = 1
			}
			o.ObserveInt64(blocked, held, call)
		}
		return nil
	}, sagas, shards, lanes, blocked)
	return err
}

// called counts what came of a call; the outcome of what was not sent is 0.
func (m engineMetrics) called(ctx context.Context, call string, counts map[saga.OutcomeKind]int, took time.Duration) {
	name := attribute.String("call", call)
	m.calls.Record(ctx, took.Seconds(), metric.WithAttributes(name))
	for kind, n := range counts {
		m.outcomes.Add(ctx, int64(n), metric.WithAttributes(name, attribute.String("outcome", cmp.Or(kind.String(), "not sent"))))
	}
}

// heldBack counts a retry that is beyond the budget.
func (m engineMetrics) heldBack(call string) {
	m.held.Add(context.Background(), 1, metric.WithAttributes(attribute.String("call", call)))
}

// recorded counts the events of transitions that are durable.
func (m engineMetrics) recorded(ctx context.Context, written []transition) {
	type kind struct {
		of   saga.EventType
		step string
	}
	counts := map[kind]int{}
	for _, t := range written {
		for _, e := range t.events {
			counts[kind{e.Type, e.Step}]++
		}
	}
	for k, n := range counts {
		m.events.Add(ctx, int64(n), metric.WithAttributes(attribute.String("type", string(k.of)), attribute.String("step", k.step)))
	}
}
