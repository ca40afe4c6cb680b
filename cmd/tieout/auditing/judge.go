package auditing

import (
	"fmt"
	"time"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
)

// effects are an order, or a recurring payment, and all that services and the provider hold for it.
type effects struct {
	of        subject
	payments  []*paymentv1.Payment
	shipments []*shipmentv1.Shipment
	charges   []*charge
	witness   bool // the provider was asked
	wrong     findings
}

func (e effects) report(c comparison, id, format string, args ...any) {
	e.wrong[finding{c, id}] = fmt.Sprintf(format, args...)
}

// judge compares them: what always holds for every one, the rest for those that have ended. Of a parked one, whose end a
// person decides, no more is asked than of one on its way.
func (e effects) judge() {
	e.judgeAmounts()
	if e.witness {
		e.judgeKnown()
	}
	switch e.of.end {
	case isCompleted:
		e.judgeEnded(true)
		e.judgeCompleted()
	case isCompensated:
		e.judgeEnded(false)
		for _, s := range e.shipments {
			if comes(s) {
				e.report(shipmentsOfOrders, s.GetShipmentId(), "is scheduled, and %s is compensated", e.of)
			}
		}
	}
}

// judgeAmounts compares each payment with what it is for, and with what the provider was asked under its key.
func (e effects) judgeAmounts() {
	for _, p := range e.payments {
		if !same(p.GetAmount(), e.of.total) {
			e.report(chargedAsOrdered, p.GetPaymentId(), "is about %s, and %s about %s", text(p.GetAmount()), e.of, text(e.of.total))
		}
		for _, c := range e.charges {
			if c.key == p.GetProviderKey() && !same(c.amount(), p.GetAmount()) {
				e.report(sameAmounts, p.GetPaymentId(), "is about %s, and charge %s of the provider about %s",
					text(p.GetAmount()), c.id, text(c.amount()))
			}
		}
	}
}

// judgeKnown compares what our books say was set aside, taken and given back with what the provider says. Of what the
// customer's bank takes back, and may give back again, both learn in their own time.
func (e effects) judgeKnown() {
	byKey, byID := map[string]int{}, map[string]*charge{}
	for _, c := range e.charges {
		byID[c.id] = c
		if byKey[c.key]++; byKey[c.key] == 2 || c.takings > 1 {
			e.report(chargedOnce, c.key, "was charged more than once for %s, at last as %s", e.of, c.id)
		}
	}
	for _, p := range e.payments {
		ours, c := moneyOf(p), byID[p.GetProviderChargeId()]
		switch {
		case c == nil && (ours.taken > 0 || p.GetState() == paymentv1.PaymentState_PAYMENT_STATE_AUTHORIZED):
			e.report(noUnknownCapture, p.GetPaymentId(), "is %s as %q, of which the provider knows nothing", p.GetState(), p.GetProviderChargeId())
		case c != nil && ours.exceeds(c.money):
			e.report(noUnknownCapture, p.GetPaymentId(), "says %s, and charge %s of the provider %s", ours, c.id, c.money)
		}
	}
}

// judgeEnded compares what an order or a recurring payment that has ended should have cost with what was taken for it. What
// was given back of a completed one, or taken back by the customer's bank, is another matter.
func (e effects) judgeEnded(completed bool) {
	var all money
	for _, p := range e.payments {
		all = all.plus(moneyOf(p))
		if unfinished[p.GetState()] {
			e.report(nothingLeftOpen, p.GetPaymentId(), "is %s, and %s has ended", p.GetState(), e.of)
		}
	}
	for _, s := range e.shipments {
		if s.GetState() == shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULING {
			e.report(nothingLeftOpen, s.GetShipmentId(), "is %s, and %s has ended", s.GetState(), e.of)
		}
	}
	e.judgeNet(netCharge, "its payments say", all, completed)
	if e.witness {
		e.judgeProvider(completed)
	}
}

// unfinished are the states that no payment of an order that has ended is in.
var unfinished = map[paymentv1.PaymentState]bool{
	paymentv1.PaymentState_PAYMENT_STATE_CREATED:     true,
	paymentv1.PaymentState_PAYMENT_STATE_AUTHORIZING: true,
	paymentv1.PaymentState_PAYMENT_STATE_AUTHORIZED:  true,
	paymentv1.PaymentState_PAYMENT_STATE_CAPTURING:   true,
	paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN:     true,
}

// judgeNet compares the money of an order or a recurring payment with what it should come to, in the words of who says so.
func (e effects) judgeNet(c comparison, who string, all money, completed bool) {
	total := e.of.total.GetMinorUnits()
	if completed && all.taken != total {
		e.report(c, e.of.id, "is completed, and %s %s, not %d taken", who, all, total)
	}
	if !completed && all.held() != 0 {
		e.report(c, e.of.id, "is compensated, and %s %s", who, all)
	}
}

// judgeProvider compares what the provider did for one that has ended with what it should have cost, and with
// our books.
func (e effects) judgeProvider(completed bool) {
	known := map[string]*paymentv1.Payment{}
	for _, p := range e.payments {
		known[p.GetProviderKey()] = p
	}
	var all money
	for _, c := range e.charges {
		all = all.plus(c.money)
		if ours := moneyOf(known[c.key]); c.exceeds(ours) || c.chargedBack != ours.chargedBack {
			e.report(noUnknownSuccess, c.id, "is %s for %s, and its payment %q says %s",
				c.money, e.of, known[c.key].GetPaymentId(), ours)
		}
		if c.setAside {
			e.report(nothingLeftSetAside, c.id, "still sets %s aside for %s, which has ended", text(c.amount()), e.of)
		}
	}
	e.judgeNet(netAtProvider, "the provider says", all, completed)
}

func (e effects) judgeCompleted() {
	captured, scheduled := 0, 0
	for _, p := range e.payments {
		if p.GetCaptured().GetMinorUnits() > 0 {
			captured++
		}
	}
	for _, s := range e.shipments {
		if comes(s) {
			scheduled++
		}
	}
	if captured != 1 || scheduled != e.of.shipments {
		e.report(completedOnce, e.of.id, "has %d captured payments and %d scheduled shipments", captured, scheduled)
	}
}

// comes tells whether a carrier comes for a shipment, or came.
func comes(s *shipmentv1.Shipment) bool {
	return s.GetState() == shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULED || s.GetState() >= shipmentv1.ShipmentState_SHIPMENT_STATE_HANDED_OVER
}

// judgeRest reports what is held for orders and recurring payments that did not come up.
func judgeRest(wrong findings, payments *follower[*paymentv1.Payment], shipments *follower[*shipmentv1.Shipment], charges map[string][]*charge) error {
	if err := payments.readTo(time.Time{}); err != nil {
		return err
	}
	if err := shipments.readTo(time.Time{}); err != nil {
		return err
	}
	e := effects{wrong: wrong}
	for reference, of := range payments.kept {
		for _, p := range of {
			e.report(netCharge, p.GetPaymentId(), "is %s, and nobody asked for %q", p.GetState(), reference)
		}
	}
	for orderID, of := range shipments.kept {
		for _, s := range of {
			e.report(shipmentsOfOrders, s.GetShipmentId(), "is %s, and nobody placed order %q", s.GetState(), orderID)
		}
	}
	for reference, of := range charges {
		for _, c := range of {
			e.report(noUnknownSuccess, c.id, "is about %s for %q, which nobody asked for", text(c.amount()), reference)
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
