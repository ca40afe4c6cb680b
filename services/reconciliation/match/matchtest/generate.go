package matchtest

import (
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// Config says what to make. The zero value of a field is its default.
type Config struct {
	Seed uint64
	// Cases is how many things happened at stage provider; most are one row on each side. Default 1000.
	Cases int
	// Breaks is how many of a thousand are wrong. Default 20.
	Breaks int
	// Bare is how many of a thousand have nothing that links them but amount and day. Default 5.
	Bare int
	// Lines is how many lines of a report a payout has. Default 200.
	Lines int
	// First is the first day, and Days how many there are. Default 30.
	First match.Day
	Days  int
}

func (c Config) filled() Config {
	for _, field := range []struct {
		value *int
		other int
	}{{&c.Cases, 1000}, {&c.Breaks, 20}, {&c.Bare, 5}, {&c.Lines, 200}, {&c.Days, 30}} {
		if *field.value == 0 {
			*field.value = field.other
		}
	}
	return c
}

// AsOf is the day on which everything that is planted is as it is said to be.
func (c Config) AsOf() match.Day {
	c = c.filled()
	return c.First + match.Day(c.Days) + 10
}

// Case is one thing that happened, as both sides have it.
type Case struct {
	Stage        match.Stage
	Ours, Theirs []Line
	// Same are rows that are the same money, by their places in Ours and Theirs.
	Same []Legs
	// Code is what is wrong, and Broken the rows that it is wrong with; empty when nothing is.
	Code   breaks.Code
	Broken Legs
	// Bare says that nothing but amounts, days and texts link the rows: they may be AMBIGUOUS.
	Bare bool
}

// Legs are places of lines of a case.
type Legs struct{ Ours, Theirs []int }

// Generate makes the cases of both stages. The bank's come between those of the lines that they are about.
func Generate(c Config) iter.Seq[Case] {
	return func(yield func(Case) bool) {
		g := &generator{Config: c.filled(), yield: yield}
		g.rand = rand.New(rand.NewPCG(g.Seed, 7))
		g.newPayout()
		for i := 0; i < g.Cases && !g.done; i++ {
			g.day = g.First + match.Day(i*g.Days/g.Cases)
			g.event()
			if g.payout.count >= g.Lines {
				g.payOut()
			}
		}
		if !g.done && g.payout.count > 0 {
			g.payOut()
		}
	}
}

type generator struct {
	Config
	rand   *rand.Rand
	yield  func(Case) bool
	done   bool
	number int // of the last thing that got a name
	day    match.Day
	payout payout
}

// payout is what the lines of a report come to until it is paid out.
type payout struct {
	id    string
	count int
	net   int64 // what the report says
	off   int64 // by how much that is wrong
	// mends says that the bank pays what is right and not what the report says.
	mends bool
	// stray is the net of a row that the report lacks and the bank pays; 0 for none.
	stray int64
}

func (g *generator) newPayout() {
	g.payout = payout{id: g.name("po"), mends: g.rand.IntN(3) == 0}
}

func (g *generator) name(prefix string) string {
	g.number++
	return fmt.Sprintf("%s_%08d", prefix, g.number)
}

// prices are few: amounts prove little.
var prices = []int64{499, 990, 999, 1290, 1499, 1990, 1999, 2490, 2990, 2999, 3990, 4990, 4999, 5990, 7900, 9900, 9990, 12900, 14900, 19900, 29900, 49900}

// price is an amount that many rows have: some much more often than others.
func (g *generator) price() int64 {
	p := prices[min(g.rand.IntN(len(prices)), g.rand.IntN(len(prices)))]
	return p * int64(1+g.rand.IntN(3)*g.rand.IntN(3))
}

// unique is an amount that no other row has.
func (g *generator) unique() int64 {
	g.number++
	return 1_000_003 + 13*int64(g.number)
}

// fee is what the provider keeps: 1.5 % and 25, rounded down.
func fee(amount int64) int64 {
	if amount <= 0 {
		return 0
	}
	return amount*15/1000 + 25
}

// give hands a case on. Lines of theirs become part of the payout that is open.
func (g *generator) give(c Case) {
	if g.done {
		return
	}
	if c.Stage == "" {
		c.Stage = match.StageProvider
		for i := range c.Theirs {
			l := &c.Theirs[i]
			l.Carriers[match.CarrierPayout] = g.payout.id
			g.payout.net += l.Amount - l.Fee
			g.payout.count++
		}
		g.payout.off += off(c)
	}
	for i := range c.Ours {
		c.Ours[i].Name = g.name("ours")
	}
	for i := range c.Theirs {
		c.Theirs[i].Name = g.name("theirs")
	}
	g.done = !g.yield(c)
}

// off is by how much a payout is off because of what is wrong with a case.
func off(c Case) (off int64) {
	switch c.Code {
	case breaks.DuplicateExternal, breaks.MissingInternally, breaks.ReturnUnmatched, breaks.ChargebackUnmatched:
		for _, i := range c.Broken.Theirs {
			off -= c.Theirs[i].Amount - c.Theirs[i].Fee
		}
	case breaks.AmountOver, breaks.AmountUnder, breaks.SplitIncomplete:
		for _, i := range c.Broken.Ours {
			off += c.Ours[i].Amount
		}
		for _, i := range c.Broken.Theirs {
			off -= c.Theirs[i].Amount
		}
	case breaks.FeeVariance:
		off = c.Theirs[0].Fee - c.Ours[0].Fee
	}
	return off
}
