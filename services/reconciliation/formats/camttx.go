package formats

import (
	"fmt"
	"slices"

	"github.com/tieout/tieout/pkg/money"
)

// The amounts that a transaction may state.
const (
	camtAmt           = iota // Amt, since version 03
	camtTxAmt                // AmtDtls/TxAmt/Amt
	camtCounterAmt           // AmtDtls/CntrValAmt/Amt
	camtInstructedAmt        // AmtDtls/InstdAmt/Amt
	camtAmounts              // how many there are
)

// A camtTx is a TxDtls: what is held of it until it is known what its line is.
type camtTx struct {
	at       int
	sign     int64              // 1 for a credit, -1 for a debit; that of the entry where it does not say
	amounts  [camtAmounts]int64 // in the entry's currency, without sign
	stated   [camtAmounts]bool
	original money.Amount // what was instructed, or else the transaction, in another currency than the entry's
	returned bool
	code     string

	ref         string // AcctSvcrRef
	key         string // EndToEndId
	creditorRef string // a creditor's reference, else the number of the document that is paid
	document    bool   // it is the latter
	instruction string // InstrId
	other       string // the best of the other references
	rank        int    // of other, in camtOtherRefs
	text        string

	debtor, debtorAcct, creditor, creditorAcct string
}

// size is about how much memory it has, in bytes. Parties are mostly shared.
func (t *camtTx) size() int {
	return 400 + len(t.ref) + len(t.key) + len(t.creditorRef) + len(t.instruction) + len(t.other) + len(t.text)
}

// detailsChild reads a child of NtryDtls.
func (p *camt) detailsChild(name []byte) error {
	switch string(name) {
	case "Btch":
		return p.x.children(p.batchChild)
	case "TxDtls":
		return p.transaction()
	}
	return nil
}

func (p *camt) batchChild(name []byte) error {
	own := string(name) == "PmtInfId"
	if !own && string(name) != "MsgId" {
		return nil
	}
	ref, err := p.reference()
	if ref != "" && (own || p.entry.batch == "") {
		p.entry.batch = ref
	}
	return err
}

// transaction reads a TxDtls.
func (p *camt) transaction() error {
	p.tx, p.txCharges, p.text = camtTx{at: p.x.line()}, camtCharges{}, p.text[:0]
	if err := p.x.children(p.txChild); err != nil {
		return err
	}
	if p.tx.sign == 0 {
		p.tx.sign = p.entry.sign
	}
	if p.tx.instruction != "" && min(p.tx.sign, p.entry.sign) < 0 { // which goes before it as Reference
		if err := p.appendText([]byte(p.tx.creditorRef)); err != nil {
			return err
		}
	}
	p.tx.text = string(p.text)
	if err := p.entry.split.add(&p.tx, p.txCharges); err != nil {
		return p.failAt(p.tx.at, p.list+"/Ntry/NtryDtls/TxDtls", err)
	}
	return p.hold()
}

func (p *camt) txChild(name []byte) (err error) {
	t := &p.tx
	switch string(name) {
	case "Refs":
		err = p.x.children(p.refsChild)
	case "Amt":
		err = p.txAmount(camtAmt)
	case "CdtDbtInd":
		t.sign, err = p.sign()
	case "AmtDtls":
		err = p.x.children(p.amountsChild)
	case "BkTxCd":
		t.code, err = p.bankCode()
	case "Chrgs":
		err = p.readCharges(&p.txCharges)
	case "RltdPties":
		err = p.x.children(p.partiesChild)
	case "RmtInf":
		err = p.x.children(p.remittanceChild)
	case "RtrInf":
		err = p.x.children(func([]byte) error {
			t.returned = true
			return nil
		})
	case "AddtlTxInf":
		if len(p.text) == 0 {
			err = p.addText()
		}
	}
	return err
}

// txAmount reads an amount of the transaction. One in another currency than the entry's is what there was before it was converted.
func (p *camt) txAmount(which int) error {
	minor, other, err := p.amountIn("Amt", p.entry.amount.Currency)
	switch {
	case err == nil && other:
		err = p.originalAmount(which)
	case err == nil:
		p.tx.amounts[which], p.tx.stated[which] = minor, true
	}
	return err
}

