package inventory

import (
	"context"
	"errors"
	"fmt"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/inventory/stock"
)

// expireBatch is how many reservations expire in one transaction at most.
const expireBatch = 256

// expireOnce puts the pieces of reservations whose time is over back into stock. Whoever locks a reservation first, this
// or what commits or releases it, ends it; the other finds that it is not held any more. So do several replicas, and a
// round whose COMMIT got no answer is simply followed by the next one.
func (s *inventory) expireOnce(ctx context.Context) (again bool, err error) {
	due, err := newStore(s.pool).dueReservations(ctx, expireBatch)
	if err != nil || len(due) == 0 {
		return false, err
	}
	var damaged error
	err = pg.InTx(ctx, s.pool, func(tx *pg.Tx) error {
		reservations, w, err := beginSettling(ctx, newStore(tx), due)
		if err != nil {
			return err
		}
		for _, id := range due {
			r := reservations[id]
			if r == nil || r.State != held {
				continue
			}
			if err := w.settle(r, expired, stock.Expired); err != nil { // hinders no other
				damaged = errors.Join(damaged, fmt.Errorf("expiring reservation %s: %w", id, err))
				continue
			}
			w.events = append(w.events, eventExpired(*r))
		}
		return s.write(ctx, tx, w)
	})
	if err = errors.Join(err, damaged); err != nil {
		return false, err
	}
	return len(due) == expireBatch, nil
}
