package provider

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stripe/stripe-go/v85"

	"github.com/tieout/tieout/pkg/money"
)

// stripeExponents are those currencies whose minor unit at Stripe is not that of ISO 4217.
var stripeExponents = map[money.Currency]int{"ISK": 2, "UGX": 2, "MGA": 0}

// stripeScale is what an amount is multiplied with, and then divided by, to be Stripe's.
func stripeScale(c money.Currency) (times, by int64) {
	at, differs := stripeExponents[c]
	times, by = 1, 1
	if differs {
		for e := c.Exponent(); e < at; e++ {
			times *= 10
		}
		for e := at; e < c.Exponent(); e++ {
			by *= 10
		}
	}
	return times, by
}

// stripeAmount is an amount in Stripe's minor units; an error when there is none.
func stripeAmount(a money.Amount) (int64, error) {
	times, by := stripeScale(a.Currency)
	scaled, err := a.Mul(times)
	if err != nil {
		return 0, err
	}
	if scaled.Minor%by != 0 {
		return 0, fmt.Errorf("stripe has no minor unit for %s", a)
	}
	return scaled.Minor / by, nil
}

// fromStripe is an amount of Stripe's; an error when it is none of ours.
func fromStripe(minor int64, currency stripe.Currency) (money.Amount, error) {
	c, err := money.ParseCurrency(strings.ToUpper(string(currency)))
	if err != nil {
		return money.Amount{}, err
	}
	times, by := stripeScale(c)
	a, err := money.Amount{Currency: c, Minor: minor}.Mul(by)
	if err != nil {
		return money.Amount{}, err
	}
	if a.Minor%times != 0 {
		return money.Amount{}, fmt.Errorf("%d of %s at Stripe is no whole minor unit", minor, c)
	}
	return money.Amount{Currency: c, Minor: a.Minor / times}, nil
}

// stripeRefusal reads an answer of 400 to 499. Only a card error and an invalid request are definite. A key that was
// used for another request, one that is in use, too many requests, and what is wrong with our credentials are not.
func stripeRefusal(err error) Outcome {
	e, ok := errors.AsType[*stripe.Error](err)
	if !ok {
		return unknown("an answer that cannot be read: %w", err)
	}
	switch {
	case e.Type == stripe.ErrorTypeCard:
		o := declined(e.ChargeID, cmp.Or(string(e.DeclineCode), string(e.Code)))
		if e.PaymentIntent != nil {
			o.ID = e.PaymentIntent.ID
		}
		return o
	case e.HTTPStatusCode != http.StatusBadRequest && e.HTTPStatusCode != http.StatusNotFound && e.HTTPStatusCode != http.StatusPaymentRequired:
	case e.Type == stripe.ErrorTypeInvalidRequest:
		o := declined("", string(e.Code))
		if e.Param == "payment_method" && e.Code == stripe.ErrorCodeResourceMissing {
			o.Kind = MethodUnknown
		}
		return o
	}
	return unknown("answered %d %s %s: %w", e.HTTPStatusCode, e.Type, e.Code, err)
}

// is checks that something of Stripe's is what was asked for.
func (r Request) is(minor int64, currency stripe.Currency) error {
	got, err := fromStripe(minor, currency)
	if err != nil || got != r.Amount {
		return fmt.Errorf("%d of %s, asked for was %s: %w", minor, currency, r.Amount, cmp.Or(err, errors.New("not the same")))
	}
	return nil
}

