package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/payment/ledger"
	"github.com/tieout/tieout/services/payment/paymentdb"
	"github.com/tieout/tieout/services/payment/provider"
)

// JournalID identifies a journal of the ledger.
type JournalID = id.ID[journalKind]

type journalKind struct{}

// Prefix implements id.Kind.
func (journalKind) Prefix() string { return "jrn" }

// booking is a journal that is to be posted, with what it is about.
type booking struct {
	journal ledger.Journal
	id      JournalID // zero for one that it is given when it is posted
	// payment is what it is about; zero when it is about no single payment.
	payment PaymentID
	// key tells it from the others of its kind on the payment, or of its kind without a payment; a second one under
	// it is refused by the database. Only a capture has none: a payment is captured once.
	key string
	// reference is what it is for: the order, the payout, the break.
	reference string
	// providerID is the provider's id of what happened; may be empty.
	providerID string
	// effectiveAt is when the provider or the bank says that it happened; zero for the time of posting.
	effectiveAt time.Time
}

func bookCapture(p payment) (booking, error) {
	j, err := ledger.Capture(p.Last.Amount, money.Amount{})
	return booking{journal: j, payment: p.ID, reference: p.Reference, providerID: p.Last.ID}, err
}

// bookRefund books the refund that is the payment's last operation.
func bookRefund(p payment) (booking, error) {
	j, err := ledger.Refund(p.Last.Amount, money.Amount{})
	return booking{journal: j, payment: p.ID, key: p.Last.Key, reference: p.Reference, providerID: p.Last.ID}, err
}

// bookDispute books a chargeback, or the reversal of one, with the provider's fee for it.
func bookDispute(p payment, e provider.Event) (booking, error) {
	make := ledger.Chargeback
	if e.Kind == provider.EventChargebackReversal {
		make = ledger.ChargebackReversal
	}
	j, err := make(e.Amount, e.Fee)
	return booking{
		journal: j, payment: p.ID, key: e.Outcome.ID, reference: p.Reference, providerID: e.Outcome.ID, effectiveAt: e.At,
	}, err
}

// post adds journals to the ledger; it fails when the ledger holds one of them already, and when one does not balance.
func (s store) post(ctx context.Context, bookings []booking) error {
	if len(bookings) == 0 {
		return nil
	}
	var rows paymentdb.InsertJournalsParams
	for _, b := range bookings {
		journalID := b.id.UUID()
		if b.id.IsZero() {
			journalID = id.New[journalKind]().UUID()
		}
		rows.Ids, rows.PaymentIds = append(rows.Ids, journalID), append(rows.PaymentIds, b.payment.UUID())
		rows.Kinds, rows.Keys = append(rows.Kinds, int16(b.journal.Kind())), append(rows.Keys, b.key)
		rows.Refs, rows.ProviderIds = append(rows.Refs, b.reference), append(rows.ProviderIds, b.providerID)
		rows.EffectiveAts = append(rows.EffectiveAts, b.effectiveAt)
		for i, p := range b.journal.Postings() {
			rows.JournalIds, rows.Lines = append(rows.JournalIds, journalID), append(rows.Lines, int16(i+1))
			rows.Accounts = append(rows.Accounts, string(p.Account))
			rows.Currencies = append(rows.Currencies, string(p.Amount.Currency))
			rows.Amounts = append(rows.Amounts, p.Amount.Minor)
		}
	}
	if err := s.q.InsertJournals(ctx, rows); err != nil {
		return fmt.Errorf("writing journals: %w", err)
	}
	return nil
}

// booked tells whether the ledger holds a journal about the same thing already.
func (s store) booked(ctx context.Context, b booking) (there bool, err error) {
	err = s.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM journal WHERE payment_id = $1 AND kind = $2 AND key = $3)`,
		b.payment, int16(b.journal.Kind()), b.key).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("reading journals: %w", err)
	}
	return there, nil
}
