package inventory

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/inventorydb"
	"github.com/tieout/tieout/services/inventory/stock"
)

// store is rows ↔ domain, on a pool or in a transaction.
type store struct{ q *inventorydb.Queries }

func newStore(db inventorydb.DBTX) store { return store{inventorydb.New(db)} }

func skusOf(lines []stock.Line) []string {
	skus := make([]string, len(lines))
	for i, l := range lines {
		skus[i] = l.SKU
	}
	return skus
}

// lockLevels holds the levels of consolidated lines to the end of the transaction. SKUs that are not known are
// missing from the map.
func (s store) lockLevels(ctx context.Context, lines []stock.Line) (map[string]stock.Level, error) {
	rows, err := s.q.LockLevels(ctx, skusOf(lines))
	if err != nil {
		return nil, fmt.Errorf("locking stock levels: %w", err)
	}
	levels := make(map[string]stock.Level, len(rows))
	for _, r := range rows {
		levels[r.SKU] = stock.Level(r)
	}
	return levels, nil
}

func (s store) createLevels(ctx context.Context, lines []stock.Line) error {
	if err := s.q.CreateLevels(ctx, skusOf(lines)); err != nil {
		return fmt.Errorf("creating stock levels: %w", err)
	}
	return nil
}

// record writes events and the levels they lead to. The levels must be locked. No reservation is the zero id.
func (s store) record(ctx context.Context, levels map[string]stock.Level, events []stock.Event, of ReservationID) error {
	var e inventorydb.InsertStockEventsParams
	var l inventorydb.PutLevelsParams
	if u := of.UUID(); u != uuid.Nil {
		e.ReservationID = &u
	}
	for _, event := range events {
		after, err := levels[event.SKU].Apply(event)
		if err != nil {
			return err
		}
		e.Skus, e.Types, e.Quantities = append(e.Skus, event.SKU), append(e.Types, int16(event.Type)), append(e.Quantities, event.Quantity)
		l.Skus, l.Available = append(l.Skus, after.SKU), append(l.Available, after.Available)
		l.Reserved, l.Shipped = append(l.Reserved, after.Reserved), append(l.Shipped, after.Shipped)
	}
	if err := s.q.InsertStockEvents(ctx, e); err != nil {
		return fmt.Errorf("writing stock events: %w", err)
	}
	if err := s.q.PutLevels(ctx, l); err != nil {
		return fmt.Errorf("writing stock levels: %w", err)
	}
	return nil
}

func (s store) levels(ctx context.Context, skus []string) ([]levelAt, error) {
	rows, err := s.q.GetLevels(ctx, skus)
	if err != nil {
		return nil, fmt.Errorf("reading stock levels: %w", err)
	}
	return levelsOf(rows), nil
}

func (s store) list(ctx context.Context, after string, n int32) ([]levelAt, error) {
	rows, err := s.q.ListLevels(ctx, inventorydb.ListLevelsParams{After: after, N: n})
	if err != nil {
		return nil, fmt.Errorf("listing stock levels: %w", err)
	}
	return levelsOf(rows), nil
}

func levelsOf(rows []inventorydb.StockLevel) []levelAt {
	levels := make([]levelAt, len(rows))
	for i, r := range rows {
		levels[i] = levelAt{
			Level:     stock.Level{SKU: r.SKU, Available: r.Available, Reserved: r.Reserved, Shipped: r.Shipped},
			UpdatedAt: r.UpdatedAt,
		}
	}
	return levels
}

func (s store) insertReservation(ctx context.Context, r reservation) error {
	p := inventorydb.InsertReservationParams{ID: r.ID.UUID(), Reference: r.Reference, Skus: skusOf(r.Lines)}
	for _, l := range r.Lines {
		p.Quantities = append(p.Quantities, l.Quantity)
	}
	if err := s.q.InsertReservation(ctx, p); err != nil {
		return fmt.Errorf("writing reservation: %w", err)
	}
	return nil
}

// lockReservation holds a reservation to the end of the transaction; NOT_FOUND when there is none.
func (s store) lockReservation(ctx context.Context, reservationID string) (reservation, error) {
	notFound := rpcerr.ForField(rpcerr.NotFound, "reservation_id", "there is no reservation %q", reservationID)
	rid, err := id.Parse[reservationKind](reservationID)
	if err != nil {
		return reservation{}, notFound
	}
	row, err := s.q.LockReservation(ctx, rid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return reservation{}, notFound
	}
	if err != nil {
		return reservation{}, fmt.Errorf("reading reservation: %w", err)
	}
	r := reservation{ID: rid, Reference: row.Reference, State: reservationState(row.State)}
	for i, sku := range row.Skus {
		r.Lines = append(r.Lines, stock.Line{SKU: sku, Quantity: row.Quantities[i]})
	}
	return r, nil
}

// settle moves a locked reservation's pieces with one event a line, and the reservation to a state.
func (s store) settle(ctx context.Context, r *reservation, to reservationState, by stock.EventType) error {
	levels, err := s.lockLevels(ctx, r.Lines)
	if err != nil {
		return err
	}
	if err := s.record(ctx, levels, stock.Events(by, r.Lines), r.ID); err != nil {
		return err
	}
	r.State = to
	if err := s.q.SetReservationState(ctx, inventorydb.SetReservationStateParams{ID: r.ID.UUID(), State: int16(to)}); err != nil {
		return fmt.Errorf("writing reservation: %w", err)
	}
	return nil
}
