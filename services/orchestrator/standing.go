package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// standing is what the metrics tell of a live saga.
type standing struct {
	definition string
	phase      saga.Phase
	began      time.Time
	inDoubt    bool
	held       money.Amount // what the customer's money may be held of; zero for nothing
}

// show has the metrics tell how a saga stands.
func (e *engine) show(l *live) {
	s := standing{definition: l.view.definition.name, phase: l.state.Phase, began: l.view.createdAt, inDoubt: l.state.InDoubt()}
	if l.state.MoneyHeld(l.def) {
		s.held = l.subject.total
	}
	if l.counted == s {
		return
	}
	l.counted = s
	e.mu.Lock()
	l.shown = s
	e.mu.Unlock()
}

// observeMoney tells of sums in minor units.
func observeMoney(o metric.Observer, to metric.Int64Observable, sums map[money.Currency]*telemetry.ByAge, labels ...attribute.KeyValue) {
	for currency, sum := range sums {
		sum.Observe(o, to, append(slices.Clip(labels), attribute.String("currency", string(currency)))...)
	}
}

// census is how the live sagas of a replica stand.
type census struct {
	live    map[string]*[saga.Compensating + 1]int64 // by definition and phase
	inDoubt map[string]int64                         // by definition
	oldest  map[string]time.Duration                 // by definition
	held    map[money.Currency]*telemetry.ByAge
}

func (e *engine) count(now time.Time) census {
	c := census{map[string]*[saga.Compensating + 1]int64{}, map[string]int64{}, map[string]time.Duration{}, map[money.Currency]*telemetry.ByAge{}}
	for d := range e.definitions.known() {
		c.live[d.name] = &[saga.Compensating + 1]int64{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.live {
		s := l.shown
		phases := c.live[s.definition]
		if phases == nil || s.phase > saga.Compensating {
			continue // it is being read
		}
		phases[s.phase]++
		age := now.Sub(s.began)
		c.oldest[s.definition] = max(c.oldest[s.definition], age)
		if s.inDoubt {
			c.inDoubt[s.definition]++
		}
		if !s.held.IsZero() {
			if c.held[s.held.Currency] == nil {
				c.held[s.held.Currency] = &telemetry.ByAge{}
			}
			c.held[s.held.Currency][telemetry.AgeClassOf(age)] += s.held.Minor
		}
	}
	return c
}

// observe shows what is in memory: how the sagas stand, and those that wait in each lane; and what the database has of those
// that are parked.
func (e *engine) observe(m metric.Meter) error {
	return errors.Join(e.observeSagas(m), e.observeLanes(m), e.observeParked(m))
}

func (e *engine) observeSagas(m metric.Meter) error {
	live, err1 := m.Int64ObservableGauge("tieout.saga.live", metric.WithDescription("Sagas that this replica drives, by definition and phase."))
	inDoubt, err2 := m.Int64ObservableGauge("tieout.saga.in_doubt",
		metric.WithDescription("Live sagas at a step, or a compensation, that came to an unknown outcome."))
	age, err3 := m.Float64ObservableGauge("tieout.saga.age", metric.WithUnit("s"),
		metric.WithDescription("For how long the oldest live saga has been under way; 0 when there is none."))
	held, err4 := m.Int64ObservableGauge("tieout.saga.money.held",
		metric.WithDescription("Money of live sagas that may be set aside or taken, in minor units of its currency, by the age of the saga."))
	shards, err5 := m.Int64ObservableGauge("tieout.saga.shards", metric.WithDescription("Shards that this replica owns."))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(shards, int64(len(e.shards.ours())))
		c := e.count(clock())
		for name, phases := range c.live {
			definition := attribute.String("definition", name)
			for _, phase := range []saga.Phase{saga.Running, saga.Compensating} {
				o.ObserveInt64(live, phases[phase], metric.WithAttributes(definition, attribute.String("phase", phase.String())))
			}
			o.ObserveInt64(inDoubt, c.inDoubt[name], metric.WithAttributes(definition))
			o.ObserveFloat64(age, c.oldest[name].Seconds(), metric.WithAttributes(definition))
		}
		observeMoney(o, held, c.held)
		return nil
	}, live, inDoubt, age, held, shards)
	return err
}

