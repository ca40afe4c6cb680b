package shipment

import (
	"context"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

const methodCancel = "Cancel"

// cancel undoes the schedule of the same key; nil when there was none. From then on that schedule is refused.
func (s *shipments) cancel(ctx context.Context, r request) (*shipment, error) {
	claim, answer, err := idem.Begin[*shipment](ctx, s.pool, r.idem(methodCancel), lease, func(ctx context.Context, tx *pg.Tx) (string, error) {
		return buried(ctx, tx, r)
	})
	if err != nil || claim == nil {
		return answer, err
	}
	if claim.Resource != "" {
		calling, cancel := context.WithTimeout(ctx, carrierTimeout)
		defer cancel()
		err = s.carrier.Cancel(calling, r.carrierKey())
	}

	ctx, cancel := recording(ctx)
	defer cancel()
	if err != nil {
		return nil, outcomeUnknown(ctx, claim, s.log, err)
	}
	return claim.Finish(ctx, func(ctx context.Context, tx *pg.Tx) (*shipment, *rpcerr.Error, error) {
		if claim.Resource == "" {
			return nil, nil, nil
		}
		undone, err := newStore(tx).settle(ctx, claim.Resource, func(sh *shipment) { sh.State = cancelled })
		if err != nil {
			return nil, nil, err
		}
		return &undone, nil, s.outbox.Write(ctx, tx, eventCancelled(undone))
	})
}

// buried refuses the schedule of a key for ever and gives the shipment that the carrier may have taken under it;
// "" when it cannot have taken one.
func buried(ctx context.Context, tx *pg.Tx, r request) (string, error) {
	resource, _, err := idem.Bury(ctx, tx, r.idem(methodSchedule))
	if err != nil || resource == "" {
		return "", err
	}
	sh, err := newStore(tx).lock(ctx, resource)
	if err != nil || sh.State == refused {
		return "", err
	}
	return resource, nil
}
