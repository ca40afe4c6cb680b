package orchestrator

import (
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/id"
)

// told has the sagas of some orders and recurring payments ask now what they wait to be told: an event says that
// something happened.
func (e *engine) told(subjects []uuid.UUID) {
	for _, id := range subjects {
		e.mu.Lock()
		l := e.pending[id]
		e.mu.Unlock()
		if l != nil {
			e.timers.ask(l)
		}
	}
}

// paid is told, for the recurring payment that an event is about; orders are told by their timeline.
func (e *engine) paid(m *nats.Msg) {
	e.mu.Lock()
	waiting := len(e.pending) > 0
	e.mu.Unlock()
	if !waiting {
		return
	}
	event, err := bus.Decode(m.Header, m.Data)
	if err != nil {
		return // whoever consumes it buries it
	}
	if recurringID, err := id.Parse[recurringKind](event.Reference); err == nil {
		e.told([]uuid.UUID{recurringID.UUID()})
	}
}

// isPending tells whether a participant has taken over the step that the saga is at.
func (l *live) isPending() bool {
	return len(l.state.Steps) > 0 && l.state.Steps[l.state.At()].Pending
}
