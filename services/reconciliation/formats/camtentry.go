package formats

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// A camtEntry is an Ntry on its way.
type camtEntry struct {
	at       int
	amount   money.Amount // without sign
	sign     int64        // 1 for a credit, -1 for a debit, 0 while it is not known
	status   string       // BOOK, PDNG, INFO, FUTR
	reversal bool
	booked   time.Time
	value    time.Time
	ref      string // AcctSvcrRef
	code     string
	info     string // AddtlNtryInf
	batch    string // how the batch was called that was ordered
	charges  camtCharges

	split camtSplit
}

// moves is the entry's amount with its sign, in minor units.
func (e *camtEntry) moves() int64 { return e.sign * e.amount.Minor }

// pending says that the entry is no part of balances.
func (e *camtEntry) pending() bool { return e.status != "BOOK" }

// readEntry reads an Ntry, and tells of its lines.
func (p *camt) readEntry() error {
	p.entry = camtEntry{at: p.x.line()}
	clear(p.held)
	p.held = p.held[:0]
	if err := p.x.children(p.entryChild); err != nil {
		return err
	}
	if err := p.checkEntry(); err != nil {
		return err
	}
	e := &p.entry
	if err := p.stmt.totals.count(e.amount.Currency, e.moves(), e.sign, e.pending()); err != nil {
		return p.failAt(e.at, p.list+"/Ntry/Amt", err)
	}
	return p.finish()
}

func (p *camt) entryChild(name []byte) (err error) {
	e := &p.entry
	switch string(name) {
	case "NtryDtls":
		if err := p.checkEntry(); err != nil { // transactions are read by what stands before them
			return err
		}
		return p.x.children(p.detailsChild)
	case "AddtlNtryInf":
		text, err := p.words()
		e.info = string(text)
		return err
	case "Amt":
		if e.amount.Currency != "" {
			return errCamtTwice
		}
		e.amount, err = p.amount("Amt")
	case "CdtDbtInd":
		if e.sign != 0 {
			return errCamtTwice
		}
		e.sign, err = p.sign()
	case "RvslInd":
		e.reversal, _, err = p.indicator("RvslInd")
	case "Sts":
		if e.status != "" {
			return errCamtTwice
		}
		e.status, err = p.status()
	case "BookgDt":
		e.booked, err = p.dateOf()
	case "ValDt":
		e.value, err = p.dateOf()
	case "AcctSvcrRef":
		e.ref, err = p.reference()
	case "BkTxCd":
		e.code, err = p.bankCode()
	case "Chrgs":
		err = p.readCharges(&e.charges)
	default:
		return nil
	}
	if err == nil && e.split.streams {
		err = errors.New("stands behind the transactions")
	}
	return err
}

// checkEntry refuses an entry that does not say what it is.
func (p *camt) checkEntry() error {
	e, field := &p.entry, ""
	switch {
	case e.amount.Currency == "":
		field = "Amt"
	case e.sign == 0:
		field = "CdtDbtInd"
	case e.status == "":
		field = "Sts"
	case e.booked.IsZero() && e.value.IsZero() && p.stmt.made.IsZero():
		field = "BookgDt"
	default:
		return nil
	}
	return p.failAt(e.at, p.list+"/Ntry/"+field, errCamtMissing)
}

// days are those of booking and of value. Where one is not stated it is the other one, and where neither is, the day of the
// statement that has the entry already.
func (p *camt) days() (booked, value time.Time) {
	e := &p.entry
	booked = cmp.Or(e.booked, e.value, p.stmt.made)
	return booked, cmp.Or(e.value, booked)
}

// status reads a Sts, which is a code by itself or, since version 08, has one in it.
func (p *camt) status() (status string, err error) {
	set := func(field string, code []byte) error {
		if len(code) == 0 {
			return nil
		}
		i := slices.Index(camtStatuses, string(code))
		if i < 0 {
			return p.fail(field, fmt.Errorf("is %.40q, and none of %v", code, camtStatuses))
		}
		status = camtStatuses[i]
		return nil
	}
	inside := false
	code, err := p.x.textOr(func(name []byte) error {
		if inside = true; string(name) != "Cd" {
			return errors.New("is not of ISO 20022: it does not tell whether the entry is booked")
		}
		code, err := p.x.text()
		if err != nil {
			return err
		}
		return set("Cd", code)
	})
	if err == nil && !inside {
		err = set("Sts", code)
	}
	return status, err
}

// camtStatuses are those of entries. Only what is booked is part of balances: what is pending or of the future is not yet,
// and what is for information is never, or elsewhere.
var camtStatuses = []string{"BOOK", "PDNG", "INFO", "FUTR"}

// bankCode reads a BkTxCd: "PMNT/RCDT/ESCT", or the bank's own code where there is none of ISO 20022.
func (p *camt) bankCode() (string, error) {
	var code [64]byte
	domain, own := code[:0:48], code[48:48]
	add := func(text []byte, err error) error {
		if len(domain) > 0 && len(text) > 0 {
			domain = append(domain, '/')
		}
		domain = append(domain, text...)
		return err
	}
	family := func(name []byte) error {
		if string(name) == "Cd" || string(name) == "SubFmlyCd" {
			return add(p.x.text())
		}
		return nil
	}
	err := p.x.children(func(name []byte) error {
		switch string(name) {
		case "Domn":
			return p.x.children(func(name []byte) error {
				switch string(name) {
				case "Cd":
					return add(p.x.text())
				case "Fmly":
					return p.x.children(family)
				}
				return nil
			})
		case "Prtry":
			return p.x.children(func(name []byte) error {
				if string(name) != "Cd" {
					return nil
				}
				text, err := p.words()
				own = append(own, text...)
				return err
			})
		}
		return nil
	})
	if len(domain) == 0 {
		domain = own
	}
	return camtLike(&p.code, domain), err
}
