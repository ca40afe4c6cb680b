package reconciliation

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

func amountFromEvent(a *commonv1.Amount) money.Amount {
	return money.Amount{Currency: money.Currency(a.GetCurrencyCode()), Minor: a.GetMinorUnits()}
}

// toldSubjects are the events that are listened to. What a carrier tells of a shipment on its way decides nothing.
var toldSubjects = []string{
	"evt.orchestrator.order.placed.*", "evt.orchestrator.order.completed.*", "evt.orchestrator.order.compensated.*", "evt.orchestrator.order.parked.*",
	"evt.orchestrator.recurring.*.*", "evt.inventory.reservation.*.*", "evt.payment.payment.*.*",
	"evt.shipment.shipment.scheduled.*", "evt.shipment.shipment.cancelled.*", "evt.shipment.shipment.returned.*",
}

// toldBits are what events tell that tell nothing but that something happened.
var toldBits = map[string]tieout.Told{
	"order.completed": tieout.Completed, "order.compensated": tieout.Compensated, "order.parked": tieout.Parked,
	"recurring.completed": tieout.Completed, "recurring.compensated": tieout.Compensated, "recurring.parked": tieout.Parked,
	"reservation.held": tieout.Held, "reservation.released": tieout.Released, "reservation.committed": tieout.Committed,
	"reservation.expired": tieout.Expired,
	"shipment.scheduled":  tieout.Scheduled, "shipment.cancelled": tieout.Cancelled, "shipment.returned": tieout.Returned,
}

// tellingFrom reads an event. One of a kind that is not known tells nothing: a service may be a version ahead.
func tellingFrom(e bus.Event) (telling, error) {
	t := telling{about: subjectOf(e.Reference)}
	switch e.Entity {
	case "payment":
		if err := t.payment(e); err != nil {
			return t, fmt.Errorf("decoding event %s: %w", e.ID, err)
		}
		return t, nil
	case "reservation":
		t.facts.Reservation = idOf(e.Subject)
	case "shipment":
		t.facts.Shipment = idOf(e.Subject)
	case "order":
		if e.Name == "placed" {
			var m eventv1.OrderPlaced
			if err := proto.Unmarshal(e.Data, &m); err != nil {
				return t, fmt.Errorf("decoding event %s: %w", e.ID, err)
			}
			total := amountFromEvent(m.GetTotal())
			t.facts.Told, t.facts.Currency, t.facts.Total = tieout.Placed, total.Currency, total.Minor
			return t, nil
		}
	}
	t.facts.Told = toldBits[e.Entity+"."+e.Name]
	return t, nil
}

// disputes are what events of chargebacks tell.
var disputes = map[string]happening{"chargeback": wasChargedBack, "chargeback_reversed": wasReversed}

