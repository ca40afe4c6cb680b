package billing

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/billing/billingdb"
)

const methodSetLimit = "SetProviderLimit"

// limit is how items may be charged at a provider account.
type limit struct {
	Account     string    `json:"account"`
	Rate        int32     `json:"rate"` // items a second; 0 for no limit
	Concurrency int32     `json:"concurrency"`
	SetBy       string    `json:"set_by"`
	Reason      string    `json:"reason"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// setLimit says how items may be charged at an account from now on.
func (b *billing) setLimit(ctx context.Context, from request, l limit) (limit, error) {
	r := from.idem(methodSetLimit, b.keyTTL, idem.Field{Name: "account", Value: l.Account},
		idem.Field{Name: "rate_per_second", Value: strconv.Itoa(int(l.Rate))},
		idem.Field{Name: "concurrency", Value: strconv.Itoa(int(l.Concurrency))}, idem.Field{Name: "reason", Value: l.Reason})
	return idem.Once(ctx, b.pool, r, func(ctx context.Context, tx *pg.Tx) (limit, string, error) {
		st := newStore(tx)
		l.SetBy = from.caller
		var err error
		l.UpdatedAt, err = st.q.PutLimit(ctx, billingdb.PutLimitParams{
			Account: l.Account, Rate: l.Rate, Concurrency: l.Concurrency, SetBy: l.SetBy, Reason: l.Reason,
		})
		if err != nil {
			return l, "", fmt.Errorf("writing limit: %w", err)
		}
		tx.AfterCommit(b.feeder.wakeUp)
		said := fmt.Sprintf("%d a second, %d at once: %s", l.Rate, l.Concurrency, l.Reason)
		return l, l.Account, st.insertAction(ctx, from.caller, "set limit", l.Account, said)
	})
}

// limits gives up to n limits that were set, behind an account.
func (b *billing) limits(ctx context.Context, after string, n int32) ([]limit, error) {
	rows, err := newStore(b.pool).q.ListLimits(ctx, billingdb.ListLimitsParams{AfterAccount: after, N: n})
	if err != nil {
		return nil, fmt.Errorf("listing limits: %w", err)
	}
	all := make([]limit, len(rows))
	for i, r := range rows {
		all[i] = limit(r)
	}
	return all, nil
}
