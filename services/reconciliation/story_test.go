package reconciliation

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/bus"
)

// story is what happens to an order: each step changes what its owner knows, and tells it by an event.
type story struct {
	*business
	subject           string
	saga              *sagav1.Saga
	payment           *paymentv1.Payment
	shipment          *shipmentv1.Shipment
	reservation       *inventoryv1.Reservation
	events            []bus.Event
	total             int64
	recurring         bool
	paymentID, charge string
	at                time.Time
}

// newID is a new id of a kind.
func newID(prefix string) string { return prefix + "_" + uuid.Must(uuid.NewV7()).String() }

func pounds(minor int64) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: minor}
}

// place begins the story of an order.
func (b *business) place(total int64) *story {
	s := b.begin("ord", total)
	s.tell("orchestrator", "order", "placed", s.subject, &eventv1.OrderPlaced{OrderId: s.subject, SagaId: s.saga.SagaId, Total: pounds(total)})
	return s
}

// bill begins the story of a recurring payment.
func (b *business) bill(total int64) *story {
	s := b.begin("rcp", total)
	s.recurring = true
	return s
}

func (b *business) begin(prefix string, total int64) *story {
	s := &story{business: b, subject: newID(prefix), total: total, at: b.now}
	s.saga = &sagav1.Saga{SagaId: newID("sag"), Phase: sagav1.SagaPhase_SAGA_PHASE_RUNNING, Total: pounds(total)}
	for _, step := range []string{"reserve", "authorize", "ship", "capture", "commit"} {
		s.saga.Steps = append(s.saga.Steps, &sagav1.SagaStep{Name: step, IdempotencyKey: "saga/" + s.saga.SagaId + "/" + step})
	}
	b.change(func() { b.sagas[s.subject] = s.saga })
	return s
}

// tell appends an event.
func (s *story) tell(service, entity, name, subject string, m proto.Message) *story {
	s.events = append(s.events, bus.Event{
		ID: uuid.Must(uuid.NewV7()), Time: s.at, Service: service, Entity: entity, Name: name, Subject: subject, Reference: s.subject, Data: bus.Payload(m),
	})
	return s
}

func (s *story) reserve() *story {
	s.reservation = &inventoryv1.Reservation{ReservationId: newID("res"), Reference: s.subject, State: inventoryv1.ReservationState_RESERVATION_STATE_HELD}
	s.change(func() { s.reservations["saga/"+s.saga.SagaId+"/reserve"] = s.reservation })
	return s.tell("inventory", "reservation", "held", s.reservation.ReservationId, &eventv1.StockReserved{})
}

func (s *story) stock(name string, state inventoryv1.ReservationState) *story {
	s.change(func() { s.reservation.State = state })
	return s.tell("inventory", "reservation", name, s.reservation.ReservationId, &eventv1.StockCommitted{})
}

func (s *story) commit() *story {
	return s.stock("committed", inventoryv1.ReservationState_RESERVATION_STATE_COMMITTED)
}

func (s *story) release() *story {
	return s.stock("released", inventoryv1.ReservationState_RESERVATION_STATE_RELEASED)
}

// pay makes the payment.
func (s *story) pay(state paymentv1.PaymentState) {
	s.paymentID, s.charge = newID("pay"), "ch_"+uuid.NewString()
	s.payment = &paymentv1.Payment{
		PaymentId: s.paymentID, State: state, Amount: pounds(s.total), Reference: s.subject, ProviderKey: "key of " + s.paymentID,
		ProviderChargeId: s.charge, Captured: pounds(0), Refunded: pounds(0), ChargedBack: pounds(0),
	}
	s.change(func() { s.payments = append(s.payments, s.payment) })
}

func (s *story) authorize() *story {
	s.pay(paymentv1.PaymentState_PAYMENT_STATE_AUTHORIZED)
	s.payment.Operations = []*paymentv1.Operation{{
		Kind: paymentv1.OperationKind_OPERATION_KIND_AUTHORIZE, State: paymentv1.OperationState_OPERATION_STATE_DONE, ProviderKey: s.payment.ProviderKey,
	}}
	return s.tell("payment", "payment", "authorized", s.paymentID, &eventv1.PaymentAuthorized{
		PaymentId: s.paymentID, Amount: pounds(s.total), ProviderChargeId: s.charge, ProviderKey: s.payment.ProviderKey,
	})
}

func (s *story) void() *story {
	s.change(func() { s.payment.State = paymentv1.PaymentState_PAYMENT_STATE_VOIDED })
	return s.tell("payment", "payment", "voided", s.paymentID, &eventv1.PaymentVoided{
		PaymentId: s.paymentID, Amount: pounds(s.total), ProviderChargeId: s.charge, ProviderKey: s.payment.ProviderKey,
	})
}

func (s *story) decline() *story {
	s.pay(paymentv1.PaymentState_PAYMENT_STATE_DECLINED)
	return s.tell("payment", "payment", "declined", s.paymentID, &eventv1.PaymentDeclined{
		PaymentId: s.paymentID, Amount: pounds(s.total), ProviderKey: s.payment.ProviderKey, DeclineReason: "insufficient_funds",
	})
}

