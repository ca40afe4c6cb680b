package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/payment/ledger"
)

// turnover is what the journals of a kind moved in a minute.
type turnover struct {
	minute time.Time
	kind   ledger.Kind
	sum    money.Amount
}

// maxTurnover is the longest time of one answer: an hour of much business is read in a moment.
const maxTurnover = time.Hour

// turnover adds up what moved an account from one whole minute up to before another, and says how far it has come.
func (s *payments) turnover(ctx context.Context, account ledger.Account, since, until time.Time) (all []turnover, through time.Time, err error) {
	var first *time.Time
	if err := s.pool.QueryRow(ctx, `SELECT min(created_at) FROM journal WHERE created_at >= $1`, since).Scan(&first); err != nil {
		return nil, until, fmt.Errorf("looking for journals: %w", err)
	}
	if first == nil || !first.Before(until) {
		return nil, until, nil
	}
	since = first.Truncate(time.Minute)
	if through = since.Add(maxTurnover); through.After(until) {
		through = until
	}
	rows, err := s.pool.Query(ctx, `
SELECT date_trunc('minute', j.created_at), j.kind, p.currency, sum(p.amount_minor)::bigint
  FROM journal j JOIN posting p ON p.journal_id = j.id
 WHERE j.created_at >= $1 AND j.created_at < $2 AND p.account = $3
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`, since, through, string(account))
	if err != nil {
		return nil, through, fmt.Errorf("adding up turnover: %w", err)
	}
	for rows.Next() {
		var t turnover
		if err := rows.Scan(&t.minute, &t.kind, &t.sum.Currency, &t.sum.Minor); err != nil {
			return nil, through, fmt.Errorf("adding up turnover: %w", err)
		}
		all = append(all, t)
	}
	return all, through, rows.Err()
}
