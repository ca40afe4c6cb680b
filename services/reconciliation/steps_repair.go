package reconciliation

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

// apply has the owners do what repairs an order, and says in words what was done.
func (o owners) apply(ctx context.Context, b *brokenThing, remedy tieout.Remedy, a answer) (string, error) {
	reason := fmt.Sprintf("%s: break %s", b.code, b.breakID)
	switch remedy {
	case tieout.RetrySaga:
		return "the saga was told to go on", o.retry(ctx, a.about.String(), b.under("retry"), reason)
	case tieout.CancelShipment:
		for _, s := range a.shipments {
			_, err := o.shipments.CancelShipment(ctx, &shipmentv1.CancelShipmentRequest{IdempotencyKey: b.under("cancel", s), ShipmentId: s, Reason: reason})
			if err := refusedBy(err); err != nil {
				return "", err
			}
		}
		return "the shipment was cancelled", nil
	}
	for i, p := range a.order.Payments {
		var err error
		switch {
		case remedy == tieout.RefundPayment && p.Captured > p.Refunded+p.ChargedBack:
			_, err = o.payments.RefundPayment(ctx, &paymentv1.RefundPaymentRequest{
				IdempotencyKey: b.under("refund", a.payments[i]), PaymentId: a.payments[i], Reason: reason,
				Amount: &commonv1.Amount{CurrencyCode: string(p.Currency), MinorUnits: p.Captured - p.Refunded - p.ChargedBack},
			})
		case remedy == tieout.VoidPayment && p.SetAside > 0:
			_, err = o.payments.VoidPayment(ctx, &paymentv1.VoidPaymentRequest{
				IdempotencyKey: b.under("void", a.payments[i]), PaymentId: a.payments[i], Reason: reason,
			})
		}
		if err := refusedBy(err); err != nil {
			return "", err
		}
	}
	return map[tieout.Remedy]string{tieout.RefundPayment: "the payment was refunded", tieout.VoidPayment: "the payment was voided"}[remedy], nil
}

// refusedBy makes a definite refusal of an owner what it is here: a person has to look.
func refusedBy(err error) error {
	if e, ok := rpcerr.FromError(err); err != nil && ok && e.Definite() {
		return notRepaired("%s", e.Message)
	}
	return err
}

// retry lets the saga of an order go on that waits for a person.
func (o owners) retry(ctx context.Context, about, key, reason string) error {
	_, err := o.sagas.OperateSaga(ctx, &sagav1.OperateSagaRequest{
		IdempotencyKey: key, SagaId: about, Verb: sagav1.SagaVerb_SAGA_VERB_RETRY, Reason: reason[:min(len(reason), maxReason)],
	})
	return refusedBy(err)
}

// maxReason bounds what is told as a reason, in bytes.
const maxReason = 400

// retryParked lets a saga go on if it waits for a person. What is no order has none.
func (o owners) retryParked(ctx context.Context, about, key, reason string) (driven bool, err error) {
	if subjectOf(about) == (subject{}) {
		return false, nil
	}
	found, err := o.sagas.GetSaga(ctx, &sagav1.GetSagaRequest{SagaId: about})
	if status.Code(err) == codes.NotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking about the saga: %w", err)
	}
	if found.GetSaga().GetPhase() != sagav1.SagaPhase_SAGA_PHASE_PARKED {
		return false, nil
	}
	return true, o.retry(ctx, about, key, reason)
}

// inquiry is what is found out about a payment.
type inquiry struct {
	reference string
	changed   bool // it was in doubt, and is not any more
	text      string
}

// String says it in words.
func (i inquiry) String() string { return i.text }

// inquire has the provider asked what it knows of a payment.
func (o owners) inquire(ctx context.Context, paymentID string) (inquiry, error) {
	if paymentID == "" {
		return inquiry{}, notRepaired("no payment is known")
	}
	before, err := o.payments.GetPayment(ctx, &paymentv1.GetPaymentRequest{PaymentId: paymentID})
	if err != nil {
		return inquiry{}, fmt.Errorf("asking about the payment: %w", err)
	}
	now, err := o.payments.InquirePayment(ctx, &paymentv1.InquirePaymentRequest{PaymentId: paymentID, Compare: true})
	if err != nil {
		return inquiry{}, fmt.Errorf("having the provider asked: %w", err)
	}
	words := []string{fmt.Sprintf("the payment is %s", stateInWords(now.GetPayment()))}
	for _, w := range now.GetWitnesses() {
		kind := strings.ToLower(strings.TrimPrefix(w.GetKind().String(), "OPERATION_KIND_"))
		words = append(words, strings.TrimRight(fmt.Sprintf("the provider says of the %s: %s %s", kind, w.GetSaid(), w.GetProviderId()), " "))
	}
	return inquiry{
		reference: now.GetPayment().GetReference(), text: strings.Join(words, ", "),
		changed: inDoubt(before.GetPayment()) && !inDoubt(now.GetPayment()),
	}, nil
}

