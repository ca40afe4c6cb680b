package inventory

import (
	"context"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/stock"
)

const methodRelease = "Release"

// release undoes the reserve of the same key; nil when there was none. From then on that reserve is refused.
func (s *inventory) release(ctx context.Context, tx *pg.Tx, batch []request) (results[*reservation], error) {
	undos := make([]idem.Undo, len(batch))
	for i, r := range batch {
		undos[i] = idem.Undo{Request: r.idem(methodRelease, 0), Of: r.idem(methodReserve, 0)}
	}
	return idem.UndoAll(ctx, tx, undos, func(ctx context.Context, tx *pg.Tx, fresh []int, made []string) ([]idem.Outcome[*reservation], error) {
		reservations, w, err := beginSettling(ctx, newStore(tx), made)
		if err != nil {
			return nil, err
		}
		outcomes := make([]idem.Outcome[*reservation], len(fresh))
		for n, i := range fresh {
			r := reservations[made[n]]
			switch {
			case r == nil: // never seen, or refused: nothing was promised
				continue
			case r.State == expired: // its pieces are back already
				outcomes[n] = idem.Outcome[*reservation]{Answer: r, Resource: r.ID.String()}
				continue
			case r.State != held:
				outcomes[n].Err = rpcerr.New(rpcerr.ReservationNotHeld, "reservation %s was committed and cannot be released", r.ID)
				continue
			}
			if err := w.settle(r, released, stock.Released); err != nil {
				return nil, err
			}
			w.events = append(w.events, batch[i].in(eventReleased(*r)))
			outcomes[n] = idem.Outcome[*reservation]{Answer: r, Resource: r.ID.String()}
		}
		return outcomes, s.write(ctx, tx, w)
	})
}

// beginSettling locks reservations, by id, and the levels of their lines.
func beginSettling(ctx context.Context, st store, ids []string) (map[string]*reservation, *work, error) {
	reservations, err := st.lockReservations(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	var lines []stock.Line
	for _, r := range reservations {
		lines = append(lines, r.Lines...)
	}
	w, err := begin(ctx, st, lines)
	return reservations, w, err
}
