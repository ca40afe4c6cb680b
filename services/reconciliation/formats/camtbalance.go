package formats

import (
	"fmt"
	"slices"
)

// camtMaxBalances is how many balances of a statement are held.
const camtMaxBalances = 10_000

// A camtBalance is a booked one: it opens or closes a statement.
//
// A statement over several days may have those of each day: the earliest one opens it, the latest one closes it. Of a page
// that others follow or precede, the interim balances count, which are OPBD and CLBD of the sub-type INTM, or ITBD. An ITBD
// does not say which of the two it is; of several, the first one opens and the last one closes; one by itself is the one
// that is missing otherwise. Where there is no OPBD, PRCD opens: it is the balance that the period before closed with.
//
// Balances in the currency of the account are looked at, and others only where there are none: then the proof of the
// balance says so.
type camtBalance struct {
	Balance
	kind    string // OPBD, PRCD, CLBD, ITBD
	interim bool   // of a page
	unusual bool   // of another sub-type: only where there is no other
	opens   bool
}

// balance reads a Bal. Those that are not booked are of no interest: of what is available, or expected.
func (p *camt) balance() error {
	b := camtBalance{Balance: Balance{At: p.x.line()}}
	var sign int64
	err := p.x.children(func(name []byte) (err error) {
		switch string(name) {
		case "Tp":
			err = p.balanceType(&b)
		case "Amt":
			if b.kind == "" {
				return nil
			}
			if b.Amount.Currency != "" {
				return errCamtTwice
			}
			b.Amount, err = p.amount("Amt")
		case "CdtDbtInd":
			sign, err = p.sign()
		case "Dt":
			b.Date, err = p.dateOf()
		}
		return err
	})
	if err != nil || b.kind == "" {
		return err
	}
	switch {
	case b.Amount.Currency == "":
		return p.failAt(b.At, p.list+"/Bal/Amt", errCamtMissing)
	case sign == 0:
		return p.failAt(b.At, p.list+"/Bal/CdtDbtInd", errCamtMissing)
	case b.Date.IsZero():
		return p.failAt(b.At, p.list+"/Bal/Dt", errCamtMissing)
	case len(p.stmt.balances) == camtMaxBalances:
		return p.failAt(b.At, p.list+"/Bal", fmt.Errorf("is one of more than %d", camtMaxBalances))
	}
	b.Amount.Minor *= sign
	p.stmt.balances = append(p.stmt.balances, b)
	return nil
}

// balanceType reads a Tp.
func (p *camt) balanceType(b *camtBalance) error {
	kind := func(name []byte) error {
		if string(name) != "Cd" {
			return nil
		}
		code, err := p.x.text()
		switch string(code) {
		case "OPBD", "PRCD":
			b.kind, b.opens = string(code), true
		case "CLBD", "ITBD":
			b.kind = string(code)
		}
		b.interim = b.interim || b.kind == "ITBD"
		return err
	}
	subtype := func([]byte) error {
		code, err := p.x.text()
		switch string(code) {
		case "":
		case "INTM":
			b.interim = true
		case "OIBD", "CIBD": // Finnish banks say so which of the two an ITBD is
			b.opens, b.kind = code[0] == 'O', b.kind+"/"+string(code)
		default:
			b.unusual = true
		}
		return err
	}
	return p.x.children(func(name []byte) error {
		switch string(name) {
		case "CdOrPrtry":
			return p.x.children(kind)
		case "SubTp":
			if b.kind != "" {
				return p.x.children(subtype)
			}
		}
		return nil
	})
}

// choose gives the balances that the statement opens and closes with; nil where there are none.
func (s *camtStatement) choose() (opening, closing *Balance) {
	all := s.roles(s.balances)
	currency := s.currency
	if open := s.best(all, true); currency == "" && open != nil {
		currency = open.Amount.Currency
	}
	ours := s.roles(slices.DeleteFunc(slices.Clone(s.balances), func(b camtBalance) bool { return b.Amount.Currency != currency }))
	if opening = s.best(ours, true); opening == nil {
		opening = s.best(all, true)
	}
	if closing = s.best(ours, false); closing == nil {
		closing = s.best(all, false)
	}
	return opening, closing
}

// roles tells which balances of kind ITBD open.
func (s *camtStatement) roles(balances []camtBalance) []camtBalance {
	balances = slices.Clone(balances)
	var either []int
	opening, closing := false, false
	for i, b := range balances {
		switch {
		case b.kind == "ITBD":
			either = append(either, i)
		case b.opens:
			opening = true
		default:
			closing = true
		}
	}
	switch {
	case len(either) > 1:
		balances[either[0]].opens = true
	case len(either) == 1:
		balances[either[0]].opens = closing && (s.pages.page > 1 || !opening)
	}
	return balances
}

// best is the balance among those that open, or those that close, which counts.
func (s *camtStatement) best(balances []camtBalance, opens bool) *Balance {
	interim := opens && s.pages.page > 1 || !opens && s.pages.given && !s.pages.last
	rank := func(b camtBalance) (rank int) {
		if b.unusual {
			rank += 4
		}
		if b.interim != interim {
			rank += 2
		}
		if b.kind == "PRCD" {
			rank++
		}
		return rank
	}
	var best *camtBalance
	for i := range balances {
		b := &balances[i]
		switch {
		case b.opens != opens:
		case best == nil || rank(*b) < rank(*best):
			best = b
		case rank(*b) > rank(*best):
		case opens && b.Date.Before(best.Date) || !opens && !b.Date.Before(best.Date):
			best = b
		}
	}
	if best == nil {
		return nil
	}
	chosen := best.Balance
	return &chosen
}
