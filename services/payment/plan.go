package payment

import (
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/provider"
)

// step is what a command leads to next, where no operation of the payment is open: an operation, giving up the one
// that never left, a refusal, or, when all is empty, the payment as it is for an answer.
type step struct {
	op      provider.Op
	amount  money.Amount
	abandon bool
	refusal error
}

// plan decides what a command on a payment leads to.
func (c *command) plan(p payment, can provider.Capabilities) step {
	var s step
	switch c.method {
	case methodCapture:
		s = c.capture(p, can)
	case methodVoidPayment:
		s = step{op: provider.Void, amount: p.Amount}
		if p.State != authorized {
			s = refuse(p, "voided")
		}
	case methodRefundPayment:
		s = c.refund(p, can)
	default:
		s = undo(p)
	}
	if s.op != "" && !can.Can(s.op) {
		return step{refusal: rpcerr.New(rpcerr.PaymentStateRefused, "the payment provider cannot be asked to %s", s.op)}
	}
	return s
}

// refuse is for a payment that is not where it must be.
func refuse(p payment, done string) step {
	return step{refusal: rpcerr.New(rpcerr.PaymentStateRefused, "%s is %s and cannot be %s", p.ID, p.State, done)}
}

func (c *command) capture(p payment, can provider.Capabilities) step {
	amount := c.amount
	switch {
	case p.State != authorized:
		return refuse(p, "captured")
	case amount == money.Amount{}:
		amount = p.Amount
	case amount.Currency != p.Amount.Currency:
		return step{refusal: otherCurrency(p)}
	case amount.Minor > p.Amount.Minor:
		return step{refusal: rpcerr.ForField(rpcerr.CaptureExceeded, "amount.minor_units", "%d is more than the %d that are authorized", amount.Minor, p.Amount.Minor)}
	}
	if amount != p.Amount && !can.PartialCaptures {
		return step{refusal: rpcerr.ForField(rpcerr.PaymentStateRefused, "amount", "the payment provider captures all of an authorization, or nothing")}
	}
	return step{op: provider.Capture, amount: amount}
}

func (c *command) refund(p payment, can provider.Capabilities) step {
	amount, left := c.amount, p.left()
	switch {
	case p.State != captured && p.State != partiallyRefunded:
		return refuse(p, "refunded")
	case amount == money.Amount{}:
		amount = left
	case amount.Currency != p.Amount.Currency:
		return step{refusal: otherCurrency(p)}
	case amount.Minor > left.Minor:
		return step{refusal: rpcerr.ForField(rpcerr.RefundExceeded, "amount.minor_units", "%d is more than the %d that are left of %d captured", amount.Minor, left.Minor, p.Captured)}
	}
	if amount.Minor != p.Captured && !can.PartialRefunds {
		return step{refusal: rpcerr.ForField(rpcerr.PaymentStateRefused, "amount", "the payment provider refunds all of a charge, or nothing")}
	}
	return step{op: provider.Refund, amount: amount}
}

func otherCurrency(p payment) error {
	return rpcerr.ForField(rpcerr.CurrencyMismatch, "amount.currency_code", "%s is in %s", p.ID, p.Amount.Currency)
}

// undo sees to it that no money is held. What the customer's bank took back is not given back once more.
func undo(p payment) step {
	switch p.State {
	case created:
		return step{abandon: true}
	case authorized:
		return step{op: provider.Void, amount: p.Amount}
	case captured, partiallyRefunded:
		return step{op: provider.Refund, amount: p.left()}
	}
	return step{}
}

// refusalOf is what a request is refused with whose operation the provider declined.
func refusalOf(o operation, unknownMethod bool) error {
	switch o.Op {
	case provider.Charge, provider.Authorize:
		if unknownMethod {
			return rpcerr.ForField(rpcerr.PaymentMethodUnknown, "payment_method", "the payment provider does not know it")
		}
		e := rpcerr.New(rpcerr.PaymentDeclined, "the payment provider declined the %s: %s", o.Op, o.DeclineReason).
			With("declineReason", o.DeclineReason)
		e.Resource = o.Payment.String()
		return e
	case provider.Capture:
		return rpcerr.New(rpcerr.CaptureRefused, "the payment provider does not capture %s: %s", o.Payment, o.DeclineReason)
	case provider.Void:
		return rpcerr.New(rpcerr.VoidRefused, "the payment provider does not void %s: %s", o.Payment, o.DeclineReason)
	}
	return rpcerr.New(rpcerr.RefundRefused, "the payment provider does not refund %s: %s", o.Payment, o.DeclineReason)
}
