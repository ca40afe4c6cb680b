package inventory

import (
	"context"
	"fmt"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/stock"
)

const methodReserve = "Reserve"

type reserveCommand struct {
	request
	reference string
	lines     []stock.Line
}

// reserve promises all lines or none. Refused with SKU_UNKNOWN or INSUFFICIENT_STOCK.
func (s *inventory) reserve(ctx context.Context, c reserveCommand) (reservation, error) {
	lines, err := consolidate(c.lines)
	if err != nil {
		return reservation{}, err
	}
	field, err := linesField(lines)
	if err != nil {
		return reservation{}, err
	}
	r := c.idem(methodReserve, 0, idem.Field{Name: "reference", Value: c.reference}, field)
	return idem.Once(ctx, s.pool, r, func(ctx context.Context, tx *pg.Tx) (reservation, string, error) {
		st := newStore(tx)
		levels, err := st.lockLevels(ctx, lines)
		if err != nil {
			return reservation{}, "", err
		}
		if err := unknownSKUs(skusOf(c.lines), levels, lineSKUField); err != nil {
			return reservation{}, "", err
		}
		if short := stock.Reserve(levels, lines); len(short) > 0 {
			return reservation{}, "", insufficient(short)
		}
		made := reservation{ID: id.New[reservationKind](), Reference: c.reference, State: held, Lines: lines}
		if err := st.insertReservation(ctx, made); err != nil {
			return reservation{}, "", err
		}
		if err := st.record(ctx, levels, stock.Events(stock.Reserved, lines), made.ID); err != nil {
			return reservation{}, "", err
		}
		return made, made.ID.String(), s.outbox.Write(ctx, tx, eventHeld(made))
	})
}

func insufficient(short []stock.Shortage) error {
	fields := make([]rpcerr.Field, len(short))
	for i, s := range short {
		fields[i] = rpcerr.Field{Path: s.SKU, Description: fmt.Sprintf("%d available, %d asked for", s.Available, s.Asked)}
	}
	return rpcerr.ForFields(rpcerr.InsufficientStock, fields...)
}
