package reconciliation

import (
	"context"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/pg"
)

// explainOnce checks, after each run, that of every movement which it left open it says why. One of which it says nothing would
// stay in what the provider holds for ever, and nobody would know.
func (t *ties) explainOnce(ctx context.Context) (again bool, err error) {
	runs, err := newStore(t.pool).q.LastRunToCheck(ctx)
	if err != nil || len(runs) == 0 {
		return false, err
	}
	number := runs[0]
	err = pg.InTx(ctx, t.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		rows, err := st.q.Unexplained(ctx, number)
		if err != nil {
			return fmt.Errorf("looking for movements that nothing explains: %w", err)
		}
		var all []sighting
		for _, r := range rows {
			s, err := ledgerSighting(clearing+"/"+r.Currency+"/unexplained", r.Currency, r.Minor, struct {
				Movements int64  `json:"movements"`
				Since     string `json:"since"`
			}{r.Movements, r.Since.Time.Format(time.DateOnly)})
			if err != nil {
				return err
			}
			s.account = r.Account
			all = append(all, s)
		}
		if _, err := t.report(ctx, tx, watcher{name: "ledger", scope: clearing + "/unexplained"}, number, all, true); err != nil {
			return err
		}
		return st.q.SetRunChecked(ctx, number)
	})
	return false, err
}
