package tieout

import (
	"slices"

	"github.com/tieout/tieout/pkg/money"
)

// Remedy is what repairs a divergence.
type Remedy string

// The remedies. A saga that has ended is not driven any more: what it left is undone by the owner.
const (
	RetrySaga      Remedy = "retry the saga"
	RefundPayment  Remedy = "refund the payment"
	VoidPayment    Remedy = "void the payment"
	CancelShipment Remedy = "cancel the shipment"
	// Person: nothing that is safe without one.
	Person Remedy = "a person decides"
)

// Rule is one way in which an order does not tie.
type Rule struct {
	// Name is how the rule is called in breaks, and What tells rules of one name apart.
	Name, What string
	// Phases are those that it holds for.
	Phases []Phase
	// Of says what it is for: "orders", "recurring payments" or "both".
	Of string
	// Meaning is what does not go together, for people.
	Meaning string
	// Remedy repairs it, while its saga can be driven; see RemedyIn.
	Remedy Remedy
	// found says whether it does not tie, and the money that is not as it should be.
	found func(Order) (bool, money.Amount)
}

// What a rule is for.
const (
	ofOrders    = "orders"
	ofRecurring = "recurring payments"
	ofBoth      = "both"
)

// netEffect is the name of the rules for what a compensated saga has left.
const netEffect = "compensated-with-net-effect"

// rules are all there are, the gravest first.
var rules = []Rule{
	{
		Name: "effect-without-order", Phases: []Phase{PhaseNone}, Of: ofBoth, Remedy: Person,
		Meaning: "Money was taken, goods have left or stock is promised, and nobody has placed an order.",
		found: func(o Order) (bool, money.Amount) {
			effect := o.left() != 0 || o.shipped() || o.reservations(ReservationHeld) > 0 || o.reservations(ReservationCommitted) > 0
			return effect, o.in(o.left())
		},
	},
	{
		Name: "refunded-more-than-captured", Phases: []Phase{PhaseCompleted, PhaseCompensated, PhaseParked}, Of: ofBoth, Remedy: Person,
		Meaning: "More was given back than was taken.",
		found: func(o Order) (bool, money.Amount) {
			for _, p := range o.Payments {
				if p.Refunded > p.Captured {
					return true, money.Amount{Currency: p.Currency, Minor: p.Captured - p.Refunded}
				}
			}
			return false, money.Amount{}
		},
	},
	{
		Name: "done-twice", Phases: []Phase{PhaseCompleted, PhaseParked}, Of: ofBoth, Remedy: Person,
		Meaning: "More than one payment, shipment or reservation of the order has taken effect.",
		found: func(o Order) (bool, money.Amount) {
			paid := count(o.Payments, func(p Payment) bool { return p.left() > 0 })
			return paid > 1 || o.shipments(ShipmentScheduled) > 1 || o.reservations(ReservationCommitted) > 1, o.over()
		},
	},
	{
		Name: "paid-not-shipped", Phases: []Phase{PhaseCompleted, PhaseParked}, Of: ofOrders, Remedy: RetrySaga,
		Meaning: "Money was taken and not given back, and nothing is on its way.",
		found: func(o Order) (bool, money.Amount) {
			return o.left() > 0 && !o.shipped() && o.shipments(ShipmentReturned) == 0, o.in(o.left())
		},
	},
	{
		Name: "shipped-not-paid", Phases: []Phase{PhaseCompleted, PhaseParked}, Of: ofOrders, Remedy: RetrySaga,
		Meaning: "The goods have left, and no money was taken.",
		found: func(o Order) (bool, money.Amount) {
			return o.shipped() && o.captured() == 0, o.in(-o.Total.Minor)
		},
	},
	{
		Name: "completed-not-paid", Phases: []Phase{PhaseCompleted}, Of: ofBoth, Remedy: Person,
		Meaning: "The saga has ended well, and no money was taken nor goods sent.",
		found: func(o Order) (bool, money.Amount) {
			return !o.shipped() && o.captured() == 0, o.in(-o.Total.Minor)
		},
	},
	{
		Name: "paid-and-parked", Phases: []Phase{PhaseParked}, Of: ofRecurring, Remedy: RetrySaga,
		Meaning: "Money was taken, and the saga waits for a person who finds that out.",
		found:   func(o Order) (bool, money.Amount) { return o.left() > 0, o.in(o.left()) },
	},
	{
		Name: "captured-not-as-placed", Phases: []Phase{PhaseCompleted, PhaseParked}, Of: ofBoth, Remedy: Person,
		Meaning: "Another amount was taken than was ordered, or in another currency.",
		found: func(o Order) (bool, money.Amount) {
			for _, p := range o.Payments {
				if p.Captured > 0 && p.Currency != o.currency() {
					return true, money.Amount{Currency: p.Currency, Minor: p.Captured}
				}
			}
			return o.Total.Minor > 0 && o.captured() > 0 && o.captured() != o.Total.Minor, o.over()
		},
	},
	{
		Name: netEffect, What: "money", Phases: []Phase{PhaseCompensated}, Of: ofBoth, Remedy: RefundPayment,
		Meaning: "Money that was taken is not back, or more than it.",
		found: func(o Order) (bool, money.Amount) {
			for _, p := range o.Payments {
				if p.left() != 0 {
					return true, money.Amount{Currency: p.Currency, Minor: p.left()}
				}
			}
			return false, money.Amount{}
		},
	},
	{
		Name: netEffect, What: "money set aside", Phases: []Phase{PhaseCompensated}, Of: ofBoth, Remedy: VoidPayment,
		Meaning: "Money is set aside on the customer's card.",
		found: func(o Order) (bool, money.Amount) {
			for _, p := range o.Payments {
				if p.SetAside > 0 {
					return true, money.Amount{Currency: p.Currency, Minor: p.SetAside}
				}
			}
			return false, money.Amount{}
		},
	},
	{
		Name: netEffect, What: "shipment", Phases: []Phase{PhaseCompensated}, Of: ofOrders, Remedy: CancelShipment,
		Meaning: "A carrier comes, or has come, for the goods.",
		found:   func(o Order) (bool, money.Amount) { return o.shipped(), o.in(-o.Total.Minor) },
	},
	{
		Name: netEffect, What: "stock", Phases: []Phase{PhaseCompensated}, Of: ofOrders, Remedy: Person,
		Meaning: "The pieces have left the stock.",
		found:   func(o Order) (bool, money.Amount) { return o.reservations(ReservationCommitted) > 0, o.in(0) },
	},
	{
		Name: "reserved-never-released", Phases: []Phase{PhaseCompensated, PhaseParked}, Of: ofOrders, Remedy: RetrySaga,
		Meaning: "Pieces are promised to an order that does not go on.",
		found:   func(o Order) (bool, money.Amount) { return o.reservations(ReservationHeld) > 0, o.in(0) },
	},
	{
		Name: "completed-not-taken-out", Phases: []Phase{PhaseCompleted}, Of: ofOrders, Remedy: Person,
		Meaning: "The saga has ended well, and its pieces were not taken out of the stock.",
		found:   func(o Order) (bool, money.Amount) { return o.reservations(ReservationCommitted) == 0, o.in(0) },
	},
}

