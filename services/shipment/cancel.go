package shipment

import (
	"context"
	"errors"
	"fmt"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/shipment/carrier"
)

const methodCancel = "Cancel"

type cancelCommand struct {
	request
	parcel *parcel // nil when there is nothing to undo at the carrier; known from its beginning on
}

// beginCancel refuses the schedules of the same keys for ever, but for those of shipments that the carrier has:
// SHIPMENT_HANDED_OVER, and nothing is written.
func (s *shipments) beginCancel(ctx context.Context, tx *pg.Tx, batch []*cancelCommand) ([]groupcommit.Result[idem.Begun[*shipment]], error) {
	left, err := newStore(tx).handedOver(ctx, batch)
	if err != nil {
		return nil, err
	}
	results := make([]groupcommit.Result[idem.Begun[*shipment]], len(batch))
	var open []*cancelCommand
	var at []int
	for i, c := range batch {
		if left[c.carrierKey()] {
			results[i].Err = hasLeft()
			continue
		}
		open, at = append(open, c), append(at, i)
	}
	begun, err := s.beginUndo(ctx, tx, open)
	for n, b := range begun {
		results[at[n]] = b
	}
	return results, err
}

func (s *shipments) beginUndo(ctx context.Context, tx *pg.Tx, batch []*cancelCommand) ([]groupcommit.Result[idem.Begun[*shipment]], error) {
	all := make([]idem.Opening, len(batch))
	for i, c := range batch {
		all[i] = idem.Opening{Request: c.idem(methodCancel), Token: c.token, Of: c.idem(methodSchedule)}
	}
	begun, err := idem.BeginUndoAll[*shipment](ctx, tx, all, lease)
	if err != nil {
		return nil, err
	}
	var made []string
	for _, b := range begun {
		if claim := b.Value.Claim; claim != nil && claim.Resource != "" {
			made = append(made, claim.Resource)
		}
	}
	parcels, err := newStore(tx).parcels(ctx, made)
	if err != nil {
		return nil, err
	}
	var undone []*parcel
	for i, b := range begun {
		claim := b.Value.Claim
		if claim == nil {
			continue
		}
		if batch[i].parcel = parcels[claim.Resource]; batch[i].parcel != nil && batch[i].parcel.state == refused {
			batch[i].parcel = nil
		}
		if p := batch[i].parcel; p != nil && !p.cancelling {
			undone = append(undone, p)
		}
	}
	return begun, newStore(tx.Later()).markCancelling(ctx, undone)
}

// cancel undoes the schedule of the same key; nil when there was none, or the carrier had refused it. When the
// carrier's answer was lost it is CARRIER_OUTCOME_UNKNOWN. Refused with SHIPMENT_HANDED_OVER, which is told by nobody
// but the carrier.
func (s *shipments) cancel(ctx context.Context, c *cancelCommand, claim *idem.Claim) (ending, error) {
	return s.ask(ctx, c.request, "shipment.Cancel", claim, c.parcel, func(ctx context.Context, by carrier.Carrier) (ending, error) {
		return undone(by.Cancel(ctx, c.parcel.booking))
	})
}

// undone is what the carrier's answer to a cancellation means.
func undone(err error) (ending, error) {
	if has, ok := errors.AsType[*carrier.HandedOverError](err); ok {
		if !isName(has.Tracking) {
			return ending{}, fmt.Errorf("the carrier gives %q as a tracking number", has.Tracking)
		}
		return ending{state: handedOver, tracking: has.Tracking}, nil
	}
	return ending{state: cancelled}, err
}

func hasLeft() error {
	return rpcerr.New(rpcerr.ShipmentHandedOver, "the carrier has the shipment already, and brings it")
}
