package orchestrator

import (
	"context"
	"errors"
	"log/slog"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// errStale says that somebody else wrote the saga's next event first.
var errStale = errors.New("the saga was changed by somebody else")

// transition is events of one saga on their way into the database, with the state they lead to.
type transition struct {
	view   sagaView // as it was before
	def    saga.Definition
	events []saga.Event
	state  saga.State
}

type transitions = groupcommit.Group[transition, struct{}]

// transit makes a transition of events that follow on the run's state.
func (r run) transit(events []saga.Event) (transition, error) {
	t := transition{view: r.view, def: r.def, events: events, state: r.state}
	for _, event := range events {
		var err error
		if t.state, err = saga.Apply(r.def, t.state, event); err != nil {
			return t, err
		}
	}
	return t, nil
}

// record makes transitions of many sagas durable, with what the outbox tells of them. One whose saga was changed by
// somebody else meanwhile is stale, and nothing of it is written.
func (e *engine) record(ctx context.Context, tx *pg.Tx, batch []transition) ([]groupcommit.Result[struct{}], error) {
	st, results := newStore(tx), make([]groupcommit.Result[struct{}], len(batch))
	ids := make([]SagaID, len(batch))
	for i, t := range batch {
		ids[i] = t.view.id
	}
	last, err := st.lockSagas(ctx, ids...)
	if err != nil {
		return nil, err
	}
	var good []transition
	var events []bus.Event
	for i, t := range batch {
		if t.events[0].Seq != last[t.view.id]+1 {
			results[i].Err = errStale
			continue
		}
		last[t.view.id] = t.state.Seq
		good, events = append(good, t), append(events, eventsOf(t.view, t.events, t.state.Cause)...)
	}
	if len(good) == 0 {
		return results, nil
	}
	if err := st.append(ctx, good); err != nil {
		return nil, err
	}
	return results, e.outbox.Write(ctx, tx, events...)
}

// announce tells the log, the metrics and those who watch of a transition that is durable.
func (e *engine) announce(ctx context.Context, t transition) {
	e.watchers.recorded(t)
	for _, event := range t.events {
		e.metrics.recorded(ctx, event)
		e.log.InfoContext(ctx, "saga recorded an event", slog.Int("seq", event.Seq), slog.String("type", string(event.Type)),
			slog.String("step", event.Step), slog.String("cause", event.Cause), slog.String("order_id", t.view.orderID.String()))
	}
}
