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
func (s *inventory) release(ctx context.Context, r request) (*reservation, error) {
	return idem.Once(ctx, s.pool, r.idem(methodRelease, 0), func(ctx context.Context, tx *pg.Tx) (*reservation, string, error) {
		resource, _, err := idem.Bury(ctx, tx, r.idem(methodReserve, 0))
		if err != nil || resource == "" {
			return nil, "", err // never seen, or refused: nothing was promised
		}
		st := newStore(tx)
		res, err := st.lockReservation(ctx, resource)
		if err != nil {
			return nil, "", err
		}
		if res.State != held {
			return nil, "", rpcerr.New(rpcerr.ReservationNotHeld, "reservation %s was committed and cannot be released", res.ID)
		}
		if err := st.settle(ctx, &res, released, stock.Released); err != nil {
			return nil, "", err
		}
		return &res, res.ID.String(), s.outbox.Write(ctx, tx, eventReleased(res))
	})
}
