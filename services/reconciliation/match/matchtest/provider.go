package matchtest

import (
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

var (
	first = Legs{Ours: []int{0}, Theirs: []int{0}}
	same  = []Legs{first}
)

// event makes one case of stage provider.
func (g *generator) event() {
	switch n := g.rand.IntN(1000); {
	case n < g.Breaks:
		g.broken()
	case n < g.Breaks+g.Bare:
		g.bare()
	case n < g.Breaks+g.Bare+60:
		g.unusual()
	default:
		g.usual()
	}
}

// movement is the same movement on both sides, linked in every way.
func (g *generator) movement(kind match.Kind, amount int64) (ours, theirs Line) {
	prefix := map[match.Kind]string{match.KindCharge: "ch", match.KindRefund: "re", match.KindChargeback: "du", match.KindFee: "fee"}[kind]
	ours = Line{
		Kind: kind, Amount: amount, Fee: fee(amount), FeeKnown: g.rand.IntN(2) == 0, Day: g.day, Due: g.day + 2,
		Carriers: [match.NumCarriers]string{
			match.CarrierID: g.name(prefix), match.CarrierKey: g.name("key"), match.CarrierReference: g.name("order"),
		},
	}
	if !ours.FeeKnown {
		ours.Fee = 0
	}
	theirs = ours
	theirs.Fee, theirs.FeeKnown, theirs.Due = fee(amount), false, 0
	theirs.Day += match.Day(g.rand.IntN(10) / 9)
	theirs.Carriers[match.CarrierParent] = ours.Carriers[match.CarrierID]
	if kind != match.KindCharge {
		theirs.Carriers[match.CarrierParent] = g.name("ch")
	}
	return ours, theirs
}

// drawn is a charge, a refund or a chargeback.
func (g *generator) drawn(amount int64) (ours, theirs Line) {
	switch n := g.rand.IntN(100); {
	case n < 88:
		return g.movement(match.KindCharge, amount)
	case n < 98:
		return g.movement(match.KindRefund, -amount)
	}
	return g.movement(match.KindChargeback, -amount)
}

// usual is what ties by an id, a key or a reference.
func (g *generator) usual() {
	ours, theirs := g.drawn(g.price())
	switch n := g.rand.IntN(10); {
	case n < 2:
		ours.Carriers[match.CarrierID] = ""
	case n < 4:
		ours.Carriers[match.CarrierID], theirs.Carriers[match.CarrierKey] = "", ""
	}
	g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs}, Same: same})
}

// bare is what nothing links but amount and day.
func (g *generator) bare() {
	ours, theirs := g.movement(match.KindCharge, g.price())
	ours.Carriers, theirs.Carriers = [match.NumCarriers]string{}, [match.NumCarriers]string{}
	if g.rand.IntN(2) == 0 {
		ours.Amount = g.unique()
		theirs.Amount, theirs.Fee = ours.Amount, fee(ours.Amount)
	}
	ours.FeeKnown = false
	g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs}, Same: same, Bare: true})
}

