package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/paymentdb"
)

// errChanged says that the payment is not as it was seen any more: another request works on it.
var errChanged = errors.New("payment was changed by another request")

// store is rows ↔ domain, on a pool or in a transaction.
type store struct{ q *paymentdb.Queries }

func newStore(db paymentdb.DBTX) store { return store{paymentdb.New(db)} }

// insert writes new payments as sent, and completes them with their times. Groupcommit.ErrAgain says that another first
// request under one of their keys was first.
func (s store) insert(ctx context.Context, made []*payment) error {
	var p paymentdb.InsertPaymentsParams
	byID := map[uuid.UUID]*payment{}
	for _, m := range made {
		byID[m.ID.UUID()] = m
		p.Ids, p.States = append(p.Ids, m.ID.UUID()), append(p.States, int16(m.State))
		p.Currencies, p.Amounts = append(p.Currencies, string(m.Amount.Currency)), append(p.Amounts, m.Amount.Minor)
		p.PaymentMethods, p.CustomerIds = append(p.PaymentMethods, m.Method), append(p.CustomerIds, m.CustomerID)
		p.Refs, p.ProviderKeys = append(p.Refs, m.Reference), append(p.ProviderKeys, m.ProviderKey)
	}
	rows, err := s.q.InsertPayments(ctx, p)
	if err != nil {
		return fmt.Errorf("writing payments: %w", err)
	}
	if len(rows) < len(made) {
		return fmt.Errorf("writing payments: %w", groupcommit.ErrAgain)
	}
	for _, row := range rows {
		m := byID[row.ID]
		m.LastSentAt, m.CreatedAt, m.UpdatedAt = row.LastSentAt, row.CreatedAt, row.UpdatedAt
	}
	return nil
}

// payment reads one payment; NOT_FOUND when there is none.
func (s store) payment(ctx context.Context, paymentID string) (payment, error) {
	found, err := s.payments(ctx, []string{paymentID})
	if err != nil {
		return payment{}, err
	}
	p, ok := found[paymentID]
	if !ok {
		return payment{}, rpcerr.ForField(rpcerr.NotFound, "payment_id", "there is no payment %q", paymentID)
	}
	return p, nil
}

// payments reads payments by id. What is no id of one is missing from the map.
func (s store) payments(ctx context.Context, ids []string) (map[string]payment, error) {
	var known []uuid.UUID
	for _, text := range ids {
		if pid, err := id.Parse[paymentKind](text); err == nil {
			known = append(known, pid.UUID())
		}
	}
	if len(known) == 0 {
		return nil, nil
	}
	rows, err := s.q.GetPayments(ctx, known)
	if err != nil {
		return nil, fmt.Errorf("reading payments: %w", err)
	}
	found := make(map[string]payment, len(rows))
	for _, r := range rows {
		p := paymentOf(paymentdb.Payment{
			ID: r.ID, State: r.State, Currency: r.Currency, AmountMinor: r.AmountMinor, PaymentMethod: r.PaymentMethod,
			CustomerID: r.CustomerID, Reference: r.Reference, ProviderKey: r.ProviderKey,
			ProviderChargeID: r.ProviderChargeID, ProviderRefundID: r.ProviderRefundID, DeclineReason: r.DeclineReason,
			LastSentAt: r.LastSentAt, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		})
		p.readAt = r.ReadAt
		found[p.ID.String()] = p
	}
	return found, nil
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

// save writes what payments become, as far as they still are as they were seen, and gives the times of those by id.
func (s store) save(ctx context.Context, edits []edit) (map[PaymentID]time.Time, error) {
	var p paymentdb.SavePaymentsParams
	for _, e := range edits {
		p.Ids = append(p.Ids, e.seen.ID.UUID())
		p.SeenStates, p.SeenSentAts = append(p.SeenStates, int16(e.seen.State)), append(p.SeenSentAts, orNever(e.seen.LastSentAt))
		p.States, p.LastSentAts = append(p.States, int16(e.becomes.State)), append(p.LastSentAts, orNever(e.becomes.LastSentAt))
		p.ProviderChargeIds = append(p.ProviderChargeIds, e.becomes.ChargeID)
		p.ProviderRefundIds = append(p.ProviderRefundIds, e.becomes.RefundID)
		p.DeclineReasons = append(p.DeclineReasons, e.becomes.DeclineReason)
	}
	rows, err := s.q.SavePayments(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("writing payments: %w", err)
	}
	saved := make(map[PaymentID]time.Time, len(rows))
	for _, r := range rows {
		saved[PaymentID(r.ID)] = r.UpdatedAt
	}
	return saved, nil
}

// orNever is the zero time for one that there is not, as the queries take it.
func orNever(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}
