package auditing

import (
	"fmt"
	"time"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
)

// effects are an order and all that services and the provider hold for it.
type effects struct {
	order     *orderv1.Order
	payments  []*paymentv1.Payment
	shipments []*shipmentv1.Shipment
	charges   []*charge
	witness   bool // the provider was asked
	wrong     findings
}

func (e effects) report(c comparison, id, format string, args ...any) {
	e.wrong[finding{c, id}] = fmt.Sprintf(format, args...)
}

// judge compares them: what always holds for every order, the rest for those that have ended. Of a parked order, whose
// end a person decides, no more is asked than of one on its way.
func (e effects) judge() {
	e.judgeAmounts()
	if e.witness {
		e.judgeKnown()
	}
	switch e.order.GetState() {
	case orderv1.OrderState_ORDER_STATE_COMPLETED:
		e.judgeEnded(e.order.GetTotal().GetMinorUnits())
		e.judgeCompleted()
	case orderv1.OrderState_ORDER_STATE_COMPENSATED:
		e.judgeEnded(0)
		for _, s := range e.shipments {
			if s.GetState() == shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULED {
				e.report(shipmentsOfOrders, s.GetShipmentId(), "is scheduled, and order %s is compensated", e.order.GetOrderId())
			}
		}
	}
}

// judgeAmounts compares each payment with the order, and with the provider's charge under its key.
func (e effects) judgeAmounts() {
	for _, p := range e.payments {
		if !same(p.GetAmount(), e.order.GetTotal()) {
			e.report(chargedAsOrdered, p.GetPaymentId(), "is about %s, and order %s about %s",
				text(p.GetAmount()), e.order.GetOrderId(), text(e.order.GetTotal()))
		}
		for _, c := range e.charges {
			if c.key == p.GetProviderKey() && !same(c.amount(), p.GetAmount()) {
				e.report(sameAmounts, p.GetPaymentId(), "is about %s, and charge %s of the provider about %s",
					text(p.GetAmount()), c.id, text(c.amount()))
			}
		}
	}
}

// judgeKnown compares what our books say was taken and given back with what the provider says.
func (e effects) judgeKnown() {
	byKey, byID := map[string]int{}, map[string]*charge{}
	for _, c := range e.charges {
		byID[c.id] = c
		if byKey[c.key]++; byKey[c.key] == 2 {
			e.report(chargedOnce, c.key, "was charged more than once for order %s, at last as %s", e.order.GetOrderId(), c.id)
		}
	}
	for _, p := range e.payments {
		taken, givenBack := holds(p)
		c := byID[p.GetProviderChargeId()]
		switch {
		case taken && c == nil:
			e.report(noUnknownCapture, p.GetPaymentId(), "was captured as %q, of which the provider knows nothing", p.GetProviderChargeId())
		case givenBack && c.refunded != c.taken:
			e.report(noUnknownCapture, p.GetPaymentId(), "was refunded; of charge %s the provider gave back %d of %d", c.id, c.refunded, c.taken)
		}
	}
}

// holds tells whether a payment's money was taken, and whether it was given back.
func holds(p *paymentv1.Payment) (taken, givenBack bool) {
	givenBack = p.GetState() == paymentv1.PaymentState_PAYMENT_STATE_REFUNDED
	return givenBack || p.GetState() == paymentv1.PaymentState_PAYMENT_STATE_CAPTURED, givenBack
}

// judgeEnded compares what an order that has ended should have cost with what is held for it.
func (e effects) judgeEnded(want int64) {
	var held int64
	for _, p := range e.payments {
		switch p.GetState() {
		case paymentv1.PaymentState_PAYMENT_STATE_CAPTURED:
			held += p.GetAmount().GetMinorUnits()
		case paymentv1.PaymentState_PAYMENT_STATE_CAPTURING, paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN:
			e.report(nothingLeftOpen, p.GetPaymentId(), "is %s, and order %s has ended", p.GetState(), e.order.GetOrderId())
		}
	}
	for _, s := range e.shipments {
		if s.GetState() == shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULING {
			e.report(nothingLeftOpen, s.GetShipmentId(), "is %s, and order %s has ended", s.GetState(), e.order.GetOrderId())
		}
	}
	if held != want {
		e.report(netCharge, e.order.GetOrderId(), "is %s, and its payments hold %d, not %d", e.order.GetState(), held, want)
	}
	if e.witness {
		e.judgeProvider(want)
	}
}

// judgeProvider compares what the provider did for an order that has ended with what it should have cost, and with
// our books.
func (e effects) judgeProvider(want int64) {
	known := map[string]*paymentv1.Payment{}
	for _, p := range e.payments {
		known[p.GetProviderKey()] = p
	}
	var held int64
	for _, c := range e.charges {
		held += c.taken - c.refunded
		taken, givenBack := holds(known[c.key])
		switch {
		case !taken:
			e.report(noUnknownSuccess, c.id, "took %s for order %s, and no payment of ours says so", text(c.amount()), e.order.GetOrderId())
		case c.refunded > 0 && !givenBack:
			e.report(noUnknownSuccess, c.id, "gave back %d for order %s, and its payment %s does not say so",
				c.refunded, e.order.GetOrderId(), known[c.key].GetPaymentId())
		}
	}
	if held != want {
		e.report(netAtProvider, e.order.GetOrderId(), "is %s, and the provider holds %d, not %d", e.order.GetState(), held, want)
	}
}

func (e effects) judgeCompleted() {
	captured, scheduled := 0, 0
	for _, p := range e.payments {
		if p.GetState() == paymentv1.PaymentState_PAYMENT_STATE_CAPTURED {
			captured++
		}
	}
	for _, s := range e.shipments {
		if s.GetState() == shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULED {
			scheduled++
		}
	}
	if captured != 1 || scheduled != 1 {
		e.report(completedOnce, e.order.GetOrderId(), "has %d captured payments and %d scheduled shipments", captured, scheduled)
	}
}

// judgeRest reports what is held for orders that did not come up.
func judgeRest(wrong findings, payments *follower[*paymentv1.Payment], shipments *follower[*shipmentv1.Shipment], charges map[string][]*charge) error {
	if err := payments.readTo(time.Time{}); err != nil {
		return err
	}
	if err := shipments.readTo(time.Time{}); err != nil {
		return err
	}
	e := effects{wrong: wrong}
	for orderID, of := range payments.kept {
		for _, p := range of {
			e.report(netCharge, p.GetPaymentId(), "is %s, and nobody placed order %q", p.GetState(), orderID)
		}
	}
	for orderID, of := range shipments.kept {
		for _, s := range of {
			e.report(shipmentsOfOrders, s.GetShipmentId(), "is %s, and nobody placed order %q", s.GetState(), orderID)
		}
	}
	for orderID, of := range charges {
		for _, c := range of {
			e.report(noUnknownSuccess, c.id, "took %s for order %q, which nobody placed", text(c.amount()), orderID)
		}
	}
	return nil
}

func same(a, b *commonv1.Amount) bool {
	return a.GetCurrencyCode() == b.GetCurrencyCode() && a.GetMinorUnits() == b.GetMinorUnits()
}

func text(a *commonv1.Amount) string {
	return fmt.Sprintf("%d %s", a.GetMinorUnits(), a.GetCurrencyCode())
}
