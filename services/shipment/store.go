package shipment

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/shipment/carrier"
	"github.com/tieout/tieout/services/shipment/shipmentdb"
)

// store is rows ↔ domain, on a pool or in a transaction.
type store struct{ q *shipmentdb.Queries }

func newStore(db shipmentdb.DBTX) store { return store{shipmentdb.New(db)} }

// insert writes shipments in state scheduling.
func (s store) insert(ctx context.Context, made []*parcel) error {
	if len(made) == 0 {
		return nil
	}
	var p shipmentdb.InsertShipmentsParams
	for _, m := range made {
		address, err := json.Marshal(m.booking.Address)
		if err != nil {
			return fmt.Errorf("encoding address: %w", err)
		}
		p.Ids, p.Refs = append(p.Ids, m.id.UUID()), append(p.Refs, m.booking.Reference)
		p.Addresses, p.CarrierKeys = append(p.Addresses, address), append(p.CarrierKeys, m.booking.Key)
		p.Carriers, p.ServiceLevels = append(p.Carriers, m.carrier), append(p.ServiceLevels, int16(m.booking.Level))
		p.Callers, p.IdempotencyKeys = append(p.Callers, m.caller), append(p.IdempotencyKeys, m.key)
		p.DefaultCarriers = append(p.DefaultCarriers, m.byDefault)
	}
	if err := s.q.InsertShipments(ctx, p); err != nil {
		return fmt.Errorf("writing shipments: %w", err)
	}
	return nil
}

// parcels gives shipments as their carriers know them, by id.
func (s store) parcels(ctx context.Context, shipmentIDs []string) (map[string]*parcel, error) {
	if len(shipmentIDs) == 0 {
		return nil, nil
	}
	var known []uuid.UUID
	for _, text := range shipmentIDs {
		sid, err := id.Parse[shipmentKind](text)
		if err != nil {
			return nil, fmt.Errorf("reading shipments: %w", err)
		}
		known = append(known, sid.UUID())
	}
	rows, err := s.q.FindParcels(ctx, known)
	if err != nil {
		return nil, fmt.Errorf("reading shipments: %w", err)
	}
	found := make(map[string]*parcel, len(rows))
	for _, row := range rows {
		p := &parcel{
			id: shipmentID(row.ID), state: shipmentState(row.State), carrier: row.Carrier,
			caller: row.Caller, key: row.IdempotencyKey, byDefault: row.DefaultCarrier, cancelling: row.Cancelling, byOperator: row.ByOperator,
			booking: carrier.Booking{Key: row.CarrierKey, Reference: row.Reference, Level: carrier.Level(row.ServiceLevel),
				BookedAt: madeAt(shipmentID(row.ID))},
		}
		if err := json.Unmarshal(row.Address, &p.booking.Address); err != nil {
			return nil, fmt.Errorf("decoding address: %w", err)
		}
		found[p.id.String()] = p
	}
	return found, nil
}

// handedOver tells which shipments of cancellations the carrier has, by the key by which it knows them.
func (s store) handedOver(ctx context.Context, commands []*cancelCommand) (map[string]bool, error) {
	keys := make([]string, len(commands))
	for i, c := range commands {
		keys[i] = c.carrierKey()
	}
	rows, err := s.q.FindHandedOver(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("reading shipments: %w", err)
	}
	found := make(map[string]bool, len(rows))
	for _, k := range rows {
		found[k] = true
	}
	return found, nil
}

// markCancelling notes that parcels are to be cancelled.
func (s store) markCancelling(ctx context.Context, parcels []*parcel) error {
	if len(parcels) == 0 {
		return nil
	}
	if err := s.q.MarkCancelling(ctx, parcelIDs(parcels)); err != nil {
		return fmt.Errorf("marking shipments: %w", err)
	}
	return nil
}

func parcelIDs(parcels []*parcel) []uuid.UUID {
	ids := make([]uuid.UUID, len(parcels))
	for i, p := range parcels {
		ids[i] = p.id.UUID()
	}
	return ids
}

// heldRow is a shipment that is held.
type heldRow shipmentdb.LockShipmentsRow