// originalAmount reads what was instructed, or else what the transaction was. What cannot be read is none: nothing of the
// statement depends on it.
func (p *camt) originalAmount(which int) error {
	if which != camtInstructedAmt && (which != camtTxAmt || p.tx.original.Currency != "") {
		return nil
	}
	currency, err := money.ParseCurrency(string(p.x.attr("Ccy")))
	if err != nil {
		return nil
	}
	text, err := p.x.text()
	if err != nil {
		return err
	}
	if minor, err := camtMinor(text, currency.Exponent()); err == nil {
		p.tx.original = money.Amount{Currency: currency, Minor: minor}
	}
	return nil
}

func (p *camt) amountsChild(name []byte) error {
	which := camtInstructedAmt
	switch string(name) {
	case "InstdAmt":
	case "TxAmt":
		which = camtTxAmt
	case "CntrValAmt":
		which = camtCounterAmt
	default:
		return nil
	}
	return p.x.children(func(name []byte) error {
		if string(name) != "Amt" {
			return nil
		}
		return p.txAmount(which)
	})
}

// camtOtherRefs are the references that count where there is no better one, the best first.
var camtOtherRefs = []string{"AcctOwnrTxId", "MndtId", "TxId", "UETR", "PmtInfId", "ClrSysRef", "ChqNb", "MsgId"}

// refsChild reads a child of Refs.
func (p *camt) refsChild(name []byte) (err error) {
	t := &p.tx
	switch string(name) {
	case "AcctSvcrRef":
		t.ref, err = p.reference()
	case "EndToEndId":
		t.key, err = p.reference()
	case "InstrId":
		t.instruction, err = p.reference()
	default:
		rank := slices.Index(camtOtherRefs, string(name))
		if rank < 0 || t.other != "" && t.rank < rank {
			return nil
		}
		ref, err := p.reference()
		if ref != "" {
			t.other, t.rank = ref, rank
		}
		return err
	}
	return err
}

// partiesChild reads a child of RltdPties. Where the debtor or creditor has no name, the ultimate one may.
func (p *camt) partiesChild(name []byte) (err error) {
	t := &p.tx
	switch string(name) {
	case "Dbtr":
		err = p.party(&t.debtor, &p.debtor)
	case "DbtrAcct":
		t.debtorAcct, _, err = p.account(&p.debtorAcct)
	case "Cdtr":
		err = p.party(&t.creditor, &p.creditor)
	case "CdtrAcct":
		t.creditorAcct, _, err = p.account(&p.creditorAcct)
	case "UltmtDbtr":
		if t.debtor == "" {
			err = p.party(&t.debtor, &p.debtor)
		}
	case "UltmtCdtr":
		if t.creditor == "" {
			err = p.party(&t.creditor, &p.creditor)
		}
	}
	return err
}

// party reads the name of a party, which since version 08 is one level deeper.
func (p *camt) party(into, last *string) error {
	return p.x.children(func(name []byte) error {
		switch string(name) {
		case "Nm":
			text, err := p.words()
			*into = camtLike(last, text)
			return err
		case "Pty", "Agt", "FinInstnId":
			return p.party(into, last)
		}
		return nil
	})
}

// remittanceChild reads a child of RmtInf.
func (p *camt) remittanceChild(name []byte) error {
	switch string(name) {
	case "Ustrd":
		return p.addText()
	case "Strd":
		return p.x.children(p.structuredChild)
	}
	return nil
}

func (p *camt) structuredChild(name []byte) error {
	child := ""
	switch string(name) {
	case "AddtlRmtInf":
		return p.addText()
	case "CdtrRefInf":
		child = "Ref"
	case "RfrdDocInf":
		child = "Nb"
	default:
		return nil
	}
	return p.x.children(func(name []byte) error {
		if string(name) != child {
			return nil
		}
		ref, err := p.reference()
		if err != nil || ref == "" {
			return err
		}
		t, document := &p.tx, child == "Nb"
		switch {
		case t.creditorRef == "":
			t.creditorRef, t.document = ref, document
		case t.document && !document: // what was found before goes where the rest is
			ref, t.creditorRef, t.document = t.creditorRef, ref, false
			fallthrough
		default:
			return p.appendText([]byte(ref))
		}
		return nil
	})
}

// addText reads a text, and adds it to the transaction's.
func (p *camt) addText() error {
	text, err := p.words()
	if err != nil {
		return err
	}
	return p.appendText(text)
}

func (p *camt) appendText(text []byte) error {
	if len(p.text) > 0 && len(text) > 0 {
		p.text = append(p.text, ' ')
	}
	if p.text = append(p.text, text...); len(p.text) > xmlMaxText {
		return fmt.Errorf("comes to a text of more than %d bytes", xmlMaxText)
	}
	return nil
}
