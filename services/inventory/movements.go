package inventory

import (
	"context"
	"fmt"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/inventory/inventorydb"
)

const (
	dailyMovement = "daily_movement"
	// projectBatch is how many events a projection takes in with one transaction at most.
	projectBatch = 5_000
)

// projectOnce takes the next events into the movements of their days, and its place with them, in one transaction: each
// counts once, whatever becomes of a COMMIT, and replicas take turns.
//
// Events are followed in the order of their transactions, up to the oldest that runs: a transaction that commits late is
// waited for, where going on behind the highest number seen would skip what it has drawn before.
//
// BUG(inventory): in a database that was dumped and restored into another server the numbers of transactions begin anew,
// and the movements stand still, which the invariant movements_are_their_events tells of, until stock_event.xid is made
// anew with 0 for what is there, and the place set back.
func (s *inventory) projectOnce(ctx context.Context) (again bool, err error) {
	behind, err := inventorydb.New(s.pool).IsBehind(ctx, dailyMovement)
	if err != nil {
		return false, fmt.Errorf("looking for events to project: %w", err)
	}
	if !behind {
		return false, nil
	}
	var taken int64
	err = pg.InTx(ctx, s.pool, func(tx *pg.Tx) error {
		q := inventorydb.New(tx)
		place, err := q.LockProjection(ctx, dailyMovement)
		if err != nil {
			return fmt.Errorf("locking the projection: %w", err)
		}
		taken, err = q.ProjectMovements(ctx, inventorydb.ProjectMovementsParams{
			Name: dailyMovement, Xid: place.Xid, EventID: place.EventID, N: projectBatch,
		})
		if err != nil {
			return fmt.Errorf("projecting movements: %w", err)
		}
		return nil
	})
	return err == nil && taken == projectBatch, err
}

// movements gives a page of the days of one SKU or, where it names none, of all, by SKU and day.
func (s *inventory) movements(ctx context.Context, page inventorydb.ListMovementsParams) ([]inventorydb.ListMovementsRow, error) {
	rows, err := inventorydb.New(s.pool).ListMovements(ctx, page)
	if err != nil {
		return nil, fmt.Errorf("listing movements: %w", err)
	}
	return rows, nil
}
