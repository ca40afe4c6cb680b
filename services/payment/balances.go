package payment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/ledger"
)

// balance is what an account comes to in a currency.
type balance struct {
	Account                  ledger.Account
	Balance, Debits, Credits money.Amount // Balance = Debits - Credits
}

// place is a place in the order in which the ledger lists its journals.
type place struct {
	at      time.Time
	journal uuid.UUID
}

// endOf is the place behind all journals written up to a time.
func endOf(at time.Time) place { return place{at, uuid.Max} }

// endingWith is the place of one journal; NOT_FOUND when there is none of that id.
func (s *payments) endingWith(ctx context.Context, journalID string) (place, error) {
	missing := rpcerr.ForField(rpcerr.NotFound, "as_of_journal_id", "there is no journal %q", journalID)
	j, err := id.Parse[journalKind](journalID)
	if err != nil {
		return place{}, missing
	}
	at, err := newStore(s.pool).q.GetJournalTime(ctx, j.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return place{}, missing
	}
	if err != nil {
		return place{}, fmt.Errorf("reading journal: %w", err)
	}
	return place{at, j.UUID()}, nil
}

// balances adds up the ledger to a place, nil for all of it, in one currency or, where that is empty, in each.
func (s *payments) balances(ctx context.Context, to *place, in money.Currency) ([]balance, error) {
	var where conditions
	from := "posting p"
	if to != nil {
		from += " JOIN journal j ON j.id = p.journal_id"
		where.add("(j.created_at, j.id) <= ($%d, $%d)", to.at, to.journal)
	}
	if in != "" {
		where.add("p.currency = $%d", string(in))
	}
	rows, err := s.pool.Query(ctx, `
SELECT p.account, p.currency, sum(p.amount_minor)::bigint,
       coalesce(sum(p.amount_minor) FILTER (WHERE p.amount_minor > 0), 0)::bigint,
       coalesce(-sum(p.amount_minor) FILTER (WHERE p.amount_minor < 0), 0)::bigint
  FROM `+from+where.sql()+` GROUP BY p.account, p.currency`, where.args...)
	if err != nil {
		return nil, fmt.Errorf("adding up the ledger: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b balance, err error) {
		var in money.Currency
		err = row.Scan(&b.Account, &in, &b.Balance.Minor, &b.Debits.Minor, &b.Credits.Minor)
		b.Balance.Currency, b.Debits.Currency, b.Credits.Currency = in, in, in
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("adding up the ledger: %w", err)
	}
	slices.SortFunc(all, func(a, b balance) int {
		return cmp.Or(cmp.Compare(a.Balance.Currency, b.Balance.Currency), cmp.Compare(placeInChart(a.Account), placeInChart(b.Account)))
	})
	return all, nil
}

func placeInChart(a ledger.Account) int {
	return slices.IndexFunc(ledger.Chart(), func(l ledger.ChartLine) bool { return l.Account == a })
}
