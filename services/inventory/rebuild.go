package inventory

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/inventorydb"
	"github.com/tieout/tieout/services/inventory/stock"
)

const (
	methodRebuild = "RebuildStock"
	// foldAtOnce is how many events are in memory at once when they are added up.
	foldAtOnce = 10_000
)

// difference is a SKU whose level is not the fold of its events.
type difference struct {
	sku   string
	level *levelAt     // nil when there is none
	fold  *stock.Level // nil when the history is damaged
	// damage is what is wrong with the history.
	damage error
}

// compared is what came of adding up the events of some SKUs.
type compared struct {
	differences []difference
	skus        int
	events      int64
	next        string // the last of the SKUs, when there are more behind it
}

// compare adds up the events of up to n SKUs behind one, and compares with their levels, all as of one moment.
func (s *inventory) compare(ctx context.Context, after string, n int32) (compared, error) {
	var c compared
	err := pg.InTx(ctx, s.pool, func(tx *pg.Tx) error {
		if _, err := tx.Exec(ctx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`); err != nil {
			return fmt.Errorf("beginning to compare: %w", err)
		}
		st := newStore(tx)
		skus, err := st.q.KnownSKUs(ctx, inventorydb.KnownSKUsParams{After: after, N: n + 1})
		if err != nil {
			return fmt.Errorf("listing SKUs: %w", err)
		}
		if len(skus) > int(n) {
			skus = skus[:n]
			c.next = skus[n-1]
		}
		if c.skus = len(skus); c.skus == 0 {
			return nil
		}
		folds := map[string]*difference{}
		// Behind the last event that the SKU before could have.
		place := inventorydb.EventsOfSKUsParams{AfterSKU: after, AfterID: math.MaxInt64, LastSKU: skus[len(skus)-1]}
		if c.events, err = st.fold(ctx, place, folds); err != nil {
			return err
		}
		levels, err := st.levels(ctx, skus)
		if err != nil {
			return err
		}
		c.differences = different(skus, levels, folds)
		return nil
	})
	return c, err
}

// different gives those of skus whose level is not their fold.
func different(skus []string, levels []levelAt, folds map[string]*difference) []difference {
	for i := range levels {
		foldOf(folds, levels[i].SKU).level = &levels[i]
	}
	var all []difference
	for _, sku := range skus {
		d := foldOf(folds, sku)
		if d.damage != nil || d.level == nil || d.level.Level != *d.fold {
			all = append(all, *d)
		}
	}
	return all
}

// foldOf is what is known of a SKU; nothing has happened to one that is new.
func foldOf(folds map[string]*difference, sku string) *difference {
	if folds[sku] == nil {
		folds[sku] = &difference{sku: sku, fold: &stock.Level{SKU: sku}}
	}
	return folds[sku]
}

// fold adds up the events behind a place, in bounded memory, and counts them.
func (s store) fold(ctx context.Context, place inventorydb.EventsOfSKUsParams, folds map[string]*difference) (events int64, err error) {
	for place.N = foldAtOnce; ; {
		rows, err := s.q.EventsOfSKUs(ctx, place)
		if err != nil {
			return events, fmt.Errorf("reading stock events: %w", err)
		}
		for _, r := range rows {
			d := foldOf(folds, r.SKU)
			if d.damage != nil {
				continue
			}
			next, err := d.fold.Apply(stock.Event{SKU: r.SKU, Type: stock.EventType(r.Type), Quantity: r.Quantity})
			if err != nil {
				d.fold, d.damage = nil, fmt.Errorf("event %d: %w", r.ID, err)
				continue
			}
			*d.fold = next
		}
		events += int64(len(rows))
		if len(rows) < foldAtOnce {
			return events, nil
		}
		place.AfterSKU, place.AfterID = rows[len(rows)-1].SKU, rows[len(rows)-1].ID
	}
}

// rebuilt is a level that was written anew, if it had to be.
type rebuilt struct {
	Level   levelAt `json:"level"`
	Changed bool    `json:"changed"`
}

// rebuild writes the level of a SKU anew. Under its lock nothing happens to the SKU; where there is no level to lock,
// somebody else may create it first, and then it is done again.
func (s *inventory) rebuild(ctx context.Context, from request, sku, reason string) (rebuilt, error) {
	r := from.idem(methodRebuild, s.keyTTL, idem.Field{Name: "sku", Value: sku}, idem.Field{Name: "reason", Value: reason})
	return idem.Once(ctx, s.pool, r, func(ctx context.Context, tx *pg.Tx) (rebuilt, string, error) {
		st := newStore(tx)
		locked, err := st.lockLevels(ctx, []string{sku})
		if err != nil {
			return rebuilt{}, "", err
		}
		before, known := locked.levels[sku]
		d, err := st.foldOne(ctx, sku)
		switch {
		case err != nil:
			return rebuilt{}, "", err
		case d == nil && !known:
			return rebuilt{}, "", unknownSKUs([]string{sku}, locked.levels, skuField)
		case d == nil: // nothing ever happened to it
			d = &difference{fold: &stock.Level{SKU: sku}}
		case d.damage != nil:
			return rebuilt{}, "", rpcerr.New(rpcerr.StockHistoryDamaged, "%v", d.damage)
		}
		out := rebuilt{Changed: !known || before != *d.fold}
		if out.Changed {
			created := map[string]bool{sku: !known}
			written, err := st.putLevels(ctx, locked, []stock.Level{*d.fold}, created)
			if err != nil {
				return rebuilt{}, "", err
			}
			s.levelsWritten(tx, written, created)
			why := fmt.Sprintf("%s (it said %d available, %d reserved, %d shipped, %d adjusted)",
				reason, before.Available, before.Reserved, before.Shipped, before.Adjusted)
			if err := st.insertActions(ctx, action{uuid.Must(uuid.NewV7()), from.caller, "rebuild", sku, why}); err != nil {
				return rebuilt{}, "", err
			}
		}
		written, err := st.levels(ctx, []string{sku})
		if err == nil {
			out.Level = written[0]
		}
		return out, sku, err
	})
}

// foldOne adds up the events of one SKU; nil when it has none.
func (s store) foldOne(ctx context.Context, sku string) (*difference, error) {
	folds := map[string]*difference{}
	_, err := s.fold(ctx, inventorydb.EventsOfSKUsParams{AfterSKU: sku, LastSKU: sku}, folds)
	return folds[sku], err
}