// unusual is what ties, but not one to one by one id.
func (g *generator) unusual() {
	ours, theirs := g.movement(match.KindCharge, g.price())
	ours.FeeKnown = false
	switch g.rand.IntN(6) {
	case 0: // a capture by itself
		theirs.Carriers[match.CarrierID] = g.name("cp")
		g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs}, Same: same})
	case 1: // a part captured, the rest given back
		back := theirs
		back.Amount, back.Fee = -g.rand.Int64N(theirs.Amount), 0
		back.Carriers[match.CarrierID] = g.name("cp")
		ours.Amount += back.Amount
		theirs.Fee = fee(ours.Amount)
		g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs, back}, Same: []Legs{{[]int{0}, []int{0, 1}}}})
	case 2: // a refund that the provider made in two
		ours, theirs = g.movement(match.KindRefund, -g.price())
		ours.Carriers[match.CarrierID] = ""
		theirs.Carriers[match.CarrierKey] = ""
		other := theirs
		other.Amount = -1 - g.rand.Int64N(-theirs.Amount-1)
		theirs.Amount -= other.Amount
		other.Carriers[match.CarrierID] = g.name("re")
		g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs, other}, Same: []Legs{{[]int{0}, []int{0, 1}}}})
	case 3: // an order with a charge and two refunds, known by the order
		order := ours.Carriers[match.CarrierReference]
		c := Case{Ours: []Line{ours}, Theirs: []Line{theirs}, Same: []Legs{first}}
		for i := range 2 {
			part, reported := g.movement(match.KindRefund, -100*int64(i+1)-g.rand.Int64N(50))
			part.Carriers[match.CarrierID], reported.Carriers[match.CarrierKey] = "", ""
			part.Carriers[match.CarrierReference], reported.Carriers[match.CarrierReference] = order, order
			reported.Carriers[match.CarrierParent] = theirs.Carriers[match.CarrierParent]
			c.Ours, c.Theirs = append(c.Ours, part), append(c.Theirs, reported)
			c.Same = append(c.Same, Legs{[]int{i + 1}, []int{i + 1}})
		}
		g.give(c)
	case 4: // a fee by itself
		_, theirs = g.movement(match.KindFee, -g.price())
		theirs.Fee = 0
		g.give(Case{Theirs: []Line{theirs}, Same: []Legs{{nil, []int{0}}}})
	case 5: // a second attempt that was charged; nobody knows of the first, and nothing came of it
		attempt := ours
		attempt.Carriers[match.CarrierID], attempt.Carriers[match.CarrierKey] = "", g.name("key")
		attempt.Standing = []match.Standing{match.InDoubt, match.Refused}[g.rand.IntN(2)]
		theirs.FeeKnown = false
		g.give(Case{Ours: []Line{ours, attempt}, Theirs: []Line{theirs}, Same: same})
	}
}

// amount is that of something wrong. Where the payout depends on its being found, no other row has it: a bare row could else make
// it AMBIGUOUS.
func (g *generator) amount() int64 {
	if g.payout.mends {
		return g.unique()
	}
	return g.price()
}

// broken makes one case of each code in turn.
func (g *generator) broken() {
	plants := []func(ours, theirs Line){
		g.timing, g.missingAtProvider, g.missingAtProvider, g.missingInternally, g.missingInternally, g.amountOff, g.amountOff, g.feeOff,
		g.twiceExternal, g.twiceExternal, g.twiceInternal, g.unsure, g.unsure, g.late, g.mismatch, g.incomplete, g.ambiguous,
	}
	plant := plants[g.rand.IntN(len(plants))]
	kind, amount := match.KindCharge, g.amount()
	if n := g.rand.IntN(10); n < 4 {
		kind, amount = []match.Kind{match.KindRefund, match.KindRefund, match.KindRefund, match.KindChargeback}[n], -amount
	}
	plant(g.movement(kind, amount))
}

func (g *generator) timing(ours, _ Line) {
	ours.Due = g.AsOf()
	ours.Carriers[match.CarrierID] = ""
	g.give(Case{Ours: []Line{ours}, Code: breaks.TimingOpen, Broken: Legs{Ours: []int{0}}})
}

func (g *generator) missingAtProvider(ours, theirs Line) {
	if g.payout.stray == 0 && g.rand.IntN(4) == 0 { // the bank pays it all the same
		ours, _ = g.movement(match.KindCharge, g.unique())
		ours.Fee, ours.FeeKnown = fee(ours.Amount), true
		g.payout.stray = ours.Amount - ours.Fee
	}
	g.give(Case{Ours: []Line{ours}, Code: breaks.MissingAtProvider, Broken: Legs{Ours: []int{0}}})
}

func (g *generator) missingInternally(_, theirs Line) {
	code := breaks.MissingInternally
	switch theirs.Kind {
	case match.KindRefund:
		code = breaks.ReturnUnmatched
	case match.KindChargeback:
		code = breaks.ChargebackUnmatched
	}
	g.give(Case{Theirs: []Line{theirs}, Code: code, Broken: Legs{Theirs: []int{0}}})
}