func (e *engine) observeLanes(m metric.Meter) error {
	waiting, err1 := m.Int64ObservableGauge("tieout.saga.lane.waiting", metric.WithDescription("Sagas that wait for a call to carry them."))
	blocked, err2 := m.Int64ObservableGauge("tieout.saga.lane.blocked", metric.WithDescription("1 while nothing can be sent, 0 otherwise."))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	for name := range e.lanes {
		e.metrics.held.Add(context.Background(), 0, metric.WithAttributes(attribute.String("call", name)))
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for name, l := range e.lanes {
			n, isBlocked := l.waits()
			call := metric.WithAttributes(attribute.String("call", name))
			o.ObserveInt64(waiting, int64(n), call)
			var held int64
			if isBlocked {
				held = 1
			}
			o.ObserveInt64(blocked, held, call)
		}
		return nil
	}, waiting, blocked)
	return err
}

// parkedSagas adds them up by definition, currency and class of age.
const parkedSagas = `
SELECT s.definition, o.currency, width_bucket(extract(epoch FROM now() - s.updated_at)::float8, $1::float8[]), count(*),
       coalesce(sum(o.total_minor) FILTER (WHERE s.at_risk), 0)::bigint, extract(epoch FROM now() - min(s.updated_at))::float8
  FROM saga s JOIN saga_subject o ON o.id = s.order_id
 WHERE s.phase = 5 GROUP BY 1, 2, 3`

// parked is what waits for a person, by definition, and the money of it that is at risk.
type parked struct {
	sagas  map[string]int64
	oldest map[string]float64 // in seconds
	money  map[money.Currency]*telemetry.ByAge
}

func (e *engine) countParked(ctx context.Context) (parked, error) {
	p := parked{map[string]int64{}, map[string]float64{}, map[money.Currency]*telemetry.ByAge{}}
	for d := range e.definitions.known() {
		p.sagas[d.name] = 0
	}
	rows, err := e.pool.Query(ctx, parkedSagas, telemetry.AgeBounds())
	if err != nil {
		return p, fmt.Errorf("adding up parked sagas: %w", err)
	}
	var definition string
	var currency money.Currency
	var class telemetry.AgeClass
	var n, minor int64
	var oldest float64
	_, err = pgx.ForEachRow(rows, []any{&definition, &currency, &class, &n, &minor, &oldest}, func() error {
		p.sagas[definition] += n
		p.oldest[definition] = max(p.oldest[definition], oldest)
		if p.money[currency] == nil {
			p.money[currency] = &telemetry.ByAge{}
		}
		p.money[currency][class] += minor
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("adding up parked sagas: %w", err)
	}
	return p, nil
}

func (e *engine) observeParked(m metric.Meter) error {
	count, err1 := m.Int64ObservableGauge("tieout.saga.parked", metric.WithDescription("Sagas that wait for a person, by definition."))
	age, err2 := m.Float64ObservableGauge("tieout.saga.parked.age", metric.WithUnit("s"),
		metric.WithDescription("For how long the oldest parked saga has been waiting; 0 when there is none."))
	limbo, err3 := m.Int64ObservableGauge(telemetry.MoneyInLimbo, metric.WithDescription(telemetry.MoneyInLimboMeans))
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		p, err := e.countParked(ctx)
		if err != nil {
			return err
		}
		for name, n := range p.sagas {
			definition := metric.WithAttributes(attribute.String("definition", name))
			o.ObserveInt64(count, n, definition)
			o.ObserveFloat64(age, p.oldest[name], definition)
		}
		observeMoney(o, limbo, p.money, attribute.String("why", "parked"))
		return nil
	}, count, age, limbo)
	return err
}
