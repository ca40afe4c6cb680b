package shipment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/shipment/shipmentdb"
)

// store is rows ↔ domain, on a pool or in a transaction.
type store struct{ q *shipmentdb.Queries }

func newStore(db shipmentdb.DBTX) store { return store{shipmentdb.New(db)} }

// insert writes a shipment in state scheduling.
func (s store) insert(ctx context.Context, made shipmentID, c scheduleCommand) error {
	address, err := json.Marshal(c.address)
	if err != nil {
		return fmt.Errorf("encoding address: %w", err)
	}
	err = s.q.InsertShipment(ctx, shipmentdb.InsertShipmentParams{
		ID: made.UUID(), Reference: c.reference, Address: address, CarrierKey: c.carrierKey(),
	})
	if err != nil {
		return fmt.Errorf("writing shipment: %w", err)
	}
	return nil
}

// lock holds a shipment that the service itself names to the end of the transaction: that it is there is no
// question of the client's.
func (s store) lock(ctx context.Context, shipmentID string) (shipment, error) {
	sid, err := id.Parse[shipmentKind](shipmentID)
	if err != nil {
		return shipment{}, fmt.Errorf("locking shipment: %w", err)
	}
	row, err := s.q.LockShipment(ctx, sid.UUID())
	if err != nil {
		return shipment{}, fmt.Errorf("locking shipment %s: %w", shipmentID, err)
	}
	return shipmentOf(shipmentdb.GetShipmentRow(row))
}

// settle writes down what came of a shipment.
func (s store) settle(ctx context.Context, shipmentID string, change func(*shipment)) (shipment, error) {
	sh, err := s.lock(ctx, shipmentID)
	if err != nil {
		return shipment{}, err
	}
	change(&sh)
	sh.UpdatedAt, err = s.q.PutOutcome(ctx, shipmentdb.PutOutcomeParams{
		ID: sh.ID.UUID(), State: int16(sh.State), TrackingNumber: sh.TrackingNumber, RefusalReason: sh.RefusalReason,
	})
	if err != nil {
		return shipment{}, fmt.Errorf("writing shipment: %w", err)
	}
	return sh, nil
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

// list reads up to n shipments behind one in the order newest first.
func (s store) list(ctx context.Context, before shipmentID, n int32) ([]shipment, error) {
	rows, err := s.q.ListShipments(ctx, shipmentdb.ListShipmentsParams{Before: before.UUID(), N: n})
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
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
	if err := json.Unmarshal(row.Address, &sh.Address); err != nil {
		return shipment{}, fmt.Errorf("decoding address: %w", err)
	}
	return sh, nil
}
