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

func (c commitCommand) idem() (idem.Request, error) {
	return c.request.idem(methodCommit, 0, idem.Field{Name: "reservation_id", Value: c.reservationID}), nil
}

// commit takes the reserved pieces out of stock. Refused with NOT_FOUND, RESERVATION_NOT_HELD or
// RESERVATION_EXPIRED.
func (s *inventory) commit(ctx context.Context, tx *pg.Tx, batch []commitCommand) (results[reservation], error) {
	requests, err := idems(batch, commitCommand.idem)
	if err != nil {
		return nil, err
	}
	return idem.OnceAll(ctx, tx, requests, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Outcome[reservation], error) {
		ids := make([]string, len(fresh))
		for n, i := range fresh {
			ids[n] = batch[i].reservationID
		}
		reservations, w, err := beginSettling(ctx, newStore(tx), ids)
		if err != nil {
			return nil, err
		}
		outcomes := make([]idem.Outcome[reservation], len(fresh))
		for n, i := range fresh {
			r := reservations[ids[n]]
			switch {
			case r == nil:
				outcomes[n].Err = rpcerr.ForField(rpcerr.NotFound, "reservation_id", "there is no reservation %q", ids[n])
				continue
			case r.State == expired:
				outcomes[n].Err = rpcerr.New(rpcerr.ReservationExpired, "the time of reservation %s was over, and its pieces are back in stock", r.ID)
				continue
			case r.State != held:
				outcomes[n].Err = rpcerr.New(rpcerr.ReservationNotHeld, "reservation %s is not held any more", r.ID)
				continue
			}
			if err := w.settle(r, committed, stock.Committed); err != nil {
				return nil, err
			}
			w.events = append(w.events, batch[i].in(eventCommitted(*r)))
			outcomes[n] = idem.Outcome[reservation]{Answer: *r, Resource: r.ID.String()}
		}
		return outcomes, s.write(ctx, tx, w)
	})
}
