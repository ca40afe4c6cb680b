package pspsim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A Discrepancy is what was made wrong with one line of a settlement. The file's own totals hold all the same: they
// are those of what it says.
type Discrepancy struct {
	Kind string `json:"kind"`
	// Line is the id of the line: the balance transaction's, or the payout's of a bank statement.
	Line string `json:"line"`
	// Source is the provider's id of what the line comes from; empty in a bank statement.
	Source    string `json:"source,omitempty"`
	Payout    string `json:"payout"`
	Reference string `json:"reference,omitempty"`
	Currency  string `json:"currency"`
	// Was is what is true, Is what the line says, of what was changed.
	Was string `json:"was,omitempty"`
	Is  string `json:"is,omitempty"`
}

// A planter makes one line wrong. It returns what stands in its place.
type planter struct {
	kind string
	bank bool // it can be planted in a bank statement, too
	make func(l line) (instead []line, was, is string)
}

// planters take turns.
var planters = []planter{
	{"missing_row", true, func(line) ([]line, string, string) { return nil, "", "" }},
	{"other_amount", true, func(l line) ([]line, string, string) {
		was := l.gross
		if l.gross += 1 + max(l.gross, -l.gross)/100; l.gross == 0 { // it was −1
			l.gross = -2
		}
		return []line{l}, decimal(was, l.currency), decimal(l.gross, l.currency)
	}},
	{"duplicated_row", true, func(l line) ([]line, string, string) { return []line{l, l}, "1", "2" }},
	{"extra_row", true, func(l line) ([]line, string, string) {
		extra := l
		extra.id, extra.source, extra.charge, extra.reference, extra.key = l.id+"x", newID("ch_"), newID("ch_"), "", ""
		return []line{l, extra}, "", extra.id
	}},
	{"shifted_date", true, func(l line) ([]line, string, string) {
		was := l.at
		l.at = l.at.AddDate(0, 0, 5)
		return []line{l}, was.Format(time.DateOnly), l.at.Format(time.DateOnly)
	}},
	{"other_fee", false, func(l line) ([]line, string, string) {
		was := l.fee
		l.fee += 7
		return []line{l}, decimal(was, l.currency), decimal(l.fee, l.currency)
	}},
	{"wrong_currency", false, func(l line) ([]line, string, string) {
		was := l.currency
		if l.currency = "EUR"; was == "EUR" {
			l.currency = "USD"
		}
		return []line{l}, was, l.currency
	}},
}

// plant makes n of the lines wrong, each in one way.
func plant(lines []line, format string, n int, seed uint64) ([]line, []Discrepancy, error) {
	planted := []Discrepancy{}
	if n > len(lines) {
		return nil, nil, invalid(codeInvalidParam, "plant", fmt.Sprintf("there are only %d lines", len(lines)))
	}
	kinds := planters
	if format != formatStripeCSV {
		kinds = slices.DeleteFunc(slices.Clone(planters), func(p planter) bool { return !p.bank })
	}
	chosen := rand.New(rand.NewPCG(seed, 0)).Perm(len(lines))[:n]
	by := map[int]planter{}
	for turn, i := range chosen {
		by[i] = kinds[turn%len(kinds)]
	}
	var made []line
	for i, l := range lines {
		p, wrong := by[i]
		if !wrong {
			made = append(made, l)
			continue
		}
		instead, was, is := p.make(l)
		made = append(made, instead...)
		planted = append(planted, Discrepancy{
			Kind: p.kind, Line: l.id, Source: l.source, Payout: l.payout, Reference: l.reference, Currency: l.currency, Was: was, Is: is,
		})
	}
	if format != formatStripeCSV {
		sortBank(made)
	}
	return made, planted, nil
}

// note is what a bank statement says about a payout.
func (l line) note() string {
	if l.disputed() {
		return "PSPSIM DISPUTE " + l.id + " " + l.charge
	}
	return "PSPSIM PAYOUT " + l.id
}
