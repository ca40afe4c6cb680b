package shipment

import (
	"context"
	"errors"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// errNeverSeen says of a schedule that is looked up that nobody has asked for it. It is no refusal, so that nothing
// is stored under the key.
var errNeverSeen = errors.New("the schedule was never seen")

// beginLookUp takes over schedules that nobody works on, to find out what came of them.
func (s *shipments) beginLookUp(ctx context.Context, tx *pg.Tx, batch []*scheduleCommand) ([]groupcommit.Result[idem.Begun[*shipment]], error) {
	all, err := openings(batch)
	if err != nil {
		return nil, err
	}
	begun, err := idem.BeginAll[*shipment](ctx, tx, all, lease, func(_ context.Context, _ *pg.Tx, fresh []int) ([]idem.Intent, error) {
		intents := make([]idem.Intent, len(fresh))
		for n := range intents {
			intents[n].Err = errNeverSeen
		}
		return intents, nil
	})
	if err != nil {
		return nil, err
	}
	return begun, completed(ctx, tx, batch, begun)
}

// lookUp asks the carrier what became of a schedule, whose answer was lost or was never asked for. What it knows is
// the schedule's outcome, as if it had been answered then.
//
// NOT_FOUND is safe only in so far as whoever schedules again does so under the same key: an earlier schedule may
// still be travelling, to this service or from it to the carrier, and whichever comes second is then the same intent
// as the first, to both of them.
func (s *shipments) lookUp(ctx context.Context, c *scheduleCommand, claim *idem.Claim) (ending, error) {
	return s.ask(ctx, c.request, "shipment.LookUpSchedule", claim, c.parcel, func(ctx context.Context, by carrier.Carrier) (ending, error) {
		tracking, found, err := by.Lookup(ctx, c.parcel.booking)
		if err == nil && !found {
			return ending{Ending: idem.Ending{GiveBack: notScheduled()}}, nil
		}
		return booked(tracking, err)
	})
}

func notScheduled() error {
	return rpcerr.ForField(rpcerr.NotFound, "idempotency_key", "nothing was scheduled under it")
}
