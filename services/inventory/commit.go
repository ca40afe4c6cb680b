package inventory

import (
	"context"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/stock"
)

const methodCommit = "Commit"

type commitCommand struct {
	request
	reservationID string
}

// commit takes the reserved pieces out of stock.
func (s *inventory) commit(ctx context.Context, c commitCommand) (reservation, error) {
	r := c.idem(methodCommit, 0, idem.Field{Name: "reservation_id", Value: c.reservationID})
	return idem.Once(ctx, s.pool, r, func(ctx context.Context, tx *pg.Tx) (reservation, string, error) {
		st := newStore(tx)
		res, err := st.lockReservation(ctx, c.reservationID)
		if err != nil {
			return reservation{}, "", err
		}
		if res.State != held {
			return reservation{}, "", rpcerr.New(rpcerr.ReservationNotHeld, "reservation %s is not held any more", res.ID)
		}
		if err := st.settle(ctx, &res, committed, stock.Committed); err != nil {
			return reservation{}, "", err
		}
		return res, res.ID.String(), s.outbox.Write(ctx, tx, eventCommitted(res))
	})
}
