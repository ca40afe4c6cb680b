package shipment

import (
	"context"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// get gives one shipment; NOT_FOUND when there is none.
func (s *shipments) get(ctx context.Context, shipmentID string) (shipment, error) {
	return newStore(s.pool).get(ctx, shipmentID)
}

// list gives up to n shipments that are older than the one of the given id, newest first; "" is before them all.
func (s *shipments) list(ctx context.Context, before string, n int32) ([]shipment, error) {
	var from shipmentID
	if err := from.UnmarshalText([]byte(before)); err != nil {
		return nil, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
	}
	return newStore(s.pool).list(ctx, from, n)
}
