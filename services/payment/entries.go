package payment

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/ledger"
)

// entry is one posting of a journal, with what the journal is about.
type entry struct {
	Journal     JournalID
	Line        int16
	Posting     ledger.Posting
	Kind        ledger.Kind
	Payment     PaymentID // zero when it is about none
	Key         string
	Reference   string
	ProviderID  string
	EffectiveAt time.Time
	CreatedAt   time.Time
}

// entryFilter says which entries are listed; what is zero holds for all.
type entryFilter struct {
	journal  JournalID
	account  ledger.Account
	payment  PaymentID
	currency money.Currency
	since    time.Time // when their journal was written, at the earliest
	until    time.Time // and before when
}

const selectEntries = `
SELECT j.id, p.line, p.account, p.currency, p.amount_minor, j.kind, j.payment_id, j.key, j.reference, j.provider_id,
       coalesce(j.effective_at, j.created_at), j.created_at
  FROM journal j JOIN posting p ON p.journal_id = j.id`

// listEntries gives up to n of the entries that a filter holds for, from behind a page, the newest journal first and
// its lines in their order.
func (s *payments) listEntries(ctx context.Context, f entryFilter, behind pageEnd, n int32) ([]entry, error) {
	var where conditions
	if !behind.isStart() {
		where.add("(j.created_at, j.id) <= ($%d, $%d)", behind.at, behind.journal)
		where.add("NOT (j.id = $%d AND p.line <= $%d)", behind.journal, behind.line)
	}
	if !f.journal.IsZero() {
		where.add("j.id = $%d", f.journal)
	}
	if f.account != "" {
		where.add("p.account = $%d", string(f.account))
	}
	if !f.payment.IsZero() {
		where.add("j.payment_id = $%d", f.payment)
	}
	if f.currency != "" {
		where.add("p.currency = $%d", string(f.currency))
	}
	if !f.since.IsZero() {
		where.add("j.created_at >= $%d", f.since)
	}
	if !f.until.IsZero() {
		where.add("j.created_at < $%d", f.until)
	}
	args := append(where.args, n)
	rows, err := s.pool.Query(ctx, fmt.Sprintf("%s%s ORDER BY j.created_at DESC, j.id DESC, p.line LIMIT $%d",
		selectEntries, where.sql(), len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("listing entries: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e entry, err error) {
		err = row.Scan(&e.Journal, &e.Line, &e.Posting.Account, &e.Posting.Amount.Currency, &e.Posting.Amount.Minor, &e.Kind,
			&e.Payment, &e.Key, &e.Reference, &e.ProviderID, &e.EffectiveAt, &e.CreatedAt)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing entries: %w", err)
	}
	return all, nil
}

// conditions are what must hold of a row, in SQL, and the arguments that they compare with.
type conditions struct {
	all  []string
	args []any
}

// add adds a condition, with a %d for the number of each argument.
func (c *conditions) add(condition string, args ...any) {
	numbers := make([]any, len(args))
	for i := range args {
		numbers[i] = len(c.args) + i + 1
	}
	c.all, c.args = append(c.all, fmt.Sprintf(condition, numbers...)), append(c.args, args...)
}

// sql is the WHERE clause; empty without conditions.
func (c *conditions) sql() string {
	if len(c.all) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.all, " AND ")
}

// pageEnd is the last entry of a page; zero before the first page.
type pageEnd struct {
	place
	line int16
}

func (e pageEnd) isStart() bool { return e.at.IsZero() }

// key is what the page's token stands for. The filter is no part of it: behind the same entry there is a page of
// every list.
func pageKey(journal string, line int32, created time.Time) string {
	return fmt.Sprintf("%s %d %s", journal, line, created.UTC().Format(time.RFC3339Nano))
}

// pageBehind gives the entry that a page begins behind. What is no token of such a list is REQUEST_INVALID.
func pageBehind(token string) (pageEnd, error) {
	key, err := rpc.ParsePageToken(token)
	if err != nil || key == "" {
		return pageEnd{}, err
	}
	refused := rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
	parts := strings.Split(key, " ")
	if len(parts) != 3 {
		return pageEnd{}, refused
	}
	journal, err1 := id.Parse[journalKind](parts[0])
	line, err2 := strconv.ParseInt(parts[1], 10, 16)
	at, err3 := time.Parse(time.RFC3339Nano, parts[2])
	if err1 != nil || err2 != nil || err3 != nil || at.IsZero() {
		return pageEnd{}, refused
	}
	return pageEnd{place{at, uuid.UUID(journal)}, int16(line)}, nil
}
