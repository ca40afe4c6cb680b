package reconciliation

import (
	"context"
	"fmt"

	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// store is rows ↔ domain, on a pool or in a transaction.
type store struct {
	q  *reconciliationdb.Queries
	db reconciliationdb.DBTX
}

func newStore(db reconciliationdb.DBTX) store { return store{q: reconciliationdb.New(db), db: db} }

// partitions gives all partitions there are.
func (s store) partitions(ctx context.Context) (map[partitionID]partition, error) {
	rows, err := s.q.ListPartitions(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing partitions: %w", err)
	}
	all := make(map[partitionID]partition, len(rows))
	for _, r := range rows {
		all[r.ID] = partition{id: r.ID, stage: stage(r.Stage), account: r.Account, currency: r.Currency}
	}
	return all, nil
}

// earlierEffects gives by how much payouts of a partition are off because of what runs before the source's have matched, by the
// payouts' ids. A simulation finds out about these itself.
func (s store) earlierEffects(ctx context.Context, from source, of partition, payouts []string) (map[string]int64, error) {
	if from.run == 0 || len(payouts) == 0 {
		return nil, nil //nolint:nilnil // none
	}
	rows, err := s.q.EarlierEffects(ctx, reconciliationdb.EarlierEffectsParams{
		Payouts: payouts, Before: from.run, Account: of.account, Currency: of.currency,
	})
	if err != nil {
		return nil, fmt.Errorf("reading what payouts are off: %w", err)
	}
	all := make(map[string]int64, len(rows))
	for _, r := range rows {
		all[r.PayoutID] = r.EffectMinor
	}
	return all, nil
}

// sourceOf gives the inputs of a run.
func (s store) sourceOf(ctx context.Context, number int32) (source, error) {
	taken, err := s.q.DeliveriesOfRun(ctx, number)
	if err != nil {
		return source{}, fmt.Errorf("reading what the run took: %w", err)
	}
	return source{run: number, lo: int64(taken.First) << 32, hi: int64(taken.Last+1) << 32, whole: taken.Whole}, nil
}