// written is the row as it reads when it is written in the transaction that holds it.
func (r heldRow) written() shipmentdb.GetShipmentRow {
	return shipmentdb.GetShipmentRow{
		ID: r.ID, State: r.State, Reference: r.Reference, Address: r.Address, TrackingNumber: r.TrackingNumber,
		RefusalReason: r.RefusalReason, CreatedAt: r.CreatedAt, UpdatedAt: r.Now, Carrier: r.Carrier, ServiceLevel: r.ServiceLevel,
	}
}

// lock holds shipments.
func (s store) lock(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]heldRow, error) {
	rows, err := s.q.LockShipments(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("locking shipments: %w", err)
	}
	held := make(map[uuid.UUID]heldRow, len(rows))
	for _, row := range rows {
		held[row.ID] = heldRow(row)
	}
	return held, nil
}

// settled is a shipment as it is now, and whether that is another state than before.
type settled struct {
	shipment
	changed bool
}

// put writes down what came of shipments that the service itself names, each once: that they are there is no question of
// the client's. It gives them as they are then, in the order of their endings. One that somebody else has brought to where
// this outcome does not lead stays there.
func (s store) put(ctx context.Context, endings []ending) ([]settled, error) {
	var p shipmentdb.PutOutcomesParams
	for _, e := range endings {
		sid, err := id.Parse[shipmentKind](e.Claim.Resource)
		if err != nil {
			return nil, fmt.Errorf("writing shipments: %w", err)
		}
		p.Ids = append(p.Ids, sid.UUID())
	}
	held, err := s.lock(ctx, p.Ids)
	if err != nil {
		return nil, err
	}
	if len(held) != len(endings) {
		return nil, fmt.Errorf("writing shipments: %d are there of %d", len(held), len(endings))
	}
	all := make([]settled, len(endings))
	for i, e := range endings {
		row := held[p.Ids[i]]
		if all[i].changed = shipmentState(row.State).follow(e.state); all[i].changed {
			row.State, row.RefusalReason = int16(e.state), cmp.Or(e.reason, row.RefusalReason)
		}
		row.TrackingNumber = cmp.Or(e.tracking, row.TrackingNumber)
		p.States, p.TrackingNumbers = append(p.States, row.State), append(p.TrackingNumbers, row.TrackingNumber)
		p.RefusalReasons = append(p.RefusalReasons, row.RefusalReason)
		if all[i].shipment, err = shipmentOf(row.written()); err != nil {
			return nil, err
		}
	}
	if err := s.q.PutOutcomes(ctx, p); err != nil {
		return nil, fmt.Errorf("writing shipments: %w", err)
	}
	return all, nil
}

// get reads a shipment; NOT_FOUND when there is none.
func (s store) get(ctx context.Context, shipmentID string) (shipment, error) {
	notFound := rpcerr.ForField(rpcerr.NotFound, "shipment_id", "there is no shipment %q", shipmentID)
	sid, err := id.Parse[shipmentKind](shipmentID)
	if err != nil {
		return shipment{}, notFound
	}
	row, err := s.q.GetShipment(ctx, sid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return shipment{}, notFound
	}
	if err != nil {
		return shipment{}, fmt.Errorf("reading shipment: %w", err)
	}
	return shipmentOf(row)
}

// list reads up to n of the wanted shipments behind one in the order newest first.
func (s store) list(ctx context.Context, wanted selection, before shipmentID, n int32) ([]shipment, error) {
	rows, err := s.q.ListShipments(ctx, shipmentdb.ListShipmentsParams{
		Before: before.UUID(), State: int16(wanted.state), Reference: wanted.reference, N: n,
	})
	if err != nil {
		return nil, fmt.Errorf("listing shipments: %w", err)
	}
	list := make([]shipment, len(rows))
	for i, r := range rows {
		if list[i], err = shipmentOf(shipmentdb.GetShipmentRow(r)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func shipmentOf(row shipmentdb.GetShipmentRow) (shipment, error) {
	sh := shipment{
		ID: shipmentID(row.ID), State: shipmentState(row.State), Reference: row.Reference,
		TrackingNumber: row.TrackingNumber, RefusalReason: row.RefusalReason,
		Carrier: row.Carrier, Level: carrier.Level(row.ServiceLevel), CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
	if err := json.Unmarshal(row.Address, &sh.Address); err != nil {
		return shipment{}, fmt.Errorf("decoding address: %w", err)
	}
	return sh, nil
}
