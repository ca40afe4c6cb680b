package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
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

// lockedLevels are levels that are held to the end of the transaction. Those that are not known are missing.
type lockedLevels struct {
	levels   map[string]stock.Level
	versions map[string]int64
	at       time.Time // of the transaction, when there are any
}

func (s store) lockLevels(ctx context.Context, skus []string) (lockedLevels, error) {
	rows, err := s.q.LockLevels(ctx, skus)
	if err != nil {
		return lockedLevels{}, fmt.Errorf("locking stock levels: %w", err)
	}
	locked := lockedLevels{levels: make(map[string]stock.Level, len(rows)), versions: make(map[string]int64, len(rows))}
	for _, r := range rows {
		locked.levels[r.SKU] = stock.Level{SKU: r.SKU, Available: r.Available, Reserved: r.Reserved, Shipped: r.Shipped, Adjusted: r.Adjusted}
		locked.versions[r.SKU], locked.at = r.Version, r.Now
	}
	return locked, nil
}

// putLevels writes levels, by SKU, which must be locked, or new: not in the database yet. Somebody else may
// have created them meanwhile, which is groupcommit.ErrAgain. It gives them as they are written, with the time and the
// version that follow from those under the lock.
func (s store) putLevels(ctx context.Context, locked lockedLevels, levels []stock.Level, new map[string]bool) ([]levelAt, error) {
	written := make([]levelAt, 0, len(levels))
	bySKU := make(map[string]stock.Level, len(levels))
	var changed, created inventorydb.PutLevelsParams
	for _, l := range levels {
		bySKU[l.SKU] = l
		into := &changed
		if new[l.SKU] {
			into = &created
		}
		into.Skus, into.Available = append(into.Skus, l.SKU), append(into.Available, l.Available)
		into.Reserved, into.Shipped = append(into.Reserved, l.Reserved), append(into.Shipped, l.Shipped)
		into.Adjusted = append(into.Adjusted, l.Adjusted)
	}
	if len(changed.Skus) > 0 {
		if err := s.q.PutLevels(ctx, changed); err != nil {
			return nil, fmt.Errorf("writing stock levels: %w", err)
		}
		for _, sku := range changed.Skus {
			written = append(written, levelAt{bySKU[sku], locked.at, locked.versions[sku] + 1})
		}
	}
	if len(created.Skus) > 0 {
		rows, err := s.q.CreateLevels(ctx, inventorydb.CreateLevelsParams(created))
		if err != nil {
			return nil, fmt.Errorf("creating stock levels: %w", err)
		}
		if len(rows) < len(created.Skus) {
			return nil, fmt.Errorf("creating stock levels: %w", groupcommit.ErrAgain)
		}
		for _, r := range rows {
			written = append(written, levelAt{bySKU[r.SKU], r.UpdatedAt, r.Version})
		}
	}
	return written, nil
}

func (s store) insertActions(ctx context.Context, actions ...action) error {
	var p inventorydb.InsertActionsParams
	for _, a := range actions {
		p.Ids, p.Actors, p.Verbs = append(p.Ids, a.id), append(p.Actors, a.actor), append(p.Verbs, a.verb)
		p.Skus, p.Reasons = append(p.Skus, a.sku), append(p.Reasons, a.reason)
	}
	if err := s.q.InsertActions(ctx, p); err != nil {
		return fmt.Errorf("writing audit rows: %w", err)
	}
	return nil
}

func (s store) insertStockEvents(ctx context.Context, moves []move) error {
	var p inventorydb.InsertStockEventsParams
	for _, m := range moves {
		p.Skus, p.Types = append(p.Skus, m.event.SKU), append(p.Types, int16(m.event.Type))
		p.Quantities, p.Causes = append(p.Quantities, m.event.Quantity), append(p.Causes, m.cause)
	}
	if err := s.q.InsertStockEvents(ctx, p); err != nil {
		return fmt.Errorf("writing stock events: %w", err)
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
			Level:     stock.Level{SKU: r.SKU, Available: r.Available, Reserved: r.Reserved, Shipped: r.Shipped, Adjusted: r.Adjusted},
			UpdatedAt: r.UpdatedAt, version: r.Version,
		}
	}
	return levels
}

func (s store) insertReservations(ctx context.Context, reservations []reservation) error {
	var p inventorydb.InsertReservationsParams
	for _, r := range reservations {
		p.Ids, p.Refs = append(p.Ids, r.ID.UUID()), append(p.Refs, r.Reference)
		var expires time.Time
		if r.ExpiresAt != nil {
			expires = *r.ExpiresAt
		}
		p.ExpireAt = append(p.ExpireAt, expires)
		for _, l := range r.Lines {
			p.LineIds = append(p.LineIds, r.ID.UUID())
			p.Skus, p.Quantities = append(p.Skus, l.SKU), append(p.Quantities, l.Quantity)
		}
	}
	if err := s.q.InsertReservations(ctx, p); err != nil {
		return fmt.Errorf("writing reservations: %w", err)
	}
	return nil
}

// lockReservations holds reservations to the end of the transaction. What is no id of one is missing from the map.
func (s store) lockReservations(ctx context.Context, ids []string) (map[string]*reservation, error) {
	rows, err := s.q.LockReservations(ctx, reservationIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("locking reservations: %w", err)
	}
	locked := make(map[string]*reservation, len(rows))
	for _, row := range rows {
		r := reservationFrom(row)
		locked[r.ID.String()] = r
	}
	return locked, nil
}

// reservations reads reservations as they stand, by id.
func (s store) reservations(ctx context.Context, ids []string) (map[string]*reservation, error) {
	rows, err := s.q.GetReservations(ctx, reservationIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("reading reservations: %w", err)
	}
	found := make(map[string]*reservation, len(rows))
	for _, row := range rows {
		r := reservationFrom(inventorydb.LockReservationsRow(row))
		found[r.ID.String()] = r
	}
	return found, nil
}

// reservationIDs are those among texts that are ids of reservations.
func reservationIDs(texts []string) []uuid.UUID {
	var ids []uuid.UUID
	for _, text := range texts {
		if rid, err := id.Parse[reservationKind](text); err == nil {
			ids = append(ids, rid.UUID())
		}
	}
	return ids
}

func reservationFrom(row inventorydb.LockReservationsRow) *reservation {
	r := &reservation{
		ID: ReservationID(row.ID), Reference: row.Reference, State: reservationState(row.State), ExpiresAt: row.ExpiresAt,
	}
	for i, sku := range row.Skus {
		r.Lines = append(r.Lines, stock.Line{SKU: sku, Quantity: row.Quantities[i]})
	}
	return r
}

// dueReservations gives up to n held reservations whose time is over.
func (s store) dueReservations(ctx context.Context, n int32) ([]string, error) {
	due, err := s.q.DueReservations(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("looking for reservations whose time is over: %w", err)
	}
	ids := make([]string, len(due))
	for i, u := range due {
		ids[i] = ReservationID(u).String()
	}
	return ids, nil
}

// now is the time of the transaction.
func (s store) now(ctx context.Context) (time.Time, error) {
	now, err := s.q.Now(ctx)
	if err != nil {
		return now, fmt.Errorf("reading the time: %w", err)
	}
	return now, nil
}

func (s store) setReservationStates(ctx context.Context, to reservationState, ids []uuid.UUID) error {
	p := inventorydb.SetReservationStatesParams{State: int16(to), Ids: ids}
	if err := s.q.SetReservationStates(ctx, p); err != nil {
		return fmt.Errorf("writing reservations: %w", err)
	}
	return nil
}