// paid reads a PaymentIntent as the answer to a charge or an authorization. What became of an authorization afterwards
// makes no difference to it.
func (r Request) paid(p *stripe.PaymentIntent) Outcome {
	manual := p.CaptureMethod == stripe.PaymentIntentCaptureMethodManual
	err := r.is(p.Amount, p.Currency)
	if err != nil || p.ID == "" || p.Metadata[metaKey] != r.Key || manual != (r.Op == Authorize) {
		return unknown("payment intent %q under key %q, capture %s, is not the %s under %q: %v", p.ID, p.Metadata[metaKey], p.CaptureMethod, r.Op, r.Key, err)
	}
	switch p.Status {
	case stripe.PaymentIntentStatusSucceeded, stripe.PaymentIntentStatusRequiresCapture:
		return Outcome{Kind: Succeeded, ID: p.ID}
	case stripe.PaymentIntentStatusCanceled:
		if manual {
			return Outcome{Kind: Succeeded, ID: p.ID}
		}
	case stripe.PaymentIntentStatusRequiresPaymentMethod, stripe.PaymentIntentStatusRequiresAction:
		if e := p.LastPaymentError; e != nil {
			return declined(p.ID, cmp.Or(string(e.DeclineCode), string(e.Code)))
		}
	}
	return unknown("payment intent %s has status %q", p.ID, p.Status)
}

// found reads a search for a charge or an authorization.
func (r Request) found(all []*stripe.PaymentIntent) Outcome {
	switch len(all) {
	case 0:
		return Outcome{Kind: NotFound}
	case 1:
		return r.paid(all[0])
	}
	return unknown("there are %d payment intents under key %q", len(all), r.Key)
}

// captured reads a PaymentIntent as the answer to a capture.
func (r Request) captured(p *stripe.PaymentIntent) Outcome {
	switch {
	case p.ID != r.ChargeID:
	case p.Status == stripe.PaymentIntentStatusRequiresCapture:
		return Outcome{Kind: NotFound}
	case p.Status == stripe.PaymentIntentStatusCanceled:
		return declined(p.ID, string(p.Status))
	case p.Status == stripe.PaymentIntentStatusSucceeded && p.Metadata[metaCaptureKey] == r.Key:
		if err := r.is(p.AmountReceived, p.Currency); err != nil {
			return unknown("payment intent %s was captured with %w", p.ID, err)
		}
		return Outcome{Kind: Succeeded, ID: p.ID}
	case p.Status == stripe.PaymentIntentStatusSucceeded && p.Metadata[metaCaptureKey] != "":
		return declined(p.ID, "captured_under_another_key")
	}
	return unknown("payment intent %q has status %q", p.ID, p.Status)
}

// voided reads a PaymentIntent as the answer to a void. One that is canceled is released, whoever did it.
func (r Request) voided(p *stripe.PaymentIntent) Outcome {
	switch {
	case p.ID != r.ChargeID:
	case p.Status == stripe.PaymentIntentStatusCanceled:
		return Outcome{Kind: Succeeded, ID: p.ID}
	case p.Status == stripe.PaymentIntentStatusRequiresCapture:
		return Outcome{Kind: NotFound}
	case p.Status == stripe.PaymentIntentStatusSucceeded:
		return declined(p.ID, "captured")
	}
	return unknown("payment intent %q has status %q", p.ID, p.Status)
}

// refunded reads a refund. One that is pending is not known yet.
func (r Request) refunded(f *stripe.Refund) Outcome {
	if err := r.is(f.Amount, f.Currency); err != nil || f.ID == "" || f.Metadata[metaKey] != r.Key {
		return unknown("refund %q under key %q is not the one under %q: %v", f.ID, f.Metadata[metaKey], r.Key, err)
	}
	switch f.Status {
	case stripe.RefundStatusSucceeded:
		return Outcome{Kind: Succeeded, ID: f.ID}
	case stripe.RefundStatusFailed, stripe.RefundStatusCanceled:
		return declined(f.ID, cmp.Or(string(f.FailureReason), string(f.Status)))
	}
	return unknown("refund %s has status %q", f.ID, f.Status)
}

// foundRefund reads the refunds of a PaymentIntent.
func (r Request) foundRefund(all []*stripe.Refund) Outcome {
	for _, f := range all {
		if f.Metadata[metaKey] == r.Key {
			return r.refunded(f)
		}
	}
	return Outcome{Kind: NotFound}
}
