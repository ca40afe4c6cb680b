package provider

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/tieout/tieout/pkg/money"
)

// VerifyWebhook implements Provider.
func (s *Stripe) VerifyWebhook(header http.Header, body []byte, now time.Time) (Event, error) {
	if err := s.webhook.verify(header.Get("Stripe-Signature"), body, now); err != nil {
		return Event{}, err
	}
	var e stripe.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("reading webhook: %w", err)
	}
	if e.ID == "" || e.Created == 0 || e.Data == nil {
		return Event{}, errors.New("reading webhook: it has no id, time or data")
	}
	event := Event{ID: e.ID, At: time.Unix(e.Created, 0).UTC(), Type: string(e.Type)}
	var err error
	switch e.Type {
	case stripe.EventTypePaymentIntentSucceeded, stripe.EventTypePaymentIntentAmountCapturableUpdated,
		stripe.EventTypePaymentIntentPaymentFailed, stripe.EventTypePaymentIntentCanceled:
		err = event.ofIntent(e)
	case stripe.EventTypeRefundCreated, stripe.EventTypeRefundUpdated, stripe.EventTypeRefundFailed:
		err = event.ofRefund(e)
	case stripe.EventTypeChargeDisputeCreated, stripe.EventTypeChargeDisputeFundsWithdrawn,
		stripe.EventTypeChargeDisputeFundsReinstated, stripe.EventTypeChargeDisputeClosed:
		err = event.ofDispute(e)
	}
	if err != nil {
		return Event{}, fmt.Errorf("reading webhook %s: %w", e.ID, err)
	}
	return event, nil
}

// ofIntent fills in what an event tells of a PaymentIntent. One without our key was made by somebody else.
func (v *Event) ofIntent(e stripe.Event) error {
	var p stripe.PaymentIntent
	if err := json.Unmarshal(e.Data.Raw, &p); err != nil {
		return err
	}
	if p.Metadata[metaKey] == "" {
		return nil
	}
	op, key, minor, outcome := Charge, p.Metadata[metaKey], p.Amount, Outcome{Kind: Succeeded, ID: p.ID}
	manual := p.CaptureMethod == stripe.PaymentIntentCaptureMethodManual
	if manual {
		op = Authorize
	}
	switch {
	case e.Type == stripe.EventTypePaymentIntentPaymentFailed:
		outcome = declined(p.ID, "")
		if f := p.LastPaymentError; f != nil {
			outcome = declined(p.ID, cmp.Or(string(f.DeclineCode), string(f.Code)))
		}
	case e.Type == stripe.EventTypePaymentIntentCanceled:
		op, key = Void, "" // a cancellation carries no metadata of its own
	case e.Type == stripe.EventTypePaymentIntentSucceeded && manual:
		op, key, minor = Capture, p.Metadata[metaCaptureKey], p.AmountReceived
	}
	amount, err := fromStripe(minor, p.Currency)
	v.Kind, v.Op, v.Key, v.ChargeID, v.Amount, v.Outcome = EventOutcome, op, key, p.ID, amount, outcome
	return err
}

// ofRefund fills in what an event tells of a refund. One that is pending is no outcome yet.
func (v *Event) ofRefund(e stripe.Event) error {
	var f stripe.Refund
	if err := json.Unmarshal(e.Data.Raw, &f); err != nil {
		return err
	}
	if f.Metadata[metaKey] == "" || f.PaymentIntent == nil {
		return nil
	}
	amount, err := fromStripe(f.Amount, f.Currency)
	if err != nil {
		return err
	}
	r := Request{Op: Refund, Key: f.Metadata[metaKey], ChargeID: f.PaymentIntent.ID, Amount: amount}
	if o := r.refunded(&f); o.Kind != Unknown {
		v.Kind, v.Op, v.Key, v.ChargeID, v.Amount, v.Outcome = EventOutcome, Refund, r.Key, r.ChargeID, amount, o
	}
	return nil
}

// ofDispute fills in what an event tells of a dispute. While it is an inquiry, and when it was prevented, no money has
// moved. An inquiry that becomes a chargeback is told by the withdrawal, and one that was lost and never told of before
// by its end.
func (v *Event) ofDispute(e stripe.Event) error {
	var d stripe.Dispute
	if err := json.Unmarshal(e.Data.Raw, &d); err != nil {
		return err
	}
	kind := EventChargeback
	switch d.Status {
	case stripe.DisputeStatusNeedsResponse, stripe.DisputeStatusUnderReview, stripe.DisputeStatusLost:
	case stripe.DisputeStatusWon:
		kind = EventChargebackReversal
	default:
		return nil
	}
	switch e.Type {
	case stripe.EventTypeChargeDisputeCreated, stripe.EventTypeChargeDisputeFundsWithdrawn:
		kind = EventChargeback // whatever has become of it since
	case stripe.EventTypeChargeDisputeFundsReinstated:
		kind = EventChargebackReversal
	}
	if d.PaymentIntent == nil || d.PaymentIntent.ID == "" {
		return nil // of a charge that is none of ours
	}
	amount, err := fromStripe(d.Amount, d.Currency)
	if err != nil {
		return err
	}
	fee, err := disputeFee(d.BalanceTransactions, kind == EventChargebackReversal)
	if err != nil {
		return err
	}
	if d.ID == "" || !amount.IsPositive() {
		return fmt.Errorf("dispute %q is about %s", d.ID, amount)
	}
	v.Kind, v.ChargeID, v.Amount, v.Fee = kind, d.PaymentIntent.ID, amount, fee
	v.Outcome = Outcome{Kind: Succeeded, ID: d.ID}
	return nil
}

// disputeFee is what Stripe has taken for the withdrawal of a dispute's money, or for its return: the zero amount when
// it does not say.
func disputeFee(all []*stripe.BalanceTransaction, returned bool) (fee money.Amount, err error) {
	for _, t := range all {
		if t == nil || t.Currency == "" || (t.Amount > 0) != returned {
			continue
		}
		one, err := fromStripe(t.Fee, t.Currency)
		if err != nil {
			return money.Amount{}, err
		}
		if fee.Currency == "" {
			fee.Currency = one.Currency
		}
		if fee, err = fee.Add(one); err != nil {
			return money.Amount{}, err
		}
	}
	return fee, nil
}
