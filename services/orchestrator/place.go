package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

const methodPlace = "PlaceOrder"

type placeCommand struct {
	request
	customerID    string
	lines         []line
	paymentMethod string
	shipTo        address
}

// place makes an order and its saga durable, and has the saga driven. A replay gives the order as it was when it
// was accepted.
func (o *orchestrator) place(ctx context.Context, c placeCommand) (orderView, error) {
	total, err := totalOf(c.lines)
	if err != nil {
		return orderView{}, err
	}
	r, err := c.idempotency(o)
	if err != nil {
		return orderView{}, err
	}
	if err := o.catalogue.check(ctx, c.lines); err != nil {
		return orderView{}, err
	}
	var placed order
	orderID, err := idem.Once(ctx, o.pool, r, func(ctx context.Context, tx *pg.Tx) (OrderID, string, error) {
		placed = order{
			id: id.New[orderKind](), sagaID: id.New[sagaKind](), customerID: c.customerID, lines: c.lines, total: total,
			paymentMethod: c.paymentMethod, shipTo: c.shipTo, createdAt: clock(),
		}
		if err := o.insert(ctx, tx, placed); err != nil {
			return OrderID{}, "", err
		}
		tx.AfterCommit(func() { o.engine.ensure(placed.sagaID) })
		return placed.id, placed.id.String(), o.outbox.Write(ctx, tx, eventPlaced(placed))
	})
	if err != nil {
		return orderView{}, err
	}
	if placed.id != orderID { // a replay
		v, err := newStore(o.pool).order(ctx, orderID)
		if err != nil {
			return orderView{}, err
		}
		placed = v.order
	}
	return orderView{order: placed, phase: saga.Running, updatedAt: placed.createdAt}, nil
}

// insert writes the order, its saga and the saga's first event.
func (o *orchestrator) insert(ctx context.Context, tx *pg.Tx, placed order) error {
	st := newStore(tx)
	if err := st.insertOrder(ctx, placed); err != nil {
		return err
	}
	started := saga.Start(orderV1, placed.createdAt)
	state, err := saga.Apply(orderV1, saga.State{}, started)
	if err != nil {
		return err
	}
	return st.insertSaga(ctx, placed, orderV1, state, started)
}

func (c placeCommand) idempotency(o *orchestrator) (idem.Request, error) {
	lines, err := json.Marshal(c.lines)
	if err != nil {
		return idem.Request{}, fmt.Errorf("encoding lines: %w", err)
	}
	shipTo, err := json.Marshal(c.shipTo)
	if err != nil {
		return idem.Request{}, fmt.Errorf("encoding address: %w", err)
	}
	return c.idem(methodPlace, o.keyTTL,
		idem.Field{Name: "customer_id", Value: c.customerID},
		idem.Field{Name: "lines", Value: string(lines)},
		idem.Field{Name: "payment_method", Value: c.paymentMethod},
		idem.Field{Name: "ship_to", Value: string(shipTo)},
	), nil
}

// totalOf adds up the lines, and blames the line that is wrong.
func totalOf(lines []line) (money.Amount, error) {
	var total money.Amount
	for i, l := range lines {
		path := fmt.Sprintf("lines[%d].unit_price", i)
		currency, err := money.ParseCurrency(string(l.UnitPrice.Currency))
		if err != nil {
			return total, rpcerr.ForField(rpcerr.CurrencyUnknown, path+".currency_code", "%q is not a currency of ISO 4217", l.UnitPrice.Currency)
		}
		if i == 0 {
			total.Currency = currency
		}
		if currency != total.Currency {
			return total, rpcerr.ForField(rpcerr.MixedCurrencies, path+".currency_code", "is %s, and the first line's is %s", currency, total.Currency)
		}
		if !l.UnitPrice.IsPositive() {
			return total, rpcerr.ForField(rpcerr.AmountNotPositive, path+".minor_units", "is %d, not more than zero", l.UnitPrice.Minor)
		}
		sum, err := l.UnitPrice.Mul(int64(l.Quantity))
		if err == nil {
			sum, err = total.Add(sum)
		}
		if errors.Is(err, money.ErrOverflow) {
			return total, rpcerr.ForField(rpcerr.AmountOverflow, path+".minor_units", "the total up to here does not fit in 64 bits")
		}
		if err != nil {
			return total, err
		}
		total = sum
	}
	return total, nil
}
