package tieout

import (
	"bytes"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// Told is what was told of an order: a set.
type Told uint32

// What can be told. The numbers are in the database.
const (
	Placed      Told = 1 << iota // the order is durable
	Completed                    // its saga has ended well
	Compensated                  // its saga has ended with nothing left
	Parked                       // its saga waited for a person, at least once
	Held                         // pieces were promised
	Released                     // and are back
	Committed                    // or have left
	Expired                      // or are back, because the time was over
	Scheduled                    // a carrier will come, or has come
	Cancelled                    // and will not
	Returned                     // or has brought it back
	Authorized                   // money was set aside
	Voided                       // and released, or never taken
	Declined                     // or refused
	Several                      // more than one reservation, shipment or payment, or currency: which did what is not kept
)

// An ID is one of a database, without its kind. Zero is none.
type ID [16]byte

// Facts are what was told of an order, or of a recurring payment. The zero Facts are those of which nothing was told.
type Facts struct {
	// Recurring says that it is a recurring payment.
	Recurring bool
	Told      Told
	// Reservation, Shipment and Payment are which ones were told of; with Several, the least of them.
	Reservation, Shipment, Payment ID
	// Currency of all amounts, which are in minor units.
	Currency money.Currency
	// Total is what the order comes to, Authorized what was set aside.
	Total, Authorized int64
	// Captured, Refunded and ChargedBack are sums: of each movement that is new, once.
	Captured, Refunded, ChargedBack int64
}

// Join is what two tellings come to. It is the same in whatever order they come. Sums are added: whoever joins gives each
// movement once. Errors: money.ErrOverflow.
func (f Facts) Join(g Facts) (Facts, error) {
	f.Recurring = f.Recurring || g.Recurring
	f.Told |= g.Told
	for _, part := range []struct{ to, from *ID }{
		{&f.Reservation, &g.Reservation}, {&f.Shipment, &g.Shipment}, {&f.Payment, &g.Payment},
	} {
		if *part.to != (ID{}) && *part.from != (ID{}) && *part.to != *part.from {
			f.Told |= Several
		}
		*part.to = least(*part.to, *part.from)
	}
	if f.Currency != "" && g.Currency != "" && f.Currency != g.Currency {
		f.Told |= Several
	}
	if f.Currency == "" || g.Currency != "" && g.Currency < f.Currency {
		f.Currency = g.Currency
	}
	f.Total, f.Authorized = max(f.Total, g.Total), max(f.Authorized, g.Authorized)
	for _, sum := range []struct {
		to  *int64
		add int64
	}{{&f.Captured, g.Captured}, {&f.Refunded, g.Refunded}, {&f.ChargedBack, g.ChargedBack}} {
		if s := *sum.to + sum.add; (s > *sum.to) != (sum.add > 0) && sum.add != 0 {
			return f, fmt.Errorf("adding up an order: %w", money.ErrOverflow)
		}
		*sum.to += sum.add
	}
	return f, nil
}

// least is the lower of two ids; of one and none, that one.
func least(a, b ID) ID {
	if a == (ID{}) || b != (ID{}) && bytes.Compare(b[:], a[:]) < 0 {
		return b
	}
	return a
}

// has says whether something was told.
func (f Facts) has(t Told) bool { return f.Told&t != 0 }

// Phase is where the saga stood at last, as far as was told.
func (f Facts) Phase() Phase {
	switch {
	case f.has(Completed):
		return PhaseCompleted
	case f.has(Compensated):
		return PhaseCompensated
	case f.has(Parked):
		return PhaseParked
	}
	return PhaseRunning
}

// Order is the picture that facts make. It is whole only without Several.
func (f Facts) Order() Order {
	o := Order{Recurring: f.Recurring, Phase: f.Phase(), Total: money.Amount{Currency: f.Currency, Minor: f.Total}}
	if f.Payment != (ID{}) {
		o.Payments = []Payment{{
			Currency: f.Currency, Captured: f.Captured, Refunded: f.Refunded, ChargedBack: f.ChargedBack,
			SetAside: f.setAside(),
		}}
	}
	if f.Reservation != (ID{}) {
		o.Reservations = []Reservation{f.reservation()}
	}
	if f.Shipment != (ID{}) {
		o.Shipments = []Shipment{f.shipment()}
	}
	return o
}

func (f Facts) setAside() int64 {
	if f.Captured > 0 || f.has(Voided) || f.has(Declined) {
		return 0
	}
	return f.Authorized
}

func (f Facts) reservation() Reservation {
	switch {
	case f.has(Committed):
		return ReservationCommitted
	case f.has(Released) || f.has(Expired):
		return ReservationReleased
	}
	return ReservationHeld
}

func (f Facts) shipment() Shipment {
	switch {
	case f.has(Returned):
		return ShipmentReturned
	case f.has(Cancelled):
		return ShipmentCancelled
	}
	return ShipmentScheduled
}

// Verdict is what is to be done about an order.
type Verdict uint8

// The verdicts.
const (
	// InFlight: it is on its way, and nothing can be said yet.
	InFlight Verdict = iota
	// Tied: everything goes together.
	Tied
	// Doubtful: what was told does not tie, or not at all any more. The owners are asked before anything is made of it.
	Doubtful
)

var verdictNames = [...]string{"in flight", "tied", "doubtful"}

// String is the verdict's name.
func (v Verdict) String() string { return verdictNames[v] }

// Judge says what the facts come to. Age is how long ago the order began; one that has not ended when it is overdue is
// doubtful: it may have ended, and the event was lost.
func (f Facts) Judge(age, overdue time.Duration) Verdict {
	ended := f.has(Completed) || f.has(Compensated)
	switch {
	case !ended && !f.has(Parked):
		if age < overdue {
			return InFlight
		}
		return Doubtful
	case f.has(Several), f.has(Completed) && f.has(Compensated), ended && !f.Recurring && !f.has(Placed):
		return Doubtful
	case len(f.Order().Divergences()) > 0:
		return Doubtful
	case !ended && age >= overdue:
		return Doubtful
	case !ended:
		return InFlight
	}
	return Tied
}
