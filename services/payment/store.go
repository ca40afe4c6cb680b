package payment

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/ledger"
	"github.com/tieout/tieout/services/payment/paymentdb"
)

// errChanged says that the payment is not as it was seen any more: another request works on it.
var errChanged = errors.New("payment was changed by another request")

// store is rows ↔ domain, on a pool or in a transaction.
type store struct{ q *paymentdb.Queries }

func newStore(db paymentdb.DBTX) store { return store{paymentdb.New(db)} }

// insert writes a new payment as sent, and completes it with its times. When another first request under the
// same key comes before, nothing is written; that one's idempotency row then ends this transaction.
func (s store) insert(ctx context.Context, p *payment) error {
	row, err := s.q.InsertPayment(ctx, paymentdb.InsertPaymentParams{
		ID: p.ID.UUID(), State: int16(p.State), Currency: string(p.Amount.Currency), AmountMinor: p.Amount.Minor,
		PaymentMethod: p.Method, CustomerID: p.CustomerID, Reference: p.Reference, ProviderKey: p.ProviderKey,
	})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("writing payment: %w", err)
	}
	p.LastSentAt, p.CreatedAt, p.UpdatedAt = row.LastSentAt, row.CreatedAt, row.UpdatedAt
	return nil
}

// payment reads one payment; NOT_FOUND when there is none.
func (s store) payment(ctx context.Context, paymentID string) (payment, error) {
	notFound := rpcerr.ForField(rpcerr.NotFound, "payment_id", "there is no payment %q", paymentID)
	pid, err := id.Parse[paymentKind](paymentID)
	if err != nil {
		return payment{}, notFound
	}
	row, err := s.q.GetPayment(ctx, pid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return payment{}, notFound
	}
	if err != nil {
		return payment{}, fmt.Errorf("reading payment: %w", err)
	}
	p := paymentOf(row.Payment)
	p.readAt = row.ReadAt
	return p, nil
}

func (s store) list(ctx context.Context, before PaymentID, n int32) ([]payment, error) {
	rows, err := s.q.ListPayments(ctx, paymentdb.ListPaymentsParams{Before: before.UUID(), N: n})
	if err != nil {
		return nil, fmt.Errorf("listing payments: %w", err)
	}
	all := make([]payment, len(rows))
	for i, row := range rows {
		all[i] = paymentOf(row)
	}
	return all, nil
}

func paymentOf(row paymentdb.Payment) payment {
	return payment{
		ID: PaymentID(row.ID), State: state(row.State),
		Amount: money.Amount{Currency: money.Currency(row.Currency), Minor: row.AmountMinor},
		Method: row.PaymentMethod, CustomerID: row.CustomerID, Reference: row.Reference, ProviderKey: row.ProviderKey,
		ChargeID: row.ProviderChargeID, RefundID: row.ProviderRefundID, DeclineReason: row.DeclineReason,
		LastSentAt: row.LastSentAt, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
}

// markSent makes durable that the charge may leave again from now on. Errors: errChanged.
func (s store) markSent(ctx context.Context, seen payment) (payment, error) {
	row, err := s.q.MarkSent(ctx, paymentdb.MarkSentParams{
		ID: seen.ID.UUID(), State: int16(seen.State), SeenSentAt: seen.LastSentAt,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return payment{}, errChanged
	}
	if err != nil {
		return payment{}, fmt.Errorf("marking payment as sent: %w", err)
	}
	marked := seen
	marked.LastSentAt, marked.UpdatedAt = row.LastSentAt, row.UpdatedAt
	return marked, nil
}

// save writes what a payment becomes, if it still is as it was seen. Errors: errChanged.
func (s store) save(ctx context.Context, seen, becomes payment) (payment, error) {
	at, err := s.q.SavePayment(ctx, paymentdb.SavePaymentParams{
		ID: seen.ID.UUID(), SeenState: int16(seen.State), SeenSentAt: seen.LastSentAt,
		State: int16(becomes.State), LastSentAt: becomes.LastSentAt, ProviderChargeID: becomes.ChargeID,
		ProviderRefundID: becomes.RefundID, DeclineReason: becomes.DeclineReason,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return payment{}, errChanged
	}
	if err != nil {
		return payment{}, fmt.Errorf("writing payment: %w", err)
	}
	becomes.UpdatedAt = at
	return becomes, nil
}

// post adds a journal to the ledger.
func (s store) post(ctx context.Context, of PaymentID, j ledger.Journal) error {
	journalID, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("making journal id: %w", err)
	}
	p := paymentdb.InsertPostingsParams{JournalID: journalID}
	for i, posting := range j.Postings() {
		p.Lines, p.Accounts = append(p.Lines, int16(i+1)), append(p.Accounts, string(posting.Account))
		p.Currencies, p.Amounts = append(p.Currencies, string(posting.Amount.Currency)), append(p.Amounts, posting.Amount.Minor)
	}
	if err := s.q.InsertJournal(ctx, paymentdb.InsertJournalParams{ID: journalID, PaymentID: of.UUID(), Kind: int16(j.Kind())}); err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	if err := s.q.InsertPostings(ctx, p); err != nil {
		return fmt.Errorf("writing postings: %w", err)
	}
	return nil
}
