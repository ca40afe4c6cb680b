package inventory

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/cache"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/inventory/inventorydb"
)

const (
	methodPutItem = "PutItem"
	// defaultUnit is what is counted of a SKU of which nobody says it.
	defaultUnit = "piece"
	// undescribed is the version of an item that nobody spoke about; those of others are higher.
	undescribed = 1
)

// item is what a SKU is. The times are nil when nobody described it.
type item struct {
	SKU         string     `json:"sku"`
	Description string     `json:"description"`
	Unit        string     `json:"unit"`
	CreatedAt   *time.Time `json:"created_at"`
	UpdatedAt   *time.Time `json:"updated_at"`
}

// putItem says what a SKU is; one that is not known becomes so, without any pieces.
func (s *inventory) putItem(ctx context.Context, from request, i item) (item, error) {
	i.Unit = cmp.Or(i.Unit, defaultUnit)
	r := from.idem(methodPutItem, s.keyTTL, idem.Field{Name: "sku", Value: i.SKU},
		idem.Field{Name: "description", Value: i.Description}, idem.Field{Name: "unit", Value: i.Unit})
	return idem.Once(ctx, s.pool, r, func(ctx context.Context, tx *pg.Tx) (item, string, error) {
		st := newStore(tx)
		version, err := st.putItem(ctx, &i)
		if err != nil {
			return item{}, "", err
		}
		s.itemWritten(tx, i, version)
		said := fmt.Sprintf("it is %q, counted by the %s", i.Description, i.Unit)
		return i, i.SKU, st.insertActions(ctx, action{uuid.Must(uuid.NewV7()), from.caller, "put_item", i.SKU, said})
	})
}

// getItem gives what a SKU is, as the cache has it. Refused with SKU_UNKNOWN.
func (s *inventory) getItem(ctx context.Context, sku string) (item, error) {
	found, known, err := s.items.Get(ctx, sku)
	if err == nil && !known {
		err = unknownSKUs([]string{sku}, map[string]item{}, skuField)
	}
	return found, err
}

// listItems gives up to n items behind a SKU, by SKU.
func (s *inventory) listItems(ctx context.Context, after string, n int32) ([]item, error) {
	rows, err := inventorydb.New(s.pool).ListItems(ctx, inventorydb.ListItemsParams{After: after, N: n, DefaultUnit: defaultUnit})
	if err != nil {
		return nil, fmt.Errorf("listing items: %w", err)
	}
	items := make([]item, len(rows))
	for i, row := range rows {
		items[i] = item(row)
	}
	return items, nil
}

// items gives what SKUs are. Those that are not known are missing from the map.
func (s store) items(ctx context.Context, skus []string) (map[string]cache.Loaded[item], error) {
	rows, err := s.q.GetItems(ctx, inventorydb.GetItemsParams{Skus: skus, DefaultUnit: defaultUnit})
	if err != nil {
		return nil, fmt.Errorf("reading items: %w", err)
	}
	found := make(map[string]cache.Loaded[item], len(rows))
	for _, r := range rows {
		i := item{SKU: r.SKU, Description: r.Description, Unit: r.Unit, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
		found[r.SKU] = cache.Loaded[item]{Value: i, Version: r.Version}
	}
	return found, nil
}

// putItem writes an item, sets its times and gives its version.
func (s store) putItem(ctx context.Context, i *item) (version int64, err error) {
	if err := s.q.EnsureLevel(ctx, i.SKU); err != nil {
		return 0, fmt.Errorf("creating stock level: %w", err)
	}
	written, err := s.q.PutItem(ctx, inventorydb.PutItemParams{SKU: i.SKU, Description: i.Description, Unit: i.Unit})
	if err != nil {
		return 0, fmt.Errorf("writing item: %w", err)
	}
	i.CreatedAt, i.UpdatedAt = &written.CreatedAt, &written.UpdatedAt
	return undescribed + written.Version, nil
}
