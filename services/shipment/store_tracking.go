package shipment

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tieout/tieout/services/shipment/shipmentdb"
)

// holdTracking locks shipments, and gives what was told of them.
func (s store) holdTracking(ctx context.Context, parcels []*parcel) (map[uuid.UUID]*tracking, error) {
	held, err := s.lock(ctx, parcelIDs(parcels))
	if err != nil {
		return nil, err
	}
	known := make(map[uuid.UUID]*tracking, len(held))
	for sid, row := range held {
		known[sid] = &tracking{state: shipmentState(row.State), seen: map[string]bool{}}
	}
	rows, err := s.q.FindTrackingEvents(ctx, parcelIDs(parcels))
	if err != nil {
		return nil, fmt.Errorf("reading tracking events: %w", err)
	}
	for _, row := range rows {
		k := known[row.ShipmentID]
		k.seen[row.EventID], k.last = true, row.Seq
	}
	return known, nil
}

// putTracking writes what was told of shipments that are locked, and gives those of which something is new.
func (s store) putTracking(ctx context.Context, known map[uuid.UUID]*tracking, news []trackingEvent) (map[shipmentID]shipment, error) {
	var e shipmentdb.InsertTrackingEventsParams
	for _, n := range news {
		e.ShipmentIds, e.Seqs = append(e.ShipmentIds, n.shipment.UUID()), append(e.Seqs, n.Seq)
		e.Carriers, e.EventIds = append(e.Carriers, n.carrier), append(e.EventIds, n.ID)
		e.States, e.Details = append(e.States, int16(n.State)), append(e.Details, n.Detail)
		e.HappenedAts = append(e.HappenedAts, n.At)
	}
	if err := s.q.InsertTrackingEvents(ctx, e); err != nil {
		return nil, fmt.Errorf("writing tracking events: %w", err)
	}
	var p shipmentdb.TrackedParams
	for sid, k := range known {
		if k.news {
			p.Ids, p.States = append(p.Ids, sid), append(p.States, int16(k.state))
		}
	}
	rows, err := s.q.Tracked(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("writing shipments: %w", err)
	}
	now := make(map[shipmentID]shipment, len(rows))
	for _, row := range rows {
		if now[shipmentID(row.ID)], err = shipmentOf(shipmentdb.GetShipmentRow(row)); err != nil {
			return nil, err
		}
	}
	return now, nil
}

// trackingEvents reads up to n of what was told of a shipment behind a place.
func (s store) trackingEvents(ctx context.Context, sid shipmentID, after, n int32) ([]trackingEvent, error) {
	rows, err := s.q.ListTrackingEvents(ctx, shipmentdb.ListTrackingEventsParams{ShipmentID: sid.UUID(), After: after, N: n})
	if err != nil {
		return nil, fmt.Errorf("reading tracking events: %w", err)
	}
	list := make([]trackingEvent, len(rows))
	for i, row := range rows {
		list[i] = trackingEvent{
			shipment: sid, Seq: row.Seq, ID: row.EventID, State: shipmentState(row.State), Detail: row.Detail,
			At: row.HappenedAt, CreatedAt: row.CreatedAt,
		}
	}
	return list, nil
}
