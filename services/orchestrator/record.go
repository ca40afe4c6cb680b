package orchestrator

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

var (
	// errStale says that somebody else wrote the saga's next event first.
	errStale = errors.New("the saga was changed by somebody else")
	// errFenced says that the saga's shard has another owner by now.
	errFenced = errors.New("the saga's shard belongs to another replica")
)

// transition is events of one saga on their way into the database, with what they lead to.
type transition struct {
	view   sagaView // as it was before
	events []saga.Event
	state  saga.State
	after  sagaView
	// epoch is that of the shard's owner; 0 for whoever writes without owning it.
	epoch int64
	// isTraced says that the saga's trace is recorded, whatever was decided when it began.
	isTraced bool
}

// Trace is the trace context that the transition belongs to.
func (t transition) Trace() string {
	return t.view.rootOf(t.isTraced || t.after.wasNotable())
}

type transitions = groupcommit.Group[transition, struct{}]

// transit makes a transition of events that follow on the run's state.
func (r run) transit(events []saga.Event) (transition, error) {
	t := transition{view: r.view, events: events, state: r.state, after: r.view}
	for _, event := range events {
		var err error
		if t.state, err = saga.Apply(r.def, t.state, event); err != nil {
			return t, err
		}
	}
	t.after.become(r.def, t.state, events[len(events)-1].At)
	t.after.stepAt = comesUp(t.view.stepAt, events)
	return t, nil
}

// comesUp is when the step that a saga is at came up, after events that follow on a time when one did.
func comesUp(before time.Time, events []saga.Event) time.Time {
	for _, e := range events {
		if e.Type.ComesUp() {
			before = e.At
		}
	}
	return before
}

// record makes transitions of many sagas durable, with what the outbox tells of them. One whose saga was changed by
// somebody else meanwhile is stale, one whose shard has another owner is fenced off; nothing of it is written.
func (e *engine) record(ctx context.Context, tx *pg.Tx, batch []transition) ([]groupcommit.Result[struct{}], error) {
	results := make([]groupcommit.Result[struct{}], len(batch))
	held, err := hold(ctx, tx, batch)
	if err != nil {
		return nil, err
	}
	good := make([]transition, 0, len(batch))
	var events []bus.Event
	for i, t := range batch {
		switch {
		case t.epoch != 0 && held.epochs[shardOf(t.view.id)] != t.epoch:
			results[i].Err = errFenced
		case t.events[0].Seq != held.last[t.view.id]+1:
			results[i].Err = errStale
		default:
			held.last[t.view.id] = t.after.seq
			good = append(good, t)
			for _, event := range eventsOf(t) {
				event.SagaID = t.view.id.String()
				events = append(events, event)
			}
		}
	}
	if len(good) == 0 {
		return results, nil
	}
	if err := appendAll(ctx, tx, good); err != nil {
		return nil, err
	}
	return results, e.outbox.Write(ctx, tx, events...)
}

// logged gives ctx what every line of the log about a saga says: its id, and its trace.
func (v sagaView) logged(ctx context.Context) context.Context {
	return telemetry.WithSaga(telemetry.InTrace(ctx, v.traceparent), v.id.String())
}

// announce tells the log and those who watch of a transition that is durable.
func (e *engine) announce(ctx context.Context, t transition) {
	e.tell(t)
	for _, event := range t.events {
		level := slog.LevelDebug
		switch event.Type {
		case saga.SagaParked:
			level = slog.LevelWarn
		case saga.CompensationDecided:
			level = slog.LevelInfo
		}
		if e.log.Enabled(ctx, level) {
			e.log.LogAttrs(t.view.logged(ctx), level, "saga recorded an event", slog.Int("seq", event.Seq),
				slog.String("type", string(event.Type)), slog.String("step", event.Step), slog.String("cause", event.Cause),
				slog.String("reference", t.view.subjectID()))
		}
	}
}