func (s *story) capture() *story {
	if s.payment == nil {
		s.pay(paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	}
	s.change(func() {
		s.payment.State, s.payment.Captured = paymentv1.PaymentState_PAYMENT_STATE_CAPTURED, pounds(s.total)
		for _, o := range s.payment.Operations {
			o.State = paymentv1.OperationState_OPERATION_STATE_DONE
		}
	})
	s.book(paymentv1.JournalKind_JOURNAL_KIND_CAPTURE, s, s.total, s.charge, "")
	return s.tell("payment", "payment", "captured", s.paymentID, &eventv1.PaymentCaptured{
		PaymentId: s.paymentID, Amount: pounds(s.total), ProviderChargeId: s.charge, ProviderKey: s.payment.ProviderKey, BookTime: timestamppb.New(s.at),
	})
}

// doubt has the answer to the charge be lost.
func (s *story) doubt() *story {
	s.pay(paymentv1.PaymentState_PAYMENT_STATE_UNKNOWN)
	s.payment.Operations = []*paymentv1.Operation{{
		Kind: paymentv1.OperationKind_OPERATION_KIND_CHARGE, State: paymentv1.OperationState_OPERATION_STATE_UNKNOWN, ProviderKey: s.payment.ProviderKey,
	}}
	return s.tell("payment", "payment", "unknown", s.paymentID, &eventv1.PaymentUnknown{
		PaymentId: s.paymentID, Amount: pounds(s.total), Operation: "charge", ProviderKey: s.payment.ProviderKey, OperationKey: s.payment.ProviderKey,
	})
}

// resolve has it be known that the charge happened.
func (s *story) resolve() *story {
	s.tell("payment", "payment", "resolved", s.paymentID, &eventv1.PaymentResolved{
		PaymentId: s.paymentID, Amount: pounds(s.total), Operation: "charge", Outcome: "done", OperationKey: s.payment.ProviderKey, ProviderId: s.charge,
	})
	return s.capture()
}

func (s *story) refund(minor int64) *story {
	refund := "re_" + uuid.NewString()
	s.change(func() {
		s.payment.Refunded = pounds(s.payment.GetRefunded().GetMinorUnits() + minor)
		s.payment.State = paymentv1.PaymentState_PAYMENT_STATE_REFUNDED
	})
	s.book(paymentv1.JournalKind_JOURNAL_KIND_REFUND, s, -minor, refund, "key of "+refund)
	return s.tell("payment", "payment", "refunded", s.paymentID, &eventv1.PaymentRefunded{
		PaymentId: s.paymentID, Amount: pounds(minor), ProviderRefundId: refund, ProviderChargeId: s.charge, OperationKey: "key of " + refund,
		BookTime: timestamppb.New(s.at),
	})
}

// dispute has the customer's bank take money back, for a fee.
func (s *story) dispute(minor, fee int64) *story {
	dispute := "dp_" + uuid.NewString()
	s.change(func() { s.payment.ChargedBack = pounds(minor) })
	s.book(paymentv1.JournalKind_JOURNAL_KIND_CHARGEBACK, s, -minor, dispute, dispute, -fee)
	return s.tell("payment", "payment", "chargeback", s.paymentID, &eventv1.PaymentChargeback{
		PaymentId: s.paymentID, Amount: pounds(minor), ProviderChargebackId: dispute, ProviderChargeId: s.charge, ProviderKey: s.payment.ProviderKey,
		Fee: pounds(fee), BookTime: timestamppb.New(s.at),
	})
}

func (s *story) ship() *story {
	s.shipment = &shipmentv1.Shipment{ShipmentId: newID("shp"), Reference: s.subject, State: shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULED}
	s.change(func() { s.shipments = append(s.shipments, s.shipment) })
	return s.tell("shipment", "shipment", "scheduled", s.shipment.ShipmentId, &eventv1.ShipmentScheduled{})
}

func (s *story) cancelShipment() *story {
	s.change(func() { s.shipment.State = shipmentv1.ShipmentState_SHIPMENT_STATE_CANCELLED })
	return s.tell("shipment", "shipment", "cancelled", s.shipment.ShipmentId, &eventv1.ShipmentCancelled{})
}

// end brings the saga to a phase: "completed", "compensated" or "parked".
func (s *story) end(name string) *story {
	s.change(func() {
		s.saga.Phase = map[string]sagav1.SagaPhase{
			"completed": sagav1.SagaPhase_SAGA_PHASE_COMPLETED, "compensated": sagav1.SagaPhase_SAGA_PHASE_COMPENSATED,
			"parked": sagav1.SagaPhase_SAGA_PHASE_PARKED,
		}[name]
	})
	entity := "order"
	if s.recurring {
		entity = "recurring"
	}
	return s.tell("orchestrator", entity, name, s.subject, &eventv1.OrderCompleted{})
}

// sell is the whole story of an order that goes well, and undo that of one that is taken back before it is paid.
func (b *business) sell(total int64) *story {
	return b.place(total).reserve().authorize().ship().capture().commit().end("completed")
}

func (b *business) undo(total int64) *story {
	return b.place(total).reserve().authorize().void().release().end("compensated")
}

// without are the events but for those of a name: "payment.captured".
func (s *story) without(names ...string) []bus.Event {
	var left []bus.Event
	for _, e := range s.events {
		lost := false
		for _, name := range names {
			lost = lost || e.Entity+"."+e.Name == name
		}
		if !lost {
			left = append(left, e)
		}
	}
	return left
}

// book writes a journal on what the provider holds; fees come behind its amount.
func (b *business) book(kind paymentv1.JournalKind, s *story, minor int64, providerID, key string, fees ...int64) {
	b.change(func() {
		journal := newID("jrn")
		line := int32(1)
		if minor < 0 {
			line = 2
		}
		for i, amount := range append([]int64{minor}, fees...) {
			b.entries = append(b.entries, &paymentv1.Entry{
				JournalId: journal, Line: line + int32(3*i), Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, Amount: pounds(amount),
				Kind: kind, PaymentId: s.paymentID, Reference: s.subject, ProviderId: providerID, Key: key, CreateTime: timestamppb.New(s.at),
			})
		}
	})
}

// wantWords fails the test unless two texts are the same.
func wantWords(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