// payment reads what an event tells of a payment.
func (t *telling) payment(e bus.Event) error {
	t.facts.Payment = idOf(e.Subject)
	m := ourMovement{paymentID: e.Subject, reference: e.Reference}
	var err error
	switch e.Name {
	case "authorized":
		var a eventv1.PaymentAuthorized
		err = proto.Unmarshal(e.Data, &a)
		amount := amountFromEvent(a.GetAmount())
		t.facts.Told, t.facts.Currency, t.facts.Authorized = tieout.Authorized, amount.Currency, amount.Minor
	case "captured":
		var c eventv1.PaymentCaptured
		err = proto.Unmarshal(e.Data, &c)
		m.what, m.amount, m.bookedAt = wasCharged, amountFromEvent(c.GetAmount()), bookedAt(c.GetBookTime(), e)
		m.providerID, m.chargeID, m.providerKey = c.GetProviderChargeId(), c.GetProviderChargeId(), c.GetProviderKey()
		if c.GetProviderCaptureId() != "" {
			m.providerID = c.GetProviderCaptureId()
		}
	case "declined":
		var d eventv1.PaymentDeclined
		err = proto.Unmarshal(e.Data, &d)
		t.facts.Told = tieout.Declined
		m.what, m.amount, m.bookedAt, m.note = wasDeclined, amountFromEvent(d.GetAmount()), e.Time, d.GetDeclineReason()
		m.providerID, m.chargeID, m.providerKey = d.GetProviderChargeId(), d.GetProviderChargeId(), d.GetProviderKey()
	case "voided":
		var v eventv1.PaymentVoided
		err = proto.Unmarshal(e.Data, &v)
		t.facts.Told = tieout.Voided
		m.what, m.amount, m.bookedAt = wasVoided, amountFromEvent(v.GetAmount()), e.Time
		m.providerID, m.chargeID, m.providerKey = v.GetProviderChargeId(), v.GetProviderChargeId(), v.GetProviderKey()
	case "refunded":
		var f eventv1.PaymentRefunded
		err = proto.Unmarshal(e.Data, &f)
		m.what, m.amount, m.bookedAt = wasRefunded, amountFromEvent(f.GetAmount()), bookedAt(f.GetBookTime(), e)
		m.providerID, m.chargeID, m.providerKey = f.GetProviderRefundId(), f.GetProviderChargeId(), f.GetOperationKey()
	case "chargeback", "chargeback_reversed":
		var c eventv1.PaymentChargeback // PaymentChargebackReversed has the same fields
		err = proto.Unmarshal(e.Data, &c)
		m.what, m.amount, m.fee = disputes[e.Name], amountFromEvent(c.GetAmount()), amountFromEvent(c.GetFee())
		m.bookedAt = bookedAt(c.GetBookTime(), e)
		m.providerID, m.chargeID, m.providerKey = c.GetProviderChargebackId(), c.GetProviderChargeId(), c.GetProviderKey()
	case "unknown", "resolved":
		return t.doubtful(e, m)
	}
	t.tell(m)
	return err
}

// tell takes in a movement, if it can be recognised on a statement.
func (t *telling) tell(m ourMovement) {
	if m.what == "" || m.what.standingOf() != match.Booked && m.providerID == "" && m.providerKey == "" || m.amount.Currency == "" {
		return
	}
	id := ""
	if m.what == wasRefunded || m.what == wasChargedBack || m.what == wasReversed {
		id = m.providerID
	}
	m.key = movementKey(m.paymentID, m.what, id)
	t.movements = append(t.movements, m)
}

// doubtful reads that the outcome of an operation is not known, or is known after all. Those that move no money are in no
// statement.
func (t *telling) doubtful(e bus.Event, m ourMovement) error {
	if e.Name == "unknown" {
		var u eventv1.PaymentUnknown
		if err := proto.Unmarshal(e.Data, &u); err != nil {
			return err
		}
		m.what, m.amount, m.bookedAt = doubts[u.GetOperation()], amountFromEvent(u.GetAmount()), e.Time
		m.chargeID, m.providerKey = u.GetProviderChargeId(), u.GetProviderKey()
		switch m.what {
		case "":
			return nil
		case maybeRefunded:
			m.providerKey = u.GetOperationKey()
		}
		m.key = doubtKey(e.Subject, m.what, u.GetOperationKey())
		t.movements = append(t.movements, m)
		t.doubts = append(t.doubts, doubt{key: m.key, paymentID: e.Subject, operationKey: u.GetOperationKey()})
		return nil
	}
	var s eventv1.PaymentResolved
	if err := proto.Unmarshal(e.Data, &s); err != nil {
		return err
	}
	what := doubts[s.GetOperation()]
	d := doubt{key: doubtKey(e.Subject, what, s.GetOperationKey()), paymentID: e.Subject, operationKey: s.GetOperationKey(), resolved: true}
	switch {
	case what == "", s.GetOutcome() != "done" && s.GetOutcome() != "declined": // "not found" is no end: it may be sent again
		return nil
	case s.GetOutcome() == "declined" && what == maybeRefunded: // of a charge, an event of its own tells it
		m.what, m.amount, m.bookedAt, m.key = refundRefused, amountFromEvent(s.GetAmount()), e.Time, movementKey(e.Subject, refundRefused, s.GetOperationKey())
		m.chargeID, m.providerKey = s.GetProviderChargeId(), s.GetOperationKey()
		t.movements = append(t.movements, m)
	}
	t.doubts = append(t.doubts, d)
	return nil
}

// bookedAt is when the ledger took something; a payment service of an earlier version tells only when it told it.
func bookedAt(told *timestamppb.Timestamp, e bus.Event) time.Time {
	if told == nil {
		return e.Time
	}
	return told.AsTime()
}
