package reconciliation

import (
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

// What the states of owners are to an order, and what events would have told.
var (
	phases = map[sagav1.SagaPhase]tieout.Phase{
		sagav1.SagaPhase_SAGA_PHASE_RUNNING: tieout.PhaseRunning, sagav1.SagaPhase_SAGA_PHASE_COMPENSATING: tieout.PhaseRunning,
		sagav1.SagaPhase_SAGA_PHASE_COMPLETED: tieout.PhaseCompleted, sagav1.SagaPhase_SAGA_PHASE_COMPENSATED: tieout.PhaseCompensated,
		sagav1.SagaPhase_SAGA_PHASE_PARKED: tieout.PhaseParked,
	}
	toldByPhase = map[tieout.Phase]tieout.Told{
		tieout.PhaseCompleted: tieout.Completed, tieout.PhaseCompensated: tieout.Compensated, tieout.PhaseParked: tieout.Parked,
	}
	reservations = map[inventoryv1.ReservationState]tieout.Reservation{
		inventoryv1.ReservationState_RESERVATION_STATE_HELD:      tieout.ReservationHeld,
		inventoryv1.ReservationState_RESERVATION_STATE_RELEASED:  tieout.ReservationReleased,
		inventoryv1.ReservationState_RESERVATION_STATE_EXPIRED:   tieout.ReservationReleased,
		inventoryv1.ReservationState_RESERVATION_STATE_COMMITTED: tieout.ReservationCommitted,
	}
	toldByReservation = map[inventoryv1.ReservationState]tieout.Told{
		inventoryv1.ReservationState_RESERVATION_STATE_HELD:      tieout.Held,
		inventoryv1.ReservationState_RESERVATION_STATE_RELEASED:  tieout.Held | tieout.Released,
		inventoryv1.ReservationState_RESERVATION_STATE_EXPIRED:   tieout.Held | tieout.Expired,
		inventoryv1.ReservationState_RESERVATION_STATE_COMMITTED: tieout.Held | tieout.Committed,
	}
)

// addSaga takes in where the saga stands.
func (a *answer) addSaga(s *sagav1.Saga) {
	a.order.Phase, a.order.Total = phases[s.GetPhase()], amountFromEvent(s.GetTotal())
	a.facts.Told |= toldByPhase[a.order.Phase]
	if !a.about.recurring {
		a.facts.Told |= tieout.Placed
	}
	a.facts.Currency, a.facts.Total = a.order.Total.Currency, a.order.Total.Minor
}

// add joins what one thing would have told. It has no sums, so that nothing can overflow.
func (a *answer) add(f tieout.Facts) (err error) {
	a.facts, err = a.facts.Join(f)
	return err
}

// addPayment takes in a payment with its operations.
func (a *answer) addPayment(p *paymentv1.Payment) error {
	amount := amountFromEvent(p.GetAmount())
	a.payments = append(a.payments, p.GetPaymentId())
	f := tieout.Facts{Payment: idOf(p.GetPaymentId()), Currency: amount.Currency}
	seen := tieout.Payment{
		Currency: amount.Currency, Captured: p.GetCaptured().GetMinorUnits(), Refunded: p.GetRefunded().GetMinorUnits(),
		ChargedBack: p.GetChargedBack().GetMinorUnits(),
	}
	switch p.GetState() {
	case paymentv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		seen.SetAside = amount.Minor
	case paymentv1.PaymentState_PAYMENT_STATE_VOIDED:
		f.Told = tieout.Voided
	case paymentv1.PaymentState_PAYMENT_STATE_DECLINED:
		f.Told = tieout.Declined
	}
	for _, o := range p.GetOperations() {
		if o.GetKind() == paymentv1.OperationKind_OPERATION_KIND_AUTHORIZE && o.GetState() == paymentv1.OperationState_OPERATION_STATE_DONE {
			f.Told, f.Authorized = f.Told|tieout.Authorized, amount.Minor
		}
	}
	a.order.Unsettled = a.order.Unsettled || inDoubt(p)
	a.order.Payments = append(a.order.Payments, seen)
	return a.add(f)
}

// addShipment takes in a shipment. One that the carrier refused never was.
func (a *answer) addShipment(s *shipmentv1.Shipment) error {
	f := tieout.Facts{Shipment: idOf(s.GetShipmentId())}
	switch s.GetState() {
	case shipmentv1.ShipmentState_SHIPMENT_STATE_REFUSED:
		return nil
	case shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULING:
		a.order.Unsettled = true
		return nil
	case shipmentv1.ShipmentState_SHIPMENT_STATE_CANCELLED:
		f.Told = tieout.Cancelled
		a.order.Shipments = append(a.order.Shipments, tieout.ShipmentCancelled)
	case shipmentv1.ShipmentState_SHIPMENT_STATE_RETURNED:
		f.Told = tieout.Scheduled | tieout.Returned
		a.order.Shipments = append(a.order.Shipments, tieout.ShipmentReturned)
	default:
		f.Told = tieout.Scheduled
		a.order.Shipments = append(a.order.Shipments, tieout.ShipmentScheduled)
		a.shipments = append(a.shipments, s.GetShipmentId())
	}
	return a.add(f)
}

// addReservation takes in a reservation.
func (a *answer) addReservation(r *inventoryv1.Reservation) error {
	a.order.Reservations = append(a.order.Reservations, reservations[r.GetState()])
	return a.add(tieout.Facts{Reservation: idOf(r.GetReservationId()), Told: toldByReservation[r.GetState()]})
}

// sums are what the payments come to: captured, refunded, charged back.
func (a *answer) sums() (all [3]int64) {
	for _, p := range a.order.Payments {
		all[0], all[1], all[2] = all[0]+p.Captured, all[1]+p.Refunded, all[2]+p.ChargedBack
	}
	return all
}

// happenings are what journals of payments are about.
var happenings = map[paymentv1.JournalKind]happening{
	paymentv1.JournalKind_JOURNAL_KIND_CAPTURE: wasCharged, paymentv1.JournalKind_JOURNAL_KIND_REFUND: wasRefunded,
	paymentv1.JournalKind_JOURNAL_KIND_CHARGEBACK: wasChargedBack, paymentv1.JournalKind_JOURNAL_KIND_CHARGEBACK_REVERSAL: wasReversed,
}

// lastAmountLine is the last line of a journal that is its amount; behind it comes the fee.
const lastAmountLine = 2

// movementsFrom makes movements of the entries of journals on what the provider holds. Journals about no payment are none.
func movementsFrom(entries []*paymentv1.Entry, payments map[string]*paymentv1.Payment) []ourMovement {
	at := map[string]int{}
	var all []ourMovement
	for _, e := range entries {
		what := happenings[e.GetKind()]
		if what == "" {
			continue
		}
		i, there := at[e.GetJournalId()]
		if !there {
			i = len(all)
			at[e.GetJournalId()] = i
			m := ourMovement{
				what: what, paymentID: e.GetPaymentId(), reference: e.GetReference(), providerID: e.GetProviderId(), bookedAt: e.GetCreateTime().AsTime(),
			}
			id := ""
			if what != wasCharged {
				id = e.GetProviderId()
			}
			if what == wasRefunded {
				m.providerKey = e.GetKey()
			}
			m.key = movementKey(m.paymentID, what, id)
			m.of(payments[m.paymentID])
			all = append(all, m)
		}
		amount := amountFromEvent(e.GetAmount())
		switch {
		case e.GetLine() > lastAmountLine:
			all[i].fee = money.Amount{Currency: amount.Currency, Minor: -amount.Minor}
		case amount.Minor < 0:
			all[i].amount = money.Amount{Currency: amount.Currency, Minor: -amount.Minor}
		default:
			all[i].amount = amount
		}
	}
	return all
}

// of fills in which charge a movement belongs to.
func (m *ourMovement) of(p *paymentv1.Payment) {
	if p == nil {
		return
	}
	m.chargeID = p.GetProviderChargeId()
	if m.what != wasRefunded { // which has a key of its own
		m.providerKey = p.GetProviderKey()
	}
}

// eventGapHealed tells of a gap that was filled.
func eventGapHealed(about string, g gap) bus.Event {
	return bus.Event{
		Service: serviceName, Entity: "gap", Name: "healed", Subject: about, Reference: about,
		Data: bus.Payload(&eventv1.GapHealed{Subject: about, Owner: g.owner, Missing: g.missing}),
	}
}