// over is what was taken beyond what was ordered; less than zero where less was.
func (o Order) over() money.Amount { return o.in(o.captured() - o.Total.Minor) }

// Rules are all rules, the gravest first.
func Rules() []Rule { return slices.Clone(rules) }

// applies says whether a rule is for such an order.
func (r Rule) applies(o Order) bool {
	return slices.Contains(r.Phases, o.Phase) && (r.Of == ofBoth || (r.Of == ofRecurring) == o.Recurring)
}

// Divergence is a rule that an order does not keep.
type Divergence struct {
	// Rule and What name it; Meaning says it for people.
	Rule, What, Meaning string
	// Amount is the money that is not as it should be; zero where it is none.
	Amount money.Amount
	Remedy Remedy
}

// Divergences are all that does not tie in an order, the gravest first. One that goes on by itself has none.
func (o Order) Divergences() []Divergence {
	var all []Divergence
	for _, r := range rules {
		if !r.applies(o) || o.Moving() {
			continue
		}
		if found, amount := r.found(o); found {
			all = append(all, Divergence{Rule: r.Name, What: r.What, Meaning: r.Meaning, Amount: amount, Remedy: r.RemedyIn(o.Phase)})
		}
	}
	return all
}

// RemedyIn is what repairs it in a phase: a saga that waits for a person is driven, and one that has ended is not.
func (r Rule) RemedyIn(in Phase) Remedy {
	switch {
	case in == PhaseParked && r.Remedy != Person:
		return RetrySaga
	case in != PhaseParked && r.Remedy == RetrySaga:
		return Person
	}
	return r.Remedy
}
