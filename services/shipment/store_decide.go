package shipment

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/services/shipment/shipmentdb"
)

// hold locks shipments by id, and gives those that are there.
func (s store) hold(ctx context.Context, shipmentIDs []string) (map[string]*parcel, error) {
	ids := make([]uuid.UUID, len(shipmentIDs))
	for i, text := range shipmentIDs {
		sid, err := id.Parse[shipmentKind](text)
		if err != nil {
			return nil, fmt.Errorf("locking shipments: %w", err)
		}
		ids[i] = sid.UUID()
	}
	if _, err := s.lock(ctx, ids); err != nil {
		return nil, err
	}
	return s.parcels(ctx, shipmentIDs)
}

// markDecided writes that people have shipments cancelled, and who and why.
func (s store) markDecided(ctx context.Context, decisions []*decision) error {
	if len(decisions) == 0 {
		return nil
	}
	var p shipmentdb.InsertActionsParams
	parcels := make([]*parcel, len(decisions))
	for i, d := range decisions {
		parcels[i] = d.parcel
		p.Ids, p.Actors = append(p.Ids, uuid.Must(uuid.NewV7())), append(p.Actors, d.caller)
		p.Reasons, p.ShipmentIds = append(p.Reasons, d.reason), append(p.ShipmentIds, d.parcel.id.UUID())
		p.IdempotencyKeys = append(p.IdempotencyKeys, d.key)
	}
	if err := s.q.InsertActions(ctx, p); err != nil {
		return fmt.Errorf("writing audit rows: %w", err)
	}
	if err := s.q.MarkByOperator(ctx, parcelIDs(parcels)); err != nil {
		return fmt.Errorf("marking shipments: %w", err)
	}
	return s.markCancelling(ctx, parcels)
}

// decision gives the last decision to cancel a shipment, to be asked for again.
func (s store) decision(ctx context.Context, p *parcel) (*decision, error) {
	row, err := s.q.GetCancellation(ctx, p.id.UUID())
	if err != nil {
		return nil, fmt.Errorf("reading audit rows: %w", err)
	}
	return &decision{
		request: request{caller: row.Actor, key: row.IdempotencyKey, token: uuid.New()}, shipmentID: p.id.String(), reason: row.Reason,
	}, nil
}
