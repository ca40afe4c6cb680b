package matchtest

import (
	"fmt"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// payOut ends a payout and makes its case at the bank, and a few others that have nothing to do with the provider.
func (g *generator) payOut() {
	p := g.payout
	g.newPayout()
	ours := Line{Kind: match.KindPayout, Amount: p.net, Day: g.day + 1, Due: g.day + 4}
	ours.Carriers[match.CarrierPayout] = p.id
	theirs := ours
	theirs.Due = 0
	theirs.Day += match.Day(g.rand.IntN(4))
	theirs.Amount += p.stray
	if p.mends {
		theirs.Amount += p.off
	}
	g.credit(ours, theirs, p.stray != 0)
	g.transfers()
}

// odd is more than any row that a report may lack.
const odd = 900_000_000_000

// credit gives a payout and its bank line, some of them with something wrong. What strays is not found without the payout's id.
func (g *generator) credit(ours, theirs Line, strays bool) {
	c := Case{Stage: match.StageBank, Ours: []Line{ours}, Theirs: []Line{theirs}, Same: same}
	wrong := func(code breaks.Code, broken Legs) { c.Code, c.Broken = code, broken }
	what := g.rand.IntN(14)
	if strays && (what == 3 || what == 6) {
		what = -1
	}
	switch what {
	case 0:
		c.Theirs, c.Same = nil, nil
		wrong(breaks.MissingAtBank, Legs{Ours: []int{0}})
	case 1:
		c.Ours[0].Due = g.AsOf()
		c.Theirs, c.Same = nil, nil
		wrong(breaks.TimingOpen, Legs{Ours: []int{0}})
	case 2:
		c.Theirs[0].Carriers[match.CarrierPayout] = g.name("po")
		c.Theirs[0].Amount += odd
		c.Ours, c.Same = nil, nil
		wrong(breaks.PayoutUnexplained, Legs{Theirs: []int{0}})
	case 3:
		again := theirs
		again.Day++
		c.Theirs = append(c.Theirs, again)
		wrong(breaks.DuplicateExternal, Legs{Theirs: []int{1}})
	case 4:
		c.Theirs[0].Day += 8
		wrong(breaks.DateOutOfWindow, first)
	case 5:
		half := theirs
		half.Amount /= 2
		c.Theirs[0].Amount -= half.Amount
		c.Theirs = append(c.Theirs, half)
		c.Same = []Legs{{[]int{0}, []int{0, 1}}}
	case 6: // the bank does not say which payout it is
		c.Theirs[0].Carriers[match.CarrierPayout] = ""
		c.Bare = true
	}
	g.give(c)
}

// transfers makes payments that go to the bank account directly.
func (g *generator) transfers() {
	invoice := func(amount int64) (ours, theirs Line) {
		g.number++
		number := fmt.Sprintf("INV-%08d", g.number)
		ours = Line{Kind: match.KindTransfer, Amount: amount, Day: g.day, Due: g.day + 5, Text: number}
		ours.Carriers[match.CarrierReference] = number
		theirs = ours
		theirs.Day, theirs.Due = g.day+match.Day(g.rand.IntN(3)), 0
		return ours, theirs
	}
	ours, theirs := invoice(g.price())
	g.give(Case{Stage: match.StageBank, Ours: []Line{ours}, Theirs: []Line{theirs}, Same: same})

	ours, theirs = invoice(g.price()) // the bank puts the reference elsewhere
	theirs.Carriers[match.CarrierKey], theirs.Carriers[match.CarrierReference] = theirs.Carriers[match.CarrierReference], ""
	g.give(Case{Stage: match.StageBank, Ours: []Line{ours}, Theirs: []Line{theirs}, Same: same})

	amount := g.unique()
	for range 2 { // or into the text, as the customer wrote it
		ours, theirs = invoice(amount)
		theirs.Text = fmt.Sprintf("payment inv %d thank you", g.number)
		theirs.Carriers[match.CarrierReference] = ""
		g.give(Case{Stage: match.StageBank, Ours: []Line{ours}, Theirs: []Line{theirs}, Same: same, Bare: true})
	}

	ours, theirs = invoice(g.unique()) // in two, with something else under the same reference
	other, more := theirs, theirs
	other.Amount /= 3
	theirs.Amount -= other.Amount
	more.Amount = 17
	g.give(Case{
		Stage: match.StageBank, Ours: []Line{ours}, Theirs: []Line{theirs, other, more}, Same: []Legs{{[]int{0}, []int{0, 1}}},
		Code: breaks.MissingInternally, Broken: Legs{Theirs: []int{2}},
	})
}
