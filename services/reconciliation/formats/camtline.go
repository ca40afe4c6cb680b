package formats

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/tieout/tieout/pkg/money"
)

// What a line is found by.
//
// ID is AcctSvcrRef, of the transaction or else of the entry. Where an entry has several lines, each has an ID of its own: one
// that the entry or the transaction before has too is made one by the line's number: "REF/2", and "REF/fee" for charges.
// NtryRef is none: banks number the entries of each statement from 1, and Swiss ones write the creditor's account.
//
// Key is EndToEndId.
//
// Reference is the first that there is of: for money that came in, CdtrRefInf/Ref, else RfrdDocInf/Nb (what a payer was asked to
// state), InstrId; for money that went out, InstrId (what was stated to the bank), then the two others; then those of
// camtOtherRefs; then PmtInfId or MsgId of the batch. What is NOTPROVIDED or NONREF is empty.
//
// Text is Ustrd and AddtlRmtInf, with those of the references within RmtInf that are not the Reference; else AddtlTxInf; else
// AddtlNtryInf.
//
// Party is the other side: who holds another account than the statement's, where one of the two is that; else the debtor of
// what came in, and the creditor of what went out, which is the other way round for what is reversed or returned, for then
// they are the parties of what that undoes.

// camtFeeCodes are the sub-families of bank transactions that are fees: charges and commissions, taxes included or not.
var camtFeeCodes = []string{"CHRG", "COMM", "COME", "COMI", "COMT", "FEES"}

// tell hands out a line.
func (p *camt) tell(l *Line) error {
	e, s := &p.entry, &p.stmt
	s.lines++
	l.Number = s.lines
	l.Booked, l.Value = p.days()
	l.Pending, l.Reversal = e.pending(), e.reversal
	l.Amount.Currency = e.amount.Currency
	if s.Opening != nil && !l.Pending {
		fits := true
		if l.Amount.Currency != s.Opening.Amount.Currency {
			s.other = true
		} else if s.moved, fits = camtAdd(s.moved, l.Amount.Minor); !fits {
			return p.failAt(e.at, p.list+"/Ntry/Amt", money.ErrOverflow)
		}
	}
	return p.emit(Part{Line: l})
}

// txLine tells of a transaction, by one of its amounts.
func (p *camt) txLine(t *camtTx, by int, sign int64) error {
	e, s := &p.entry, &p.entry.split
	l := p.line(t, sign*t.sign*t.amounts[by])
	l.ID = cmp.Or(e.ref, t.ref)
	if s.transactions > 1 {
		s.numbered++
		switch own := t.ref != "" && t.ref != e.ref && t.ref != s.lastRef; {
		case own:
			l.ID = t.ref
		case l.ID != "":
			l.ID += "/" + strconv.Itoa(s.numbered)
		}
		s.lastRef = t.ref
	}
	return p.tell(l)
}

// feeLine tells of the charges of the entry.
func (p *camt) feeLine(charged int64) error {
	e := &p.entry
	l := &Line{At: e.at, Kind: KindFee, Code: e.code, Amount: money.Amount{Minor: charged}, Text: e.info}
	if e.ref != "" {
		l.ID = e.ref + "/fee"
	}
	return p.tell(l)
}

// oneLine tells of the entry as a whole.
func (p *camt) oneLine() error {
	e, t := &p.entry, p.gather()
	t.at = e.at
	if e.split.transactions > 1 {
		if e.batch != "" {
			t.creditorRef, t.instruction = "", e.batch
		}
		t.text = strings.Trim(e.info+" "+t.text, " ")
	}
	l := p.line(&t, e.moves())
	l.ID = cmp.Or(e.ref, t.ref)
	return p.tell(l)
}

// gather is what the transactions of the entry have in common, with the references and texts of each as its text.
func (p *camt) gather() camtTx {
	switch {
	case p.entry.split.opaque:
		return p.entry.split.gist
	case len(p.held) == 0:
		return camtTx{}
	case len(p.held) == 1:
		return p.held[0]
	}
	all := p.held[0]
	all.original = money.Amount{}
	words := func(t *camtTx) []*string {
		return []*string{&t.code, &t.ref, &t.key, &t.creditorRef, &t.instruction, &t.other, &t.debtor, &t.debtorAcct, &t.creditor, &t.creditorAcct}
	}
	var text []string
	size := 0
	for i := range p.held {
		t := &p.held[i]
		all.returned = all.returned && t.returned
		for j, word := range words(t) {
			if common := words(&all)[j]; *common != *word {
				*common = ""
			}
		}
		for j, s := range [...]string{t.key, t.instruction, t.text, t.creditorRef} {
			if s != "" && size+len(s) < camtMaxGathered && (j < 3 || !strings.Contains(t.text, s)) {
				text = append(text, s)
				size += len(s) + 1
			}
		}
	}
	all.text = strings.Join(text, " ")
	return all
}

// line is what a transaction says of a line of an amount.
func (p *camt) line(t *camtTx, minor int64) *Line {
	e := &p.entry
	l := &Line{At: t.at, Code: cmp.Or(t.code, e.code), Amount: money.Amount{Minor: minor}, Key: t.key}
	l.Original = originally(t.original, money.Amount{Currency: e.amount.Currency, Minor: minor})
	came := minor > 0 || minor == 0 && e.sign > 0
	l.Reference = cmp.Or(t.creditorRef, t.instruction, t.other, e.batch)
	if !came {
		l.Reference = cmp.Or(t.instruction, t.creditorRef, t.other, e.batch)
	}
	l.Text = cmp.Or(t.text, e.info)
	debtor := came != (e.reversal || t.returned)
	if account := p.stmt.Account; t.debtorAcct != t.creditorAcct {
		debtor = t.creditorAcct == account || debtor && t.debtorAcct != account
	}
	if debtor {
		l.Party, l.PartyAccount = t.debtor, t.debtorAcct
	} else {
		l.Party, l.PartyAccount = t.creditor, t.creditorAcct
	}
	switch _, family, _ := strings.Cut(l.Code, "/"); {
	case t.returned:
		l.Kind = KindReturn
	case slices.Contains(camtFeeCodes, family[strings.IndexByte(family, '/')+1:]):
		l.Kind = KindFee
	default:
		l.Kind = KindTransfer
	}
	return l
}
