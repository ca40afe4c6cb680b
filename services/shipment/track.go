package shipment

import "context"

// get gives one shipment; NOT_FOUND when there is none.
func (s *shipments) get(ctx context.Context, shipmentID string) (shipment, error) {
	return newStore(s.pool).get(ctx, shipmentID)
}

// list gives up to n shipments made before one, newest first.
func (s *shipments) list(ctx context.Context, before shipmentID, n int32) ([]shipment, error) {
	return newStore(s.pool).list(ctx, before, n)
}
