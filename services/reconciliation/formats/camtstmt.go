package formats

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// A camtStatement is a statement on its way.
type camtStatement struct {
	Statement
	electronic, legal int64 // sequence numbers
	pages             camtPages
	made              time.Time
	currency          money.Currency // that the account is said to have
	balances          []camtBalance
	closing           *Balance
	begun             *Statement // as it was told of, with its first entry
	totals            camtTotals

	lines int
	moved int64 // what booked lines come to, in the currency of the opening balance
	other bool  // there are some in others
}

// statement reads a Stmt or Ntfctn.
func (p *camt) statement() error {
	p.stmt = camtStatement{Statement: Statement{At: p.x.line()}, pages: p.pages, made: p.made}
	if err := p.x.children(p.statementChild); err != nil {
		return err
	}
	return p.close()
}

func (p *camt) statementChild(name []byte) (err error) {
	s := &p.stmt
	switch string(name) {
	case "Ntry":
		if err := p.begin(); err != nil {
			return err
		}
		return p.readEntry()
	case "Id":
		s.ID, err = p.reference()
	case "ElctrncSeqNb":
		s.electronic, _, err = p.number("ElctrncSeqNb")
	case "LglSeqNb":
		s.legal, _, err = p.number("LglSeqNb")
	case "StmtPgntn", "NtfctnPgntn":
		err = p.pagination(&s.pages)
	case "CreDtTm":
		s.made, err = p.date("CreDtTm")
	case "Acct":
		s.Account, s.currency, err = p.account(&s.Account)
	case "Bal":
		err = p.balance()
	case "TxsSummry":
		err = p.x.children(p.totalsChild)
	}
	return err
}

// account reads an account: its IBAN or whatever else it goes by, without spaces, and its currency. Last is the one before.
func (p *camt) account(last *string) (account string, currency money.Currency, err error) {
	id := func(name []byte) (err error) {
		var text []byte
		switch string(name) {
		case "IBAN":
			text, err = p.x.text()
		case "Othr":
			err = p.x.children(func(name []byte) (err error) {
				if string(name) == "Id" {
					text, err = p.x.text()
					text = slices.Clone(text)
				}
				return err
			})
		}
		if len(text) > 0 {
			account = camtLike(last, slices.DeleteFunc(text, isXMLSpace))
		}
		return err
	}
	err = p.x.children(func(name []byte) error {
		switch string(name) {
		case "Id":
			return p.x.children(id)
		case "Ccy":
			code, err := p.x.text()
			if err != nil || len(code) == 0 {
				return err
			}
			if currency, err = p.currencyOf(code); err != nil {
				return p.fail("Ccy", err)
			}
		}
		return nil
	})
	return account, currency, err
}

// settle makes of what was said of the statement what is told of it.
func (p *camt) settle() error {
	s := &p.stmt
	if s.Account == "" {
		return p.failAt(s.At, p.list+"/Acct/Id", errCamtMissing)
	}
	s.Sequence, s.Page = cmp.Or(s.electronic, s.legal), s.pages.page
	s.Opening, s.closing = s.choose()
	s.Currency = s.currency
	for _, b := range []*Balance{s.Opening, s.closing} {
		if b != nil {
			s.Currency = cmp.Or(s.Currency, b.Amount.Currency)
		}
	}
	return nil
}

// begin tells of the statement, once.
func (p *camt) begin() error {
	s := &p.stmt
	if s.begun != nil {
		return nil
	}
	if err := p.settle(); err != nil {
		return err
	}
	told := s.Statement
	s.begun = &told
	return p.emit(Part{Statement: &told})
}

// close ends the statement.
func (p *camt) close() error {
	s := &p.stmt
	if err := p.begin(); err != nil {
		return err
	}
	begun := *s.begun
	if err := p.settle(); err != nil {
		return err
	}
	if same := s.Opening == nil && begun.Opening == nil || s.Opening != nil && begun.Opening != nil && *s.Opening == *begun.Opening; !same {
		return p.failAt(s.Opening.At, p.list+"/Bal", errors.New("is an opening balance behind the entries"))
	}
	if begun.Opening = s.Opening; s.Statement != begun {
		return p.failAt(s.At, p.list, errors.New("says behind its entries what it is of"))
	}
	if err := p.proveBalance(); err != nil {
		return err
	}
	if err := p.proveTotals(); err != nil {
		return err
	}
	return p.emit(Part{Closing: &Closing{Balance: s.closing, Last: s.pages.last || !s.pages.given, Lines: s.lines}})
}

// proveBalance compares the closing balance with what the opening one and the lines come to.
func (p *camt) proveBalance() error {
	s := &p.stmt
	if s.Opening == nil || s.closing == nil {
		return nil
	}
	computed, err := s.Opening.Amount.Add(money.Amount{Currency: s.Opening.Amount.Currency, Minor: s.moved})
	if err != nil {
		return p.failAt(s.closing.At, p.list+"/Bal", err)
	}
	text := computed.String()
	if s.other {
		text += " and entries in other currencies"
	}
	return p.emit(Part{Proof: &Proof{At: s.closing.At, Rule: RuleBalance, Stated: s.closing.Amount.String(), Computed: text}})
}
