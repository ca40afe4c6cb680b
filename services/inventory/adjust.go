package inventory

import (
	"context"
	"errors"
	"strconv"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/stock"
)

const methodAdjust = "AdjustStock"

type adjustCommand struct {
	request
	line   stock.Line // of less than zero pieces when some are missing
	reason string
}

func (c adjustCommand) idem(s *inventory) idem.Request {
	return c.request.idem(methodAdjust, s.keyTTL, idem.Field{Name: "sku", Value: c.line.SKU},
		idem.Field{Name: "quantity", Value: strconv.FormatInt(c.line.Quantity, 10)}, idem.Field{Name: "reason", Value: c.reason})
}

// adjust corrects levels by what a count found. Refused with SKU_UNKNOWN or ADJUSTMENT_BELOW_RESERVED.
func (s *inventory) adjust(ctx context.Context, tx *pg.Tx, batch []adjustCommand) (results[[]levelAt], error) {
	requests := make([]idem.Request, len(batch))
	for i, c := range batch {
		requests[i] = c.idem(s)
	}
	return idem.OnceAll(ctx, tx, requests, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Outcome[[]levelAt], error) {
		st := newStore(tx)
		lines := make([]stock.Line, len(fresh))
		for n, i := range fresh {
			lines[n] = batch[i].line
		}
		w, err := begin(ctx, st, lines)
		if err != nil {
			return nil, err
		}
		outcomes := make([]idem.Outcome[[]levelAt], len(fresh))
		for n, i := range fresh {
			if outcomes[n], err = w.adjust(batch[i]); err != nil {
				return nil, err
			}
		}
		if err := s.write(ctx, tx, w); err != nil {
			return nil, err
		}
		date(outcomes, w.written)
		return outcomes, nil
	})
}

func (w *work) adjust(c adjustCommand) (idem.Outcome[[]levelAt], error) {
	sku := c.line.SKU
	if err := unknownSKUs([]string{sku}, w.levels, skuField); err != nil {
		return idem.Outcome[[]levelAt]{Err: err}, nil
	}
	// What is taken away must be free, as what is reserved must.
	if short := stock.Reserve(w.levels, []stock.Line{{SKU: sku, Quantity: -c.line.Quantity}}); len(short) > 0 {
		return idem.Outcome[[]levelAt]{Err: rpcerr.ForField(rpcerr.AdjustmentBelowReserved, "quantity",
			"%d of %s are promised to nobody, and %d are to be taken away", short[0].Available, sku, short[0].Asked)}, nil
	}
	adjustment := id.New[adjustmentKind]()
	switch err := w.record(stock.Adjusted, []stock.Line{c.line}, adjustment.UUID()); {
	case errors.Is(err, stock.ErrOverflow):
		return idem.Outcome[[]levelAt]{Err: rpcerr.ForField(rpcerr.QuantityOverflow, "quantity", "%v", err)}, nil
	case err != nil:
		return idem.Outcome[[]levelAt]{}, err
	}
	w.actions = append(w.actions, action{adjustment.UUID(), c.caller, "adjust", sku, c.reason})
	w.events = append(w.events, c.in(eventAdjusted(adjustment.String(), c.line, c.reason)))
	return idem.Outcome[[]levelAt]{Answer: []levelAt{{Level: w.levels[sku]}}, Resource: adjustment.String()}, nil
}
