package inventory

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/services/inventory/inventorydb"
	"github.com/tieout/tieout/services/inventory/stock"
)

func linesFromProto(lines []*inventoryv1.StockLine) []stock.Line {
	out := make([]stock.Line, len(lines))
	for i, l := range lines {
		out[i] = stock.Line{SKU: l.GetSku(), Quantity: int64(l.GetQuantity())}
	}
	return out
}

func levelToProto(l levelAt) *inventoryv1.Stock {
	var updated *timestamppb.Timestamp // unset where nothing has happened
	if !l.UpdatedAt.IsZero() {
		updated = timestamppb.New(l.UpdatedAt)
	}
	return &inventoryv1.Stock{
		Sku: l.SKU, Available: l.Available, Reserved: l.Reserved, Shipped: l.Shipped, Received: l.Received(),
		Adjusted: l.Adjusted, UpdateTime: updated,
	}
}

func levelsToProto(levels []levelAt) []*inventoryv1.Stock {
	out := make([]*inventoryv1.Stock, len(levels))
	for i, l := range levels {
		out[i] = levelToProto(l)
	}
	return out
}

func stockEventToProto(e inventorydb.ListStockEventsRow) *inventoryv1.StockEvent {
	out := &inventoryv1.StockEvent{
		EventId: e.ID, Sku: e.SKU, Type: inventoryv1.StockEventType(e.Type), Quantity: e.Quantity,
		CreateTime: timestamppb.New(e.At), Actor: e.Actor, Reason: e.Reason,
	}
	if e.ReservationID != nil {
		out.ReservationId = ReservationID(*e.ReservationID).String()
	}
	return out
}

func movementToProto(m inventorydb.ListMovementsRow) *inventoryv1.DailyMovement {
	return &inventoryv1.DailyMovement{
		Sku: m.SKU, Day: m.Day, Received: m.Received, Reserved: m.Reserved, Released: m.Released, Committed: m.Committed,
		Adjusted: m.Adjusted, Expired: m.Expired,
	}
}

func differenceToProto(d difference) *inventoryv1.StockDifference {
	out := &inventoryv1.StockDifference{Sku: d.sku}
	if d.level != nil {
		out.Level = levelToProto(*d.level)
	}
	if d.damage != nil {
		out.Damage = d.damage.Error()
	} else {
		out.Events = levelToProto(levelAt{Level: *d.fold})
	}
	return out
}

func itemToProto(i item) *inventoryv1.Item {
	return &inventoryv1.Item{
		Sku: i.SKU, Description: i.Description, Unit: i.Unit, CreateTime: timeToProto(i.CreatedAt), UpdateTime: timeToProto(i.UpdatedAt),
	}
}

// timeToProto is unset for no time.
func timeToProto(at *time.Time) *timestamppb.Timestamp {
	if at == nil {
		return nil
	}
	return timestamppb.New(*at)
}

func reservationToProto(r reservation) *inventoryv1.Reservation {
	out := &inventoryv1.Reservation{
		ReservationId: r.ID.String(), Reference: r.Reference, State: inventoryv1.ReservationState(r.State),
		ExpireTime: timeToProto(r.ExpiresAt),
	}
	for _, l := range r.Lines {
		out.Lines = append(out.Lines, &inventoryv1.Reservation_Line{Sku: l.SKU, Quantity: l.Quantity})
	}
	return out
}
