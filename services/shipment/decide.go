package shipment

import (
	"context"
	"slices"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/shipment/carrier"
)

const methodCancelShipment = "CancelShipment"

// decision is an operator's, to cancel a shipment.
type decision struct {
	request
	shipmentID, reason string

	parcel *parcel // from its beginning on
}

// beginDecision marks shipments as being cancelled, with the audit rows of who decided that.
func (s *shipments) beginDecision(ctx context.Context, tx *pg.Tx, batch []*decision) ([]groupcommit.Result[idem.Begun[*shipment]], error) {
	all := make([]idem.Opening, len(batch))
	for i, d := range batch {
		all[i] = idem.Opening{Token: d.token, Request: d.idem(methodCancelShipment, idem.Field{Name: "shipment_id", Value: d.shipmentID})}
	}
	st := newStore(tx)
	begun, err := idem.BeginAll[*shipment](ctx, tx, all, lease, func(ctx context.Context, _ *pg.Tx, fresh []int) ([]idem.Intent, error) {
		decisions := make([]*decision, len(fresh))
		for n, i := range fresh {
			decisions[n] = batch[i]
		}
		return st.decide(ctx, decisions)
	})
	if err != nil {
		return nil, err
	}
	var known []string
	for _, b := range begun {
		if claim := b.Value.Claim; claim != nil {
			known = append(known, claim.Resource)
		}
	}
	parcels, err := st.parcels(ctx, known)
	if err != nil {
		return nil, err
	}
	for i, b := range begun {
		if claim := b.Value.Claim; claim != nil {
			batch[i].parcel = parcels[claim.Resource]
		}
	}
	return begun, nil
}

// decide writes decisions on shipments that can be cancelled, and refuses the others.
func (s store) decide(ctx context.Context, decisions []*decision) ([]idem.Intent, error) {
	var named []string
	for _, d := range decisions {
		if _, err := id.Parse[shipmentKind](d.shipmentID); err == nil && !slices.Contains(named, d.shipmentID) {
			named = append(named, d.shipmentID)
		}
	}
	parcels, err := s.hold(ctx, named)
	if err != nil {
		return nil, err
	}
	intents := make([]idem.Intent, len(decisions))
	var accepted []*decision
	for n, d := range decisions {
		d.parcel = parcels[d.shipmentID]
		if intents[n].Err = d.refusal(); intents[n].Err == nil {
			intents[n].Resource = d.parcel.id.String()
			accepted = append(accepted, d)
		}
	}
	return intents, s.markDecided(ctx, accepted)
}

// refusal says why a shipment cannot be cancelled. What may or may not be scheduled is not: it is found out first.
func (d *decision) refusal() error {
	switch {
	case d.parcel == nil:
		return rpcerr.ForField(rpcerr.NotFound, "shipment_id", "there is no shipment %q", d.shipmentID)
	case d.parcel.state.left():
		return hasLeft()
	case d.parcel.state != scheduled:
		return rpcerr.ForField(rpcerr.ShipmentStateRefused, "shipment_id", "%s is not scheduled: it is %s", d.shipmentID, d.parcel.state)
	}
	return nil
}

// cancelDecided has the carrier cancel what an operator decided to. Its outcomes are those of a Cancel.
func (s *shipments) cancelDecided(ctx context.Context, d *decision, claim *idem.Claim) (ending, error) {
	return s.ask(ctx, d.request, "shipment.CancelShipment", claim, d.parcel, func(ctx context.Context, by carrier.Carrier) (ending, error) {
		return undone(by.Cancel(ctx, d.parcel.booking))
	})
}
