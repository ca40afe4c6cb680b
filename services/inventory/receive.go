package inventory

import (
	"context"
	"errors"
	"time"

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
}

type receiveCommand struct {
	request
	lines []stock.Line
}

// receive adds pieces to the stock, all lines or none; SKUs not yet known become so.
func (s *inventory) receive(ctx context.Context, c receiveCommand) ([]levelAt, error) {
	lines, err := consolidate(c.lines)
	if err != nil {
		return nil, err
	}
	field, err := linesField(lines)
	if err != nil {
		return nil, err
	}
	r := c.idem(methodReceive, s.keyTTL, field)
	return idem.Once(ctx, s.pool, r, func(ctx context.Context, tx *pg.Tx) ([]levelAt, string, error) {
		st := newStore(tx)
		if err := st.createLevels(ctx, lines); err != nil {
			return nil, "", err
		}
		levels, err := st.lockLevels(ctx, lines)
		if err != nil {
			return nil, "", err
		}
		err = st.record(ctx, levels, stock.Events(stock.Received, lines), ReservationID{})
		if errors.Is(err, stock.ErrOverflow) {
			return nil, "", rpcerr.ForField(rpcerr.QuantityOverflow, "lines", "%v", err)
		}
		if err != nil {
			return nil, "", err
		}
		receipt := id.New[receiptKind]()
		if err := s.outbox.Write(ctx, tx, eventReceived(receipt, lines)); err != nil {
			return nil, "", err
		}
		after, err := st.levels(ctx, skusOf(lines))
		return after, receipt.String(), err
	})
}
