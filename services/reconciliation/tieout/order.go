package tieout

import "github.com/tieout/tieout/pkg/money"

// Phase is where the saga of an order stands.
type Phase uint8

// The phases.
const (
	// PhaseNone: there is no such order.
	PhaseNone Phase = iota
	// PhaseRunning: it goes forward or back by itself.
	PhaseRunning
	PhaseCompleted
	PhaseCompensated
	// PhaseParked: it waits for a person.
	PhaseParked
)

var phaseNames = [...]string{"none", "running", "completed", "compensated", "parked"}

// String is the phase's name.
func (p Phase) String() string { return phaseNames[p] }

// Order is what all services together know of one order, or of one recurring payment.
type Order struct {
	Recurring bool
	Phase     Phase
	// Total is what was ordered; without a currency where that is not known.
	Total        money.Amount
	Payments     []Payment
	Reservations []Reservation
	Shipments    []Shipment
	// Unsettled says that an owner does not know itself what became of something it asked for, and is at it.
	Unsettled bool
}

// Payment is the money of one payment, in minor units of its currency.
type Payment struct {
	Currency money.Currency
	// Captured was taken; of that Refunded was given back, and ChargedBack taken back by the customer's bank.
	Captured, Refunded, ChargedBack int64
	// SetAside is what is authorized and neither captured nor released.
	SetAside int64
}

// left is what we hold of it: less than zero where more went back than came.
func (p Payment) left() int64 { return p.Captured - p.Refunded - p.ChargedBack }

// Reservation is where a reservation stands.
type Reservation uint8

// The states of a reservation. An expired one is released.
const (
	ReservationHeld Reservation = iota + 1
	ReservationReleased
	ReservationCommitted
)

// Shipment is where a shipment stands.
type Shipment uint8

// The states of a shipment. One that was refused, or is not known to be scheduled, is cancelled; one that was lost on its way
// is scheduled: it has left.
const (
	ShipmentScheduled Shipment = iota + 1
	ShipmentCancelled
	ShipmentReturned
)

// captured is all that was taken in the order's currency.
func (o Order) captured() (sum int64) {
	for _, p := range o.Payments {
		if p.Currency == o.currency() {
			sum += p.Captured
		}
	}
	return sum
}

// left is what is held of the customer's money in the order's currency.
func (o Order) left() (sum int64) {
	for _, p := range o.Payments {
		if p.Currency == o.currency() {
			sum += p.left()
		}
	}
	return sum
}

// currency is the order's; where that is not known, its first payment's.
func (o Order) currency() money.Currency {
	if o.Total.Currency == "" && len(o.Payments) > 0 {
		return o.Payments[0].Currency
	}
	return o.Total.Currency
}

// in is an amount in the order's currency.
func (o Order) in(minor int64) money.Amount {
	return money.Amount{Currency: o.currency(), Minor: minor}
}

// Moving says that the order goes on by itself, so that nothing can be said of it yet.
func (o Order) Moving() bool { return o.Phase == PhaseRunning || o.Unsettled }

// shipped says that goods are on their way, or with the customer.
func (o Order) shipped() bool { return o.shipments(ShipmentScheduled) > 0 }

func (o Order) shipments(in Shipment) int {
	return count(o.Shipments, func(s Shipment) bool { return s == in })
}

func (o Order) reservations(in Reservation) int {
	return count(o.Reservations, func(r Reservation) bool { return r == in })
}

func count[T any](all []T, holds func(T) bool) (n int) {
	for _, one := range all {
		if holds(one) {
			n++
		}
	}
	return n
}
