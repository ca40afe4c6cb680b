package formats

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/tieout/tieout/pkg/money"
)

var (
	errMTMissing    = errors.New("is missing")
	errMTStray      = errors.New("belongs to no statement")
	errMTNoCurrency = errors.New("names no currency, and nothing else says which one it is")
)

// mtStatement is the statement that is being read.
type mtStatement struct {
	begun    bool // and given
	currency money.Currency
	opening  *Balance // nil in an interim report
	closing  *Balance // nil until it closes
	last     bool     // it closes with :62F:
	lines    int
	booked   money.Amount // Σ of the lines that count
	debits   mtTotal
	credits  mtTotal
	stated   []mtStated
	entry    mtEntry // the last line, which a :86: may follow
	info     []byte  // its :86:
}

// mtAccount is whose statements continue each other.
type mtAccount struct {
	account  string
	currency money.Currency
}

// mtClosed is how the last statement of an account closed.
type mtClosed struct {
	sequence int64
	page     int
	last     bool
	amount   money.Amount
}

// mtAccounts bounds of how many accounts of one file is known how they closed.
const mtAccounts = 1 << 10

// open takes the opening balance; one behind a closing balance opens the next statement of the same message.
func (r *mtReader) open(tag mtTag) error {
	if r.state.begun {
		if err := r.endStatement(); err != nil {
			return err
		}
		r.head.at = r.at
	}
	r.head.at = cmp.Or(r.head.at, r.at)
	balance, err := r.balance("")
	if err != nil {
		return r.wrong(r.at, tag, err)
	}
	r.state.opening = &balance
	if err := r.beginStatement(tag); err != nil {
		return err
	}
	before, known := r.closed[mtAccount{r.head.account, r.state.currency}]
	if !known || !r.continues(before, tag) {
		return nil
	}
	return r.prove(r.at, RuleContinuity, balance.Amount.String(), before.amount.String())
}

// continues says that a statement certainly goes on where the one before closed: it is the next page of the same number,
// or the next number. Anything else may be a gap, which one file alone cannot tell.
func (r *mtReader) continues(before mtClosed, opening mtTag) bool {
	if !before.last {
		return opening == mt60M && r.head.sequence == before.sequence && (r.head.page == before.page || r.head.page == before.page+1)
	}
	return before.sequence > 0 && r.head.sequence == before.sequence+1 && r.head.page <= 1
}

// beginStatement gives the statement once something follows its head: its opening balance, or any field of an interim
// report.
func (r *mtReader) beginStatement(tag mtTag) error {
	s := &r.state
	switch {
	case s.begun:
		return nil
	case r.head.at == 0:
		return r.wrong(r.at, tag, errMTStray)
	case r.head.account == "":
		return r.wrong(r.at, mt25, errMTMissing)
	case s.opening != nil:
		s.currency = s.opening.Amount.Currency
	case r.head.currency == "" && r.options.Format != MT942:
		return r.wrong(r.at, mt60F, errMTMissing)
	default:
		s.currency = cmp.Or(r.head.currency, r.options.Currency)
	}
	if s.currency == "" {
		return r.wrong(r.at, mt34F, errMTNoCurrency)
	}
	zero := money.Amount{Currency: s.currency}
	s.booked, s.debits.sum, s.credits.sum = zero, zero, zero
	s.begun, r.found = true, true
	return r.emit(Part{Statement: &Statement{
		At: r.head.at, ID: r.head.id, Account: r.head.account, Currency: s.currency,
		Sequence: r.head.sequence, Page: r.head.page, Opening: s.opening,
	}})
}

