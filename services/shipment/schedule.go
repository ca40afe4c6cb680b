package shipment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/shipment/carrier"
)

const methodSchedule = "Schedule"

type scheduleCommand struct {
	request
	reference string
	address   carrier.Address
}

// schedule has the carrier come. Refused with CARRIER_REFUSED; CARRIER_OUTCOME_UNKNOWN when its answer was lost.
func (s *shipments) schedule(ctx context.Context, c scheduleCommand) (shipment, error) {
	address, err := json.Marshal(c.address)
	if err != nil {
		return shipment{}, fmt.Errorf("encoding address: %w", err)
	}
	r := c.idem(methodSchedule,
		idem.Field{Name: "reference", Value: c.reference}, idem.Field{Name: "address", Value: string(address)})
	claim, answer, err := idem.Begin[shipment](ctx, s.pool, r, lease, func(ctx context.Context, tx *pg.Tx) (string, error) {
		made := id.New[shipmentKind]()
		return made.String(), newStore(tx).insert(ctx, made, c)
	})
	if err != nil || claim == nil {
		return answer, err
	}

	calling, cancel := context.WithTimeout(ctx, carrierTimeout)
	defer cancel()
	tracking, err := s.carrier.Book(calling, carrier.Booking{Key: c.carrierKey(), Reference: c.reference, Address: c.address})
	refusal, isRefusal := errors.AsType[*carrier.RefusedError](err)

	ctx, cancel = recording(ctx)
	defer cancel()
	if err != nil && !isRefusal {
		return shipment{}, outcomeUnknown(ctx, claim, s.log, err)
	}
	return claim.Finish(ctx, func(ctx context.Context, tx *pg.Tx) (shipment, *rpcerr.Error, error) {
		if isRefusal {
			return s.recordRefusal(ctx, tx, claim.Resource, refusal.Reason)
		}
		return s.recordBooking(ctx, tx, claim.Resource, tracking)
	})
}

func (s *shipments) recordBooking(ctx context.Context, tx *pg.Tx, shipmentID, tracking string) (shipment, *rpcerr.Error, error) {
	booked, err := newStore(tx).settle(ctx, shipmentID, func(sh *shipment) {
		sh.State, sh.TrackingNumber = scheduled, tracking
	})
	if err != nil {
		return shipment{}, nil, err
	}
	return booked, nil, s.outbox.Write(ctx, tx, eventScheduled(booked))
}

func (s *shipments) recordRefusal(ctx context.Context, tx *pg.Tx, shipmentID, reason string) (shipment, *rpcerr.Error, error) {
	ended, err := newStore(tx).settle(ctx, shipmentID, func(sh *shipment) {
		sh.State, sh.RefusalReason = refused, reason
	})
	if err != nil {
		return shipment{}, nil, err
	}
	refusal := rpcerr.New(rpcerr.CarrierRefused, "the carrier does not take the shipment: %s", reason)
	return ended, refusal, s.outbox.Write(ctx, tx, eventRefused(ended))
}
