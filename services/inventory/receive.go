package inventory

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/stock"
)

const methodReceive = "ReceiveStock"

// levelAt is a level and when it last changed.
type levelAt struct {
	stock.Level
	UpdatedAt time.Time

	version int64 // of the row; 0 where it was not read
}

type receiveCommand struct {
	request
	lines []stock.Line
}

// receive adds pieces to the stock, all lines of a command or none; SKUs not yet known become so.
func (s *inventory) receive(ctx context.Context, tx *pg.Tx, batch []receiveCommand) (results[[]levelAt], error) {
	requests, err := idems(batch, func(c receiveCommand) (idem.Request, error) {
		field, err := linesField(c.lines)
		return c.idem(methodReceive, s.keyTTL, field), err
	})
	if err != nil {
		return nil, err
	}
	return idem.OnceAll(ctx, tx, requests, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Outcome[[]levelAt], error) {
		st := newStore(tx)
		came := make([][]stock.Line, len(fresh))
		for n, i := range fresh {
			came[n] = batch[i].lines
		}
		w, err := begin(ctx, st, came...)
		if err != nil {
			return nil, err
		}
		outcomes := make([]idem.Outcome[[]levelAt], len(fresh))
		for n, i := range fresh {
			if outcomes[n], err = w.receive(batch[i]); err != nil {
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

func (w *work) receive(c receiveCommand) (idem.Outcome[[]levelAt], error) {
	lines, err := consolidate(c.lines)
	if err != nil {
		return idem.Outcome[[]levelAt]{}, err
	}
	switch err := w.record(stock.Received, lines, uuid.Nil); {
	case errors.Is(err, stock.ErrOverflow):
		return idem.Outcome[[]levelAt]{Err: rpcerr.ForField(rpcerr.QuantityOverflow, "lines", "%v", err)}, nil
	case err != nil:
		return idem.Outcome[[]levelAt]{}, err
	}
	receipt := id.New[receiptKind]().String()
	w.events = append(w.events, c.in(eventReceived(receipt, lines)))
	after := make([]levelAt, len(lines))
	for i, l := range lines {
		after[i].Level = w.levels[l.SKU]
	}
	return idem.Outcome[[]levelAt]{Answer: after, Resource: receipt}, nil
}

// date sets when the levels of outcomes were changed, which is now for all of them.
func date(outcomes []idem.Outcome[[]levelAt], written []levelAt) {
	at := make(map[string]time.Time, len(written))
	for _, l := range written {
		at[l.SKU] = l.UpdatedAt
	}
	for _, o := range outcomes {
		for i := range o.Answer {
			o.Answer[i].UpdatedAt = at[o.Answer[i].SKU]
		}
	}
}