// resolve tells the payment service what a statement proves.
func (o owners) resolve(ctx context.Context, d provenDoubt) (inquiry, error) {
	amount := d.amount.Minor
	if amount < 0 { // a refund
		amount = -amount
	}
	done, err := o.payments.ResolvePayment(ctx, &paymentv1.ResolvePaymentRequest{
		IdempotencyKey: "doubt/" + d.key.String(), PaymentId: d.paymentID, OperationKey: d.operationKey, ProviderId: d.providerID,
		Amount: &commonv1.Amount{CurrencyCode: string(d.amount.Currency), MinorUnits: amount}, Evidence: d.evidence,
	})
	if err := refusedBy(err); err != nil {
		return inquiry{}, err
	}
	p := done.GetPayment()
	if p.GetState() == paymentv1.PaymentState_PAYMENT_STATE_DECLINED {
		return inquiry{}, notRepaired("the payment is declined, against the statement")
	}
	return inquiry{reference: p.GetReference(), changed: true, text: "the payment is " + stateInWords(p)}, nil
}

func stateInWords(p *paymentv1.Payment) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(p.GetState().String(), "PAYMENT_STATE_")), "_", " ")
}

// inDoubt says whether a payment's last operation may have happened or not.
func inDoubt(p *paymentv1.Payment) bool {
	for _, o := range p.GetOperations() {
		if o.GetState() == paymentv1.OperationState_OPERATION_STATE_SENT || o.GetState() == paymentv1.OperationState_OPERATION_STATE_UNKNOWN {
			return true
		}
	}
	return false
}

// postPayout has the ledger take the journal of a payout, once. One that was collected, or of which something was corrected, is a
// correction: what was corrected is not explained yet.
func (o owners) postPayout(ctx context.Context, p posting) (journalID string, err error) {
	in := func(minor int64) *commonv1.Amount {
		return &commonv1.Amount{CurrencyCode: string(p.currency), MinorUnits: minor}
	}
	r := &paymentv1.PostJournalRequest{
		IdempotencyKey: p.key(), Key: p.key(), Kind: paymentv1.JournalKind_JOURNAL_KIND_PAYOUT, Amount: in(p.amount), Reference: p.payoutID,
		Reason: "a bank statement proves the payout", EffectiveTime: timestamppb.New(p.arrivedOn),
	}
	if p.fee != 0 {
		r.Fee = in(p.fee)
	}
	if p.amount <= 0 || p.adjusted != 0 {
		r.Kind, r.Amount, r.Fee = paymentv1.JournalKind_JOURNAL_KIND_CORRECTION, nil, nil
		for _, line := range []struct {
			account paymentv1.LedgerAccount
			minor   int64
		}{
			{paymentv1.LedgerAccount_LEDGER_ACCOUNT_BANK, p.amount}, {paymentv1.LedgerAccount_LEDGER_ACCOUNT_FEES, p.fee},
			{paymentv1.LedgerAccount_LEDGER_ACCOUNT_SUSPENSE, -p.adjusted},
			{paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, p.adjusted - p.amount - p.fee},
		} {
			if line.minor != 0 {
				r.Postings = append(r.Postings, &paymentv1.Posting{Account: line.account, Amount: in(line.minor)})
			}
		}
		if len(r.Postings) == 0 {
			return "none", nil // nothing moved
		}
	}
	done, err := o.ledger.PostJournal(ctx, r)
	if e, ok := rpcerr.FromError(err); err != nil && ok && e.Reason == rpcerr.JournalExists {
		return e.Resource, nil // the key of the request is past its time, and the journal is there
	}
	if err != nil {
		return "", err
	}
	return done.GetJournalId(), nil
}
