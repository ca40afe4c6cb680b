package inventory

import (
	"context"
	"fmt"
	"slices"
	"time"

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
	ttl       time.Duration // 0 for one that does not expire
}

func (c reserveCommand) idem() (idem.Request, error) {
	field, err := linesField(c.lines)
	var ttl string
	if c.ttl != 0 {
		ttl = c.ttl.String()
	}
	return c.request.idem(methodReserve, 0, idem.Field{Name: "reference", Value: c.reference}, field, idem.Field{Name: "ttl", Value: ttl}), err
}

// reserve promises all lines of a command or none. Refused with SKU_UNKNOWN or INSUFFICIENT_STOCK.
func (s *inventory) reserve(ctx context.Context, tx *pg.Tx, batch []reserveCommand) (results[reservation], error) {
	requests, err := idems(batch, reserveCommand.idem)
	if err != nil {
		return nil, err
	}
	return idem.OnceAll(ctx, tx, requests, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Outcome[reservation], error) {
		wanted := make([][]stock.Line, len(fresh))
		for n, i := range fresh {
			wanted[n] = batch[i].lines
		}
		st := newStore(tx)
		w, err := begin(ctx, st, wanted...)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(fresh, func(i int) bool { return batch[i].ttl > 0 }) {
			if w.now, err = st.now(ctx); err != nil {
				return nil, err
			}
		}
		outcomes := make([]idem.Outcome[reservation], len(fresh))
		for n, i := range fresh {
			if outcomes[n], err = w.reserve(batch[i]); err != nil {
				return nil, err
			}
		}
		return outcomes, s.write(ctx, tx, w)
	})
}

func (w *work) reserve(c reserveCommand) (idem.Outcome[reservation], error) {
	if c.ttl > 0 && c.epoch > 0 {
		return idem.Outcome[reservation]{Err: rpcerr.ForField(rpcerr.RequestInvalid, "ttl",
			"a saga owns what it reserves and ends it; it does not expire")}, nil
	}
	lines, err := consolidate(c.lines)
	if err != nil {
		return idem.Outcome[reservation]{}, err
	}
	if err := unknownSKUs(skusOf(c.lines), w.levels, lineSKUField); err != nil {
		return idem.Outcome[reservation]{Err: err}, nil
	}
	if short := stock.Reserve(w.levels, lines); len(short) > 0 {
		return idem.Outcome[reservation]{Err: insufficient(short)}, nil
	}
	made := reservation{ID: id.New[reservationKind](), Reference: c.reference, State: held, Lines: lines}
	if c.ttl > 0 {
		at := w.now.Add(c.ttl)
		made.ExpiresAt = &at
	}
	if err := w.record(stock.Reserved, lines, made.ID.UUID()); err != nil {
		return idem.Outcome[reservation]{}, err
	}
	w.made = append(w.made, made)
	w.events = append(w.events, c.in(eventHeld(made)))
	return idem.Outcome[reservation]{Answer: made, Resource: made.ID.String()}, nil
}

func insufficient(short []stock.Shortage) error {
	fields := make([]rpcerr.Field, len(short))
	for i, s := range short {
		fields[i] = rpcerr.Field{Path: s.SKU, Description: fmt.Sprintf("%d available, %d asked for", s.Available, s.Asked)}
	}
	return rpcerr.ForFields(rpcerr.InsufficientStock, fields...)
}
