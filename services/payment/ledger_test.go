package payment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/payment/ledger"
)

// books is a ledger without a service.
type books struct {
	*payments
	db *pgxpool.Pool
}

func openBooks(t *testing.T) books {
	t.Helper()
	pool := pgtest.Pool(t, Migrations()...)
	return books{&payments{pool: pool}, pool}
}

// post posts journals in a transaction of their own.
func (b books) post(ctx context.Context, bookings ...booking) error {
	return pg.InTx(ctx, b.db, func(tx *pg.Tx) error { return newStore(tx).post(ctx, bookings) })
}

// paid adds the row of a payment that was captured, and refunded if it says so.
func (b books) paid(ctx context.Context, of money.Amount, givenBack bool) (PaymentID, error) {
	p, st, back := id.New[paymentKind](), captured, int64(0)
	if givenBack {
		st, back = refunded, of.Minor
	}
	_, err := b.db.Exec(ctx, `
INSERT INTO payment (id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key, provider_charge_id, captured_minor, refunded_minor)
VALUES ($1, $2, $3, $4, 'pm_ok', 'cus_1', 'ord_1', $5, $5, $4, $6)`,
		p, int16(st), string(of.Currency), of.Minor, p.String(), back)
	return p, err
}

// chargedBack has the row of a payment say how much stays charged back.
func (b books) chargedBack(ctx context.Context, p PaymentID, minor int64) error {
	_, err := b.db.Exec(ctx, `UPDATE payment SET charged_back_minor = $2::bigint, state = 11 WHERE id = $1 AND $2::bigint > 0`, p, minor)
	return err
}

