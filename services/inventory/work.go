package inventory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/inventory/stock"
)

// work is what a batch does, decided in memory request by request, each seeing what those before it did, and then
// written at once: a SKU that many want is one row that is written once.
//
// All batches take their locks in one order, each kind by id, so that none waits for another in a circle: the
// idempotency rows of steps to be undone, reservations, levels, and with the last statements new levels and
// idempotency rows.
type work struct {
	lockedLevels                 // as they are after what was decided so far
	now          time.Time       // of the transaction, where something is to expire
	created      map[string]bool // SKUs that become known

	moves   []move
	made    []reservation
	settled map[reservationState][]uuid.UUID
	written []levelAt // the levels as they were written
	actions []action
	events  []bus.Event
}

// move is a stock event and the reservation or the action it belongs to; the zero id for neither.
type move struct {
	event stock.Event
	cause uuid.UUID
}

// action is what a person did to the stock of a SKU: the audit row.
type action struct {
	id                       uuid.UUID
	actor, verb, sku, reason string
}

// begin locks the levels of lines.
func begin(ctx context.Context, st store, lines ...[]stock.Line) (*work, error) {
	skus := map[string]bool{}
	for _, some := range lines {
		for _, l := range some {
			skus[l.SKU] = true
		}
	}
	locked, err := st.lockLevels(ctx, slices.Collect(maps.Keys(skus)))
	return &work{lockedLevels: locked, created: map[string]bool{}, settled: map[reservationState][]uuid.UUID{}}, err
}

// record moves the pieces of consolidated lines, all or nothing.
func (w *work) record(t stock.EventType, lines []stock.Line, cause uuid.UUID) error {
	var created []string
	for _, l := range lines {
		if _, known := w.levels[l.SKU]; !known {
			created = append(created, l.SKU)
		}
	}
	events := stock.Events(t, lines)
	if err := stock.Record(w.levels, events); err != nil {
		return err
	}
	for _, sku := range created {
		w.created[sku] = true
	}
	for _, e := range events {
		w.moves = append(w.moves, move{e, cause})
	}
	return nil
}

// settle moves the pieces of a held reservation, and the reservation to a state.
func (w *work) settle(r *reservation, to reservationState, by stock.EventType) error {
	if err := w.record(by, r.Lines, r.ID.UUID()); err != nil {
		return err
	}
	r.State, r.ExpiresAt = to, nil
	w.settled[to] = append(w.settled[to], r.ID.UUID())
	return nil
}

// changed gives the SKUs whose levels changed, in order.
func (w *work) changed() []string {
	skus := map[string]bool{}
	for _, m := range w.moves {
		skus[m.event.SKU] = true
	}
	return slices.Sorted(maps.Keys(skus))
}

// write writes all of it, one statement a table, and all of them together.
func (s *inventory) write(ctx context.Context, tx *pg.Tx, w *work) error {
	if len(w.moves) == 0 {
		return nil
	}
	st := newStore(tx.Later())
	if len(w.made) > 0 {
		if err := st.insertReservations(ctx, w.made); err != nil {
			return err
		}
	}
	for to, ids := range w.settled {
		if err := st.setReservationStates(ctx, to, ids); err != nil {
			return err
		}
	}
	if len(w.actions) > 0 {
		if err := st.insertActions(ctx, w.actions...); err != nil {
			return err
		}
	}
	if err := st.insertStockEvents(ctx, w.moves); err != nil {
		return err
	}
	changed := w.changed()
	levels := make([]stock.Level, len(changed))
	for i, sku := range changed {
		levels[i] = w.levels[sku]
	}
	written, err := st.putLevels(ctx, w.lockedLevels, levels, w.created)
	if err != nil {
		return err
	}
	w.written = written
	s.levelsWritten(tx, written, w.created)
	return s.outbox.Write(ctx, tx, w.events...)
}
