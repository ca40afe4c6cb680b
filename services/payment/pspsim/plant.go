package pspsim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A Discrepancy is what was made wrong with one line of a settlement. The file's own totals hold all the same: they
// are those of what it says.
type Discrepancy struct {
	Kind string `json:"kind"`
	// Line is the id of the line: the balance transaction's, or the payout's of a bank statement.
	Line string `json:"line"`
	// Category is the line's reporting category; in a bank statement "payout", "dispute" or "dispute_reversal".
	Category string `json:"category"`
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
		if l.isPayout() {
			extra.id = strings.TrimSuffix(l.id, strings.ToLower(l.currency)) + "xtr"
			extra.payout = extra.id
		}
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
	{"split_row", false, func(l line) ([]line, string, string) {
		first, second := l, l
		first.gross, first.fee = l.gross/2, l.fee
		second.id, second.gross, second.fee = l.id+"s", l.gross-l.gross/2-1, 0
		return []line{first, second}, decimal(l.gross, l.currency), decimal(l.gross-1, l.currency)
	}},
	{"wrong_currency", false, func(l line) ([]line, string, string) {
		was := l.currency
		if l.currency = "EUR"; was == "EUR" {
			l.currency = "USD"
		}
		return []line{l}, was, l.currency
	}},
}

// otherRate is planted in lines that were converted, and in no others: it became something else than the rate makes of it.
var otherRate = planter{"other_rate", false, func(l line) ([]line, string, string) {
	was, more := l.gross, 2+max(l.gross, -l.gross)/50
	if l.gross += more; was < 0 {
		l.gross = was - more
	}
	return []line{l}, decimal(was, l.currency), decimal(l.gross, l.currency)
}}

// isPayout says whether the line is an entry of a bank statement.
func (l line) isPayout() bool { return l.id == l.payout }

// declinedRow is planted only where something was declined: it stands in the report as if money was taken.
const declinedRow = "declined_row"

// kindsOf are the planters of a settlement, which take turns.
func kindsOf(format string, declined []line) []planter {
	if format != formatStripeCSV {
		return slices.DeleteFunc(slices.Clone(planters), func(p planter) bool { return !p.bank })
	}
	if len(declined) == 0 {
		return planters
	}
	next := 0
	return append(slices.Clone(planters), planter{declinedRow, false, func(l line) ([]line, string, string) {
		taken := declined[next%len(declined)]
		next++
		taken.payout, taken.paid, taken.at = payoutID(l.at, taken.currency), l.paid, l.at
		return []line{l, taken}, "", taken.id
	}})
}

// plant makes n of the lines wrong, each in one way.
func (s settling) plant(lines []line) ([]line, []Discrepancy, error) {
	planted := []Discrepancy{}
	if s.n > len(lines) {
		return nil, nil, invalid(codeInvalidParam, "plant", fmt.Sprintf("there are only %d lines", len(lines)))
	}
	kinds := kindsOf(s.format, declinedLines(s.history))
	chosen := rand.New(rand.NewPCG(s.seed, 0)).Perm(len(lines))[:s.n]
	by := map[int]planter{}
	turn := 0
	for _, i := range chosen {
		if lines[i].original.Currency != "" {
			by[i] = otherRate
			continue
		}
		by[i] = kinds[turn%len(kinds)]
		turn++
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
		about := l
		if p.kind == declinedRow {
			about = instead[1]
		}
		planted = append(planted, Discrepancy{
			Kind: p.kind, Line: about.id, Category: about.category, Source: about.source, Payout: about.payout, Reference: about.reference,
			Currency: about.currency, Was: was, Is: is,
		})
	}
	if s.format != formatStripeCSV {
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