// life draws what happens to a payment, and to what it brought in, as one transaction after another.
func life(t *rapid.T, b books) [][]booking {
	ctx := context.Background()
	currency := rapid.SampledFrom([]money.Currency{"GBP", "JPY", "KWD"})
	in := currency.Draw(t, "currency")
	amount := func(minor int64) money.Amount { return money.Amount{Currency: in, Minor: minor} }
	fee := func() money.Amount {
		return money.Amount{Currency: currency.Draw(t, "currency of the fee"), Minor: rapid.Int64Range(-50, 50).Draw(t, "fee")}
	}
	must := func(j ledger.Journal, err error) ledger.Journal {
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	whole := amount(rapid.Int64Range(10, 1<<40).Draw(t, "minor"))
	parts, err := whole.Allocate(rapid.SliceOfN(rapid.Int64Range(1, 9), 0, 3).Draw(t, "refunds")...)
	if err != nil {
		parts = nil // it is not refunded
	}
	p, err := b.paid(ctx, whole, len(parts) > 0)
	if err != nil {
		t.Fatal(err)
	}
	key := func(i int) string { return fmt.Sprintf("%s/%d", p, i) }
	days := [][]booking{{{journal: must(ledger.Capture(whole, fee())), payment: p, reference: "ord_1", providerID: "ch_1"}}}
	for i, part := range parts {
		if part.IsPositive() {
			days = append(days, []booking{{journal: must(ledger.Refund(part, fee())), payment: p, key: key(i)}})
		}
	}
	back := amount(rapid.Int64Range(1, whole.Minor).Draw(t, "charged back"))
	won := amount(rapid.Int64Range(1, back.Minor).Draw(t, "reversed"))
	if err := b.chargedBack(ctx, p, back.Minor-won.Minor); err != nil {
		t.Fatal(err)
	}
	happened := time.Date(2026, 3, rapid.IntRange(1, 31).Draw(t, "day"), 12, 0, 0, 0, time.UTC)
	return append(days,
		[]booking{{journal: must(ledger.Chargeback(back, fee())), payment: p, key: key(0)}},
		[]booking{
			{journal: must(ledger.ChargebackReversal(won, fee())), payment: p, key: key(0), effectiveAt: happened},
			{journal: must(ledger.WriteOff(ledger.CustomerReceivable, back)), key: key(0), reference: "brk_1"},
			{journal: must(ledger.Fee(amount(5))), key: key(0)},
		},
		[]booking{
			{journal: must(ledger.Payout(amount(7), fee())), key: key(0), reference: "po_1", effectiveAt: happened},
			{journal: must(ledger.Correction(correction(t, amount)...)), key: key(0), payment: p},
		})
}

// correction draws postings that balance, to any accounts.
func correction(t *rapid.T, amount func(int64) money.Amount) []ledger.Posting {
	chart := ledger.Chart()
	account := rapid.Custom(func(t *rapid.T) ledger.Account {
		return chart[rapid.IntRange(0, len(chart)-1).Draw(t, "account")].Account
	})
	minor := rapid.Int64Range(1, 999).Draw(t, "corrected")
	return []ledger.Posting{
		{Account: account.Draw(t, "debit"), Amount: amount(2 * minor)},
		{Account: account.Draw(t, "credit"), Amount: amount(-minor)}, {Account: account.Draw(t, "credit"), Amount: amount(-minor)},
	}
}

// everything lists all entries, a page at a time.
func (b books) everything(ctx context.Context, f entryFilter, pageSize int32, betweenPages func() error) (all []entry, err error) {
	var behind pageEnd
	var previous entry
	for {
		page, err := b.listEntries(ctx, f, behind, pageSize)
		if err != nil || len(page) == 0 {
			return all, err
		}
		all = append(all, page...)
		last := page[len(page)-1]
		if last == previous {
			return nil, fmt.Errorf("a page ends where the page before ended: %+v", last)
		}
		previous = last
		behind = pageEnd{place{last.CreatedAt, last.Journal.UUID()}, last.Line}
		if err := betweenPages(); err != nil {
			return nil, err
		}
	}
}

func quietly() error { return nil }

// fold adds up entries, as balances are printed.
func fold(entries []entry, counts func(entry) bool) map[string]int64 {
	sums := map[string]int64{}
	for _, e := range entries {
		if counts(e) {
			sums[fmt.Sprintf("%s %s", e.Posting.Account, e.Posting.Amount.Currency)] += e.Posting.Amount.Minor
		}
	}
	return sums
}

// wantBalances fails unless the ledger up to a place comes to these sums.
func (b books) wantBalances(t *rapid.T, to *place, want map[string]int64) {
	t.Helper()
	all, err := b.balances(context.Background(), to, "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, x := range all {
		got[fmt.Sprintf("%s %s", x.Account, x.Balance.Currency)] = x.Balance.Minor
		if x.Debits.Minor-x.Credits.Minor != x.Balance.Minor || x.Debits.Minor < 0 || x.Credits.Minor < 0 {
			t.Fatalf("balance %+v does not add up", x)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("balances as of %v (-fold of the entries +got):\n%s", to, diff)
	}
}

func TestLedger_KeepsItsInvariantsAndEveryPastBalance(t *testing.T) {
	t.Parallel()
	b := openBooks(t)
	ctx := t.Context()
	posted := map[string]int64{} // by all runs
	rapid.Check(t, func(t *rapid.T) {
		for _, day := range life(t, b) {
			if err := b.post(ctx, day...); err != nil {
				t.Fatal(err)
			}
			for _, k := range day {
				for _, p := range k.journal.Postings() {
					posted[fmt.Sprintf("%s %s", p.Account, p.Amount.Currency)] += p.Amount.Minor
				}
			}
		}
		entries, err := b.everything(ctx, entryFilter{}, 1000, quietly)
		if err != nil {
			t.Fatal(err)
		}
		b.wantBalances(t, nil, posted)
		b.wantBalances(t, nil, fold(entries, func(entry) bool { return true }))
		i := rapid.IntRange(0, len(entries)-1).Draw(t, "entry")
		at := entries[i].CreatedAt
		for _, at := range []time.Time{at, at.Add(-time.Microsecond)} {
			to := endOf(at)
			b.wantBalances(t, &to, fold(entries, func(e entry) bool { return !e.CreatedAt.After(at) }))
		}
		to, err := b.endingWith(ctx, entries[i].Journal.String())
		if err != nil {
			t.Fatal(err)
		}
		first := slices.IndexFunc(entries, func(e entry) bool { return e.Journal == entries[i].Journal })
		b.wantBalances(t, &to, fold(entries[first:], func(entry) bool { return true }))
	})
	for _, view := range pgtest.Column[string](t, b.db, `SELECT table_name::text FROM information_schema.views WHERE table_name ~ '^inv_([6-9]|10)_'`) {
		for _, violation := range pgtest.Column[string](t, b.db, `SELECT id || ': ' || detail FROM `+pgx.Identifier{view}.Sanitize()) {
			t.Errorf("%s: %s", view, violation)
		}
	}
}

func TestLedger_TakesWhatHappenedOnce(t *testing.T) {
	t.Parallel()
	b := openBooks(t)
	whole := money.Amount{Currency: "GBP", Minor: 1000}
	p, err := b.paid(t.Context(), whole, true)
	if err != nil {
		t.Fatal(err)
	}
	of := func(build func(_, _ money.Amount) (ledger.Journal, error), minor int64, k booking) booking {
		if k.journal, err = build(money.Amount{Currency: "GBP", Minor: minor}, money.Amount{}); err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, k := range []booking{
		of(ledger.Capture, 1000, booking{payment: p}),
		of(ledger.Refund, 400, booking{payment: p, key: "k/refund/1"}),
		of(ledger.Refund, 400, booking{payment: p, key: "k/refund/2"}), // as much again, and another one
		of(ledger.Payout, 100, booking{key: "po_1"}),
		of(ledger.Payout, 100, booking{key: "po_2"}),
	} {
		if err := b.post(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if err := b.post(t.Context(), k); !violates(err, "23505") {
			t.Errorf("%s %q again: got error %v, want a violated unique key", k.journal.Kind(), k.key, err)
		}
	}
	for name, k := range map[string]booking{
		"a capture of no payment":       of(ledger.Capture, 1, booking{}),
		"a second capture under a key":  of(ledger.Capture, 1, booking{payment: p, key: "k"}),
		"a chargeback without a key":    of(ledger.Chargeback, 1, booking{payment: p}),
		"a chargeback of no payment":    of(ledger.Chargeback, 1, booking{key: "k"}),
		"a payout of a payment":         of(ledger.Payout, 1, booking{payment: p, key: "k"}),
		"a payout that nobody knows":    of(ledger.Payout, 1, booking{}),
		"a key that is no key any more": of(ledger.Payout, 1, booking{key: strings.Repeat("x", 301)}),
	} {
		if err := b.post(t.Context(), k); !violates(err, "23514") {
			t.Errorf("%s: got error %v, want a violated check", name, err)
		}
	}
}

func TestLedger_AddsNothingToWhatIsWritten(t *testing.T) {
	t.Parallel()
	b := openBooks(t)
	if err := b.post(t.Context(), payout(t, "po_1", 10)); err != nil {
		t.Fatal(err)
	}
	for name, statements := range map[string]string{
		"postings that balance": `INSERT INTO posting (journal_id, line, account, currency, amount_minor)
			SELECT id, line, account, 'GBP', amount FROM journal, (VALUES (8, 'bank', 5), (9, 'fees', -5)) AS v (line, account, amount)`,
		"a journal of yesterday": `INSERT INTO journal (id, kind, key, created_at) VALUES (gen_random_uuid(), 5, 'po_2', now() - interval '1 day')`,
	} {
		if _, err := b.db.Exec(t.Context(), statements); !violates(err, "23001") {
			t.Errorf("%s: got error %v, want a restriction", name, err)
		}
	}
}

func TestLedger_IsChangedByNobody(t *testing.T) {
	t.Parallel()
	b := openBooks(t)
	if err := b.post(t.Context(), payout(t, "po_1", 10)); err != nil {
		t.Fatal(err)
	}
	superuser, err := pgx.Connect(t.Context(), pgtest.Server(t).DSN(b.db.Config().ConnConfig.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer superuser.Close(context.WithoutCancel(t.Context()))
	for _, change := range []string{
		`UPDATE journal SET reference = 'x'`, `DELETE FROM journal`, `TRUNCATE journal CASCADE`,
		`UPDATE posting SET amount_minor = amount_minor + 1`, `DELETE FROM posting`, `TRUNCATE posting`,
	} {
		if _, err := b.db.Exec(t.Context(), change); !violates(err, "42501") {
			t.Errorf("%s: got error %v, want that the service's role may not", change, err)
		}
		if _, err := superuser.Exec(t.Context(), change); !violates(err, "23001") {
			t.Errorf("%s: got error %v, want that a trigger keeps even a superuser from it", change, err)
		}
	}
	// The one column that the role is granted, so that foreign keys can lock the row.
	if _, err := b.db.Exec(t.Context(), `UPDATE journal SET id = gen_random_uuid()`); !violates(err, "23001") {
		t.Errorf("got error %v, want that a trigger keeps the role from it", err)
	}
}
