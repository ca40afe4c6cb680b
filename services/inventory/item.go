package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/inventory/inventorydb"
)

const (
	methodPutItem = "PutItem"
	// defaultUnit is what is counted of a SKU of which nobody says it.
	defaultUnit = "piece"
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
		if err := st.putItem(ctx, &i); err != nil {
			return item{}, "", err
		}
		said := fmt.Sprintf("it is %q, counted by the %s", i.Description, i.Unit)
		return i, i.SKU, st.insertActions(ctx, action{uuid.Must(uuid.NewV7()), from.caller, "put_item", i.SKU, said})
	})
}

// getItem gives what a SKU is. Refused with SKU_UNKNOWN.
func (s *inventory) getItem(ctx context.Context, sku string) (item, error) {
	row, err := inventorydb.New(s.pool).GetItem(ctx, inventorydb.GetItemParams{SKU: sku, DefaultUnit: defaultUnit})
	if errors.Is(err, pgx.ErrNoRows) {
		return item{}, unknownSKUs([]string{sku}, map[string]item{}, skuField)
	}
	if err != nil {
		return item{}, fmt.Errorf("reading item: %w", err)
	}
	return item(row), nil
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

// putItem writes an item, and sets its times.
func (s store) putItem(ctx context.Context, i *item) error {
	if err := s.q.EnsureLevel(ctx, i.SKU); err != nil {
		return fmt.Errorf("creating stock level: %w", err)
	}
	written, err := s.q.PutItem(ctx, inventorydb.PutItemParams{SKU: i.SKU, Description: i.Description, Unit: i.Unit})
	if err != nil {
		return fmt.Errorf("writing item: %w", err)
	}
	i.CreatedAt, i.UpdatedAt = &written.CreatedAt, &written.UpdatedAt
	return nil
}
