package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// run is a saga in the hands of its driver.
type run struct {
	view  sagaView
	def   saga.Definition
	state saga.State
	// events is its history, where it was read for somebody to see.
	events []saga.Event
}

// driven is a run with the order that it drives.
type driven struct {
	run
	order order
}

// notSentWait is how long to wait before a call that could not be sent is tried again.
var notSentWait = saga.Retry{Initial: 200 * time.Millisecond, Factor: 2, Max: 5 * time.Second}

// reloadWait is the same for a saga that could not be read or written.
var reloadWait = saga.Retry{Initial: 200 * time.Millisecond, Factor: 2, Max: 30 * time.Second}

// drive takes one saga to its rest. A saga that was just taken in is known, others are read.
func (e *engine) drive(ctx context.Context, sagaID SagaID, known *driven, wake <-chan struct{}) {
	ctx = telemetry.WithSaga(ctx, sagaID.String())
	for failures := 0; ctx.Err() == nil; {
		err := e.driveOn(ctx, sagaID, known, wake)
		if err == nil {
			return
		}
		known = nil
		if errors.Is(err, errStale) {
			failures = 0
			continue
		}
		failures++
		if ctx.Err() == nil {
			e.log.ErrorContext(ctx, "saga cannot be driven for now", slog.Any("error", err), slog.Int("failures", failures))
			sleep(ctx, time.Now().Add(reloadWait.Wait(failures, rand.Float64())), wake)
		}
	}
}

// driveOn reads the saga and does what is next until it is at rest. Any error means: read it again.
func (e *engine) driveOn(ctx context.Context, sagaID SagaID, known *driven, wake <-chan struct{}) error {
	if known == nil {
		var err error
		if known, err = e.read(ctx, sagaID); err != nil {
			return err
		}
	}
	r := known.run
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": r.view.traceparent})
	for notSent := 0; ; {
		commands := saga.Next(r.def, r.state, clock())
		if len(commands) == 0 {
			return nil
		}
		c := commands[0]
		events := []saga.Event{c.Event}
		switch c.Op {
		case saga.Wait:
			if !sleep(ctx, c.Until, wake) {
				return errStale
			}
			continue
		case saga.Execute, saga.Compensate:
			outcome, sent := e.call(ctx, r, known.order, c)
			if ctx.Err() != nil {
				return ctx.Err() // handing over: whoever drives next asks again
			}
			if !sent {
				notSent++
				if !sleep(ctx, time.Now().Add(notSentWait.Wait(notSent, rand.Float64())), wake) {
					return errStale
				}
				continue
			}
			notSent = 0
			events = saga.Observe(r.def, r.state, c, outcome, clock(), rand.Float64())
		}
		t, err := r.transit(events)
		if err != nil {
			return err
		}
		if _, err := e.transitions.Do(ctx, t); err != nil {
			return err
		}
		e.announce(ctx, t)
		r.state = t.state
		r.view.become(t.def, t.state, t.events[len(t.events)-1].At)
	}
}

func (e *engine) read(ctx context.Context, sagaID SagaID) (*driven, error) {
	r, err := e.load(ctx, e.pool, sagaID)
	if err != nil {
		return nil, err
	}
	o, err := newStore(e.pool).order(ctx, r.view.orderID)
	if err != nil {
		return nil, err
	}
	return &driven{run: r, order: o.order}, nil
}

// call carries out an Execute or Compensate command. It reports whether anything was sent.
func (e *engine) call(ctx context.Context, r run, o order, c saga.Command) (saga.Outcome, bool) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return saga.Outcome{}, false
	}
	step, name, timeout := r.def.Steps[c.Step], r.def.Steps[c.Step].Execute, r.def.Steps[c.Step].Forward.Timeout
	if c.Op == saga.Compensate {
		name, timeout = step.Compensate, step.Back.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, span := e.tracer.Start(ctx, c.Op.String()+" "+step.Name, trace.WithAttributes(
		attribute.String("tieout.saga.id", r.view.id.String()), attribute.String("tieout.order.id", r.view.orderID.String()),
		attribute.String("tieout.step", step.Name), attribute.String("tieout.idempotency_key", stepKey(r.view.id, step.Name))))
	defer span.End()
	begun := time.Now()
	result, err := e.actions[name](ctx, stepCall{key: stepKey(r.view.id, step.Name), order: o, results: r.results()})
	outcome, sent := classify(result, err)
	e.metrics.called(ctx, name, outcome.Kind, sent, time.Since(begun))
	if outcome.Kind != saga.Success {
		span.SetStatus(codes.Error, outcome.Cause)
	}
	return outcome, sent
}

// stepKey is the idempotency key of a step: the same at every attempt, and for execute and compensate.
func stepKey(sagaID SagaID, step string) string {
	return fmt.Sprintf("saga/%s/%s", sagaID, step)
}

// results are what the steps done so far answered, by step.
func (r run) results() map[string]json.RawMessage {
	results := map[string]json.RawMessage{}
	for i, s := range r.state.Steps {
		if s.Execution == saga.Done {
			results[r.def.Steps[i].Name] = s.Result
		}
	}
	return results
}

// become makes the view that of a state, which the saga came to at a time.
func (v *sagaView) become(def saga.Definition, s saga.State, at time.Time) {
	v.phase, v.step, v.cause, v.seq = s.Phase, stepOf(def, s), s.Cause, s.Seq
	v.paused, v.nextAt, v.updatedAt = s.Paused, s.NextAt, at
}

// load reads a saga and folds its history.
func (e *engine) load(ctx context.Context, db orchestratordb.DBTX, sagaID SagaID) (run, error) {
	st := newStore(db)
	view, err := st.saga(ctx, sagaID)
	if err != nil {
		return run{}, err
	}
	def, ok := e.definitions[view.definition]
	if !ok {
		return run{}, fmt.Errorf("no definition %s v%d in this build", view.definition.name, view.definition.version)
	}
	events, err := st.sagaEvents(ctx, sagaID)
	if err != nil {
		return run{}, err
	}
	state, err := saga.Fold(def, events)
	return run{view: view, def: def, state: state, events: events}, err
}
