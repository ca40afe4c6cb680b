package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/inventorydb"
	"github.com/tieout/tieout/services/inventory/stock"
)

// stockAsOf gives the level of a SKU as it was at a time or, where an event is named, after that event. When nothing had
// happened to it by then, all is zero. Refused with SKU_UNKNOWN, and NOT_FOUND for an event that the SKU has not.
func (s *inventory) stockAsOf(ctx context.Context, sku string, at time.Time, event int64) (levelAt, error) {
	if known, err := newStore(s.pool).levels(ctx, []string{sku}); err != nil || len(known) == 0 {
		return levelAt{}, cmp.Or(err, unknownSKUs([]string{sku}, map[string]levelAt{}, skuField))
	}
	q := inventorydb.New(s.pool)
	var last inventorydb.GetEventRow
	var err error
	if event > 0 {
		last, err = q.GetEvent(ctx, inventorydb.GetEventParams{ID: event, SKU: sku})
		if errors.Is(err, pgx.ErrNoRows) {
			return levelAt{}, rpcerr.ForField(rpcerr.NotFound, "as_of_event_id", "%q has no event %d", sku, event)
		}
	} else {
		var found inventorydb.GetEventAsOfRow
		found, err = q.GetEventAsOf(ctx, inventorydb.GetEventAsOfParams{SKU: sku, AsOf: at})
		if errors.Is(err, pgx.ErrNoRows) {
			return levelAt{Level: stock.Level{SKU: sku}}, nil
		}
		last = inventorydb.GetEventRow(found)
	}
	if err != nil {
		return levelAt{}, fmt.Errorf("reading stock event: %w", err)
	}
	rows, err := q.TotalsUpTo(ctx, inventorydb.TotalsUpToParams{SKU: sku, Last: last.ID})
	if err != nil {
		return levelAt{}, fmt.Errorf("adding up stock events: %w", err)
	}
	totals := stock.Totals{}
	for _, r := range rows {
		totals[stock.EventType(r.Type)] = r.Quantity
	}
	return levelAt{Level: totals.Level(sku), UpdatedAt: last.At}, nil
}

// keyed is a reservation with the key that it was made under.
type keyed struct {
	key         string
	reservation *reservation
}

// reservedUnder gives the reservations that were made under keys, in the order of the keys. What undid one names it, too.
func (s *inventory) reservedUnder(ctx context.Context, keys []string) ([]keyed, error) {
	records, err := idem.Find(ctx, s.pool, keys...)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.Resource
	}
	found, err := newStore(s.pool).reservations(ctx, ids)
	if err != nil {
		return nil, err
	}
	var all []keyed
	for _, r := range records {
		k := keyed{r.Key, found[r.Resource]}
		if made := r.Method == methodReserve || r.Method == methodRelease; made && k.reservation != nil && !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all, nil
}

// stockEvents is a page of a SKU's history.
type stockEvents struct {
	sku          string
	since, until time.Time // from, and up to before
	before       int64     // the number of the first event that is too new
}

// happened gives up to n events, the newest first.
func (s *inventory) happened(ctx context.Context, page stockEvents, n int32) ([]inventorydb.ListStockEventsRow, error) {
	rows, err := inventorydb.New(s.pool).ListStockEvents(ctx, inventorydb.ListStockEventsParams{
		SKU: page.sku, Since: page.since, Until: page.until, Before: page.before, N: n,
	})
	if err != nil {
		return nil, fmt.Errorf("listing stock events: %w", err)
	}
	return rows, nil
}