func (g *generator) amountOff(ours, theirs Line) {
	code, more := breaks.AmountOver, 1+g.rand.Int64N(100)
	if g.rand.IntN(2) == 0 {
		code, more = breaks.AmountUnder, -more
	}
	theirs.Amount += more
	g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs}, Code: code, Broken: first})
}

func (g *generator) feeOff(ours, theirs Line) {
	ours.FeeKnown, ours.Fee = true, fee(ours.Amount)
	theirs.Fee += 1 + g.rand.Int64N(50)
	g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs}, Same: same, Code: breaks.FeeVariance, Broken: first})
}

func (g *generator) twiceExternal(ours, theirs Line) {
	again := theirs
	again.Day++ // the first one counts
	switch g.rand.IntN(3) {
	case 0: // the same line twice
	case 1: // charged twice under one key
		again.Carriers[match.CarrierID] = g.name("again")
		again.Carriers[match.CarrierParent] = again.Carriers[match.CarrierID]
	case 2: // charged twice for one order
		again.Carriers = [match.NumCarriers]string{match.CarrierID: g.name("again"), match.CarrierReference: theirs.Carriers[match.CarrierReference]}
	}
	g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs, again}, Same: same, Code: breaks.DuplicateExternal, Broken: Legs{Theirs: []int{1}}})
}

func (g *generator) twiceInternal(ours, theirs Line) {
	again := ours
	again.Day++
	if g.rand.IntN(2) == 0 {
		again.Carriers[match.CarrierID] = ""
	}
	g.give(Case{Ours: []Line{ours, again}, Theirs: []Line{theirs}, Same: same, Code: breaks.DuplicateInternal, Broken: Legs{Ours: []int{1}}})
}

func (g *generator) unsure(ours, theirs Line) {
	code := breaks.UnknownResolved
	ours.Standing = match.InDoubt
	if g.rand.IntN(2) == 0 {
		ours.Standing, code = match.Refused, breaks.StateConflict
	}
	ours.Carriers[match.CarrierID] = ""
	g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs}, Code: code, Broken: first})
}

func (g *generator) late(ours, theirs Line) {
	theirs.Day += 10
	g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs}, Same: same, Code: breaks.DateOutOfWindow, Broken: first})
}

func (g *generator) mismatch(ours, theirs Line) {
	ours.Amount = g.unique()
	theirs.Amount, theirs.Fee = ours.Amount, fee(ours.Amount)
	if ours.FeeKnown {
		ours.Fee = theirs.Fee
	}
	theirs.Carriers = [match.NumCarriers]string{match.CarrierReference: g.name("odrer")}
	g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs}, Code: breaks.ReferenceMismatch, Broken: first})
}

// incomplete is a capture in parts of which one is missing.
func (g *generator) incomplete(_, _ Line) {
	ours, theirs := g.movement(match.KindCharge, 3*g.amount())
	other := theirs
	theirs.Amount /= 3
	other.Amount = theirs.Amount - 1
	other.Carriers[match.CarrierID] = g.name("cp")
	g.give(Case{Ours: []Line{ours}, Theirs: []Line{theirs, other}, Code: breaks.SplitIncomplete, Broken: Legs{[]int{0}, []int{0, 1}}})
}

// ambiguous is two refunds of one order with the same amount that only the order links.
func (g *generator) ambiguous(_, _ Line) {
	c := Case{Code: breaks.Ambiguous, Broken: Legs{[]int{0, 1}, []int{0, 1}}}
	ours, theirs := g.movement(match.KindRefund, -g.price())
	for range 2 {
		ours.Carriers[match.CarrierID], theirs.Carriers[match.CarrierKey] = "", ""
		ours.Carriers[match.CarrierKey], theirs.Carriers[match.CarrierID] = g.name("key"), g.name("re")
		c.Ours, c.Theirs = append(c.Ours, ours), append(c.Theirs, theirs)
	}
	g.give(c)
}
