package shipment

import (
	"context"
	"errors"
	"log/slog"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// get gives one shipment; NOT_FOUND when there is none.
func (s *shipments) get(ctx context.Context, shipmentID string) (shipment, error) {
	return newStore(s.pool).get(ctx, shipmentID)
}

// selection is which shipments are wanted: in a state, for an order; the zero value for all.
type selection struct {
	state     shipmentState
	reference string
}

// list gives up to n of the wanted shipments made before one, newest first.
func (s *shipments) list(ctx context.Context, wanted selection, before shipmentID, n int32) ([]shipment, error) {
	return newStore(s.pool).list(ctx, wanted, before, n)
}

// track asks the carrier now how far a shipment is, and gives it as it is then.
func (s *shipments) track(ctx context.Context, shipmentID string) (shipment, error) {
	if _, err := s.get(ctx, shipmentID); err != nil {
		return shipment{}, err
	}
	parcels, err := newStore(s.pool).parcels(ctx, []string{shipmentID})
	if err != nil {
		return shipment{}, err
	}
	if err := s.look(ctx, parcels[shipmentID]); err != nil {
		s.log.WarnContext(ctx, "a shipment was looked at in vain", slog.String("shipment_id", shipmentID), slog.Any("error", err))
		if e, ours := errors.AsType[*rpcerr.Error](err); !ours || e.Reason == rpcerr.CarrierOutcomeUnknown {
			return shipment{}, err
		}
	}
	return s.get(ctx, shipmentID)
}

// told gives up to n of what was told of a shipment behind a place; NOT_FOUND when there is no such shipment.
func (s *shipments) told(ctx context.Context, shipmentID string, after, n int32) ([]trackingEvent, error) {
	st := newStore(s.pool)
	sh, err := st.get(ctx, shipmentID)
	if err != nil {
		return nil, err
	}
	return st.trackingEvents(ctx, sh.ID, after, n)
}