// takeLine takes a :61:.
func (r *mtReader) takeLine() error {
	if err := r.beginStatement(mt61); err != nil {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	s := &r.state
	if s.closing != nil {
		return r.wrong(r.at, mt61, errors.New("stands behind the closing balance"))
	}
	entry, err := mtLine(mtDecode(r.text), s.currency)
	if err == nil {
		err = s.count(&entry)
	}
	if err != nil {
		return r.wrong(r.at, mt61, err)
	}
	entry.line.At, entry.line.Number = r.at, s.lines
	s.entry, s.info = entry, s.info[:0]
	return nil
}

// count adds a line to what the statement comes to. Lines of interim reports are pending.
func (s *mtStatement) count(entry *mtEntry) (err error) {
	line := entry.line
	line.Pending = line.Pending || s.opening == nil
	s.lines++
	if !line.Pending {
		if s.booked, err = s.booked.Add(line.Amount); err != nil {
			return err
		}
	}
	if entry.debit {
		s.debits.count++
		s.debits.sum, err = s.debits.sum.Sub(line.Amount)
		return err
	}
	s.credits.count++
	s.credits.sum, err = s.credits.sum.Add(line.Amount)
	return err
}

// takeText takes a :86:. A line may have several.
func (r *mtReader) takeText() error {
	s := &r.state
	if s.entry.line == nil {
		if r.head.at == 0 {
			return r.wrong(r.at, mt86, errMTStray)
		}
		return r.takeSums()
	}
	if len(s.info) > 0 {
		s.info = append(s.info, '\n')
	}
	if s.info = append(s.info, r.text...); len(s.info) > mtLimit {
		return r.wrong(r.at, mt86, fmt.Errorf("is longer than %d bytes together with those before", mtLimit))
	}
	return nil
}

// flush gives the last line, for nothing that belongs to it can follow.
func (r *mtReader) flush() error {
	entry := r.state.entry
	if entry.line == nil {
		return nil
	}
	r.state.entry = mtEntry{}
	r.describe(entry)
	return r.emit(Part{Line: entry.line})
}

// close takes the closing balance.
func (r *mtReader) close(tag mtTag) error {
	s := &r.state
	switch {
	case r.head.at == 0:
		return r.wrong(r.at, tag, errMTStray)
	case s.opening == nil:
		return r.wrong(r.at, mt60F, errMTMissing)
	}
	if err := r.flush(); err != nil {
		return err
	}
	if s.closing != nil {
		return r.wrong(r.at, tag, errors.New("the statement has a closing balance already"))
	}
	balance, err := r.balance(s.currency)
	if err != nil {
		return r.wrong(r.at, tag, err)
	}
	computed, err := s.opening.Amount.Add(s.booked)
	if err != nil {
		return r.wrong(r.at, tag, err)
	}
	s.closing, s.last = &balance, tag == mt62F
	return r.prove(r.at, RuleBalance, balance.Amount.String(), computed.String())
}

// balance reads "C100318EUR380115,12" of the field. Some banks leave the currency out where the opening balance named it.
func (r *mtReader) balance(known money.Currency) (Balance, error) {
	text := strings.TrimRight(string(r.firstLine()), " ")
	if len(text) < 7 || text[0] != 'C' && text[0] != 'D' {
		return Balance{}, fmt.Errorf("%.40q does not begin with C or D and a date", text)
	}
	date, err := mtDate(text[1:])
	if err != nil {
		return Balance{}, err
	}
	currency, rest := cmp.Or(known, r.options.Currency), text[7:]
	if len(rest) >= 3 && mtCapital(rest[0]) {
		if currency, err = money.ParsePastCurrency(rest[:3]); err != nil {
			return Balance{}, err
		}
		rest = rest[3:]
	}
	switch {
	case currency == "":
		return Balance{}, errMTNoCurrency
	case known != "" && currency != known:
		return Balance{}, fmt.Errorf("is in %s, and the statement in %s", currency, known)
	}
	amount, err := mtAmount(rest, currency)
	if err != nil {
		return Balance{}, err
	}
	if text[0] == 'D' {
		amount.Minor = -amount.Minor
	}
	return Balance{At: r.at, Amount: amount, Date: date}, nil
}

// endStatement gives what is left of the statement: its last line, the controls that count its lines, and its end.
func (r *mtReader) endStatement() error {
	if !r.state.begun && r.head.at == 0 {
		return nil
	}
	if err := r.beginStatement(mt20); err != nil {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	s := &r.state
	if s.opening != nil && s.closing == nil {
		return r.wrong(s.opening.At, mt62F, fmt.Errorf("%w: the statement that this balance opens was cut off", errMTMissing))
	}
	for _, stated := range s.stated {
		if err := r.proveTotal(stated); err != nil {
			return err
		}
	}
	closing := &Closing{Balance: s.closing, Last: s.last || s.opening == nil, Lines: s.lines}
	if s.closing != nil {
		account := mtAccount{r.head.account, s.currency}
		if _, known := r.closed[account]; known || len(r.closed) < mtAccounts {
			r.closed[account] = mtClosed{sequence: r.head.sequence, page: r.head.page, last: s.last, amount: s.closing.Amount}
		}
	}
	r.state = mtStatement{info: s.info, stated: s.stated[:0]}
	return r.emit(Part{Closing: closing})
}
