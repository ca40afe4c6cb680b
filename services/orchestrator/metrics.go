package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// engineMetrics are the engine's instruments.
type engineMetrics struct {
	calls    metric.Float64Histogram
	outcomes metric.Int64Counter
	events   metric.Int64Counter
	held     metric.Int64Counter
	steps    metric.Float64Histogram
	sagas    metric.Float64Histogram
	money    metric.Int64Counter
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
	steps, err5 := m.Float64Histogram("tieout.saga.step.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
		metric.WithDescription("Time from when a step, or its compensation, came up until what came of it was durable, all attempts and waits included."))
	sagas, err6 := m.Float64Histogram("tieout.saga.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600),
		metric.WithDescription("Time from when a saga was accepted until it ended, or was parked, by outcome."))
	money, err7 := m.Int64Counter("tieout.saga.money",
		metric.WithDescription("Money of sagas that were accepted, that have ended, and that were parked, in minor units of its currency."))
	return engineMetrics{calls: calls, outcomes: outcomes, events: events, held: held, steps: steps, sagas: sagas, money: money},
		errors.Join(err1, err2, err3, err4, err5, err6, err7)
}

// intakeMetrics count orders that the database was not there for.
type intakeMetrics struct{ taken, moved metric.Int64Counter }

func newIntakeMetrics(m metric.Meter) (intakeMetrics, error) {
	taken, err1 := m.Int64Counter("tieout.intake.queued",
		metric.WithDescription("Orders that the intake stream took in while the database could not be reached."))
	moved, err2 := m.Int64Counter("tieout.intake.drained", metric.WithDescription("Orders that were moved from the intake stream to the database."))
	if err := errors.Join(err1, err2); err != nil {
		return intakeMetrics{}, err
	}
	taken.Add(context.Background(), 0)
	moved.Add(context.Background(), 0)
	return intakeMetrics{taken, moved}, nil
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

// began counts sagas that were accepted, all of one definition.
func (m engineMetrics) began(definition string, begun []transition, subjects []subject) {
	ctx := context.Background()
	m.recorded(ctx, begun)
	for _, s := range subjects {
		m.money.Add(ctx, s.total.Minor, moneyOf(definition, "accepted", s))
	}
}

// ended counts the money of those sagas, of a commit, that have ended or were parked.
func (m engineMetrics) ended(ctx context.Context, sagas []*live, writes []transition, results []groupcommit.Result[struct{}]) {
	for i, l := range sagas {
		if phase := writes[i].after.phase; results[i].Err == nil && phase.Resting() {
			m.money.Add(ctx, l.subject.total.Minor, moneyOf(l.view.definition.name, phase.String(), l.subject))
		}
	}
}

func moneyOf(definition, outcome string, s subject) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("definition", definition), attribute.String("outcome", outcome),
		attribute.String("currency", string(s.total.Currency)))
}

// recorded counts the events of transitions that are durable.
func (m engineMetrics) recorded(ctx context.Context, written []transition) {
	type kind struct {
		of   saga.EventType
		step string
	}
	counts, now := map[kind]int{}, clock()
	for _, t := range written {
		ctx, since := inTraceOf(ctx, t.view), t.view.stepAt
		for _, e := range t.events {
			counts[kind{e.Type, e.Step}]++
			m.measure(ctx, t.view, e, now, since)
			since = comesUp(since, []saga.Event{e})
		}
	}
	for k, n := range counts {
		m.events.Add(ctx, int64(n), metric.WithAttributes(attribute.String("type", string(k.of)), attribute.String("step", k.step)))
	}
}

// measure measures the time that an event ends: that of a step, or of the saga.
func (m engineMetrics) measure(ctx context.Context, v sagaView, e saga.Event, now, stepAt time.Time) {
	definition := attribute.String("definition", v.definition.name)
	var kind, outcome string
	switch e.Type {
	case saga.SagaCompleted, saga.SagaCompensated, saga.SagaParked:
		m.sagas.Record(ctx, now.Sub(v.createdAt).Seconds(), metric.WithAttributes(definition, attribute.String("outcome", string(e.Type))))
		return
	case saga.StepDone:
		kind, outcome = "execute", "done"
	case saga.StepRefused:
		kind, outcome = "execute", "refused"
	case saga.StepCompensated:
		kind, outcome = "compensate", "done"
	default:
		return
	}
	if !stepAt.IsZero() {
		m.steps.Record(ctx, now.Sub(stepAt).Seconds(), metric.WithAttributes(definition,
			attribute.String("step", e.Step), attribute.String("kind", kind), attribute.String("outcome", outcome)))
	}
}

// inTraceOf is a context in a saga's trace, if that is sampled: what is measured in it can be an exemplar.
func inTraceOf(ctx context.Context, v sagaView) context.Context {
	if !telemetry.IsRecorded(v.traceparent) {
		return ctx
	}
	return telemetry.InTrace(ctx, v.traceparent)
}
