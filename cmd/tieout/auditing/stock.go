package auditing

import (
	"context"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
)

// level is the stock of a SKU at one moment.
type level struct {
	reserved, shipped, updated int64
}

// ordered is how many pieces of a SKU orders ask for.
type ordered struct {
	completed int64 // in completed orders
	live      int64 // in orders that have not ended: they may hold them, or have them shipped
}

func (c *comparer) readStock(ctx context.Context) (map[string]level, error) {
	levels := map[string]level{}
	list := pages(func(token string) ([]*inventoryv1.Stock, string, error) {
		p, err := c.stock.ListStock(ctx, &inventoryv1.ListStockRequest{PageSize: pageSize, PageToken: token})
		return p.GetStock(), p.GetNextPageToken(), err
	})
	for s, err := range list {
		if err != nil {
			return nil, err
		}
		levels[s.GetSku()] = level{s.GetReserved(), s.GetShipped(), s.GetUpdateTime().AsTime().UnixNano()}
	}
	return levels, nil
}

// count adds the pieces of an order to those of their SKUs.
func count(pieces map[string]ordered, o *orderv1.Order) {
	if o.GetState() == orderv1.OrderState_ORDER_STATE_COMPENSATED {
		return
	}
	for _, l := range o.GetLines() {
		p := pieces[l.GetSku()]
		if o.GetState() == orderv1.OrderState_ORDER_STATE_COMPLETED {
			p.completed += int64(l.GetQuantity())
		} else {
			p.live += int64(l.GetQuantity())
		}
		pieces[l.GetSku()] = p
	}
}

// compareStock compares the stock before and after the orders were read with the pieces they ask for. Whatever moved
// meanwhile, what had left before belongs to an order that was read as completed or live, and what completed orders ask
// for has left after. Of a SKU that nothing happened to meanwhile, only live orders hold pieces.
func compareStock(wrong findings, before, after map[string]level, pieces map[string]ordered) {
	e := effects{wrong: wrong}
	for sku, b := range before {
		p, a := pieces[sku], after[sku]
		if b.shipped > p.completed+p.live {
			e.report(stockOfOrders, sku, "%d pieces have left, and orders account for %d", b.shipped, p.completed+p.live)
		}
		if a == b && b.reserved > p.live {
			e.report(stockOfOrders, sku, "%d pieces are reserved, and orders that have not ended account for %d", b.reserved, p.live)
		}
	}
	for sku, p := range pieces {
		if a := after[sku]; a.shipped < p.completed {
			e.report(stockOfOrders, sku, "%d pieces have left, and completed orders account for %d", a.shipped, p.completed)
		}
	}
}
