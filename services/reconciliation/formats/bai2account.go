package formats

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// What a 03 states that is held to its lines, as places in bai2Account.stated.
const (
	bai2Opening = iota
	bai2Closing
	bai2Credits
	bai2Debits
	bai2Statements
)

// bai2Types are the type codes that it is stated under. All others are amounts that count in the control total alone.
var bai2Types = map[string]int{"010": bai2Opening, "015": bai2Closing, "100": bai2Credits, "400": bai2Debits}

// A bai2Stated is an amount with how many items it is of.
type bai2Stated struct {
	given, counted bool
	amount         int64
	items          int64
}

// A bai2Account is what a 03 says, and what its lines come to.
type bai2Account struct {
	bai2Level
	at       int
	currency money.Currency
	stated   [bai2Statements]bai2Stated
	lines    int
	// credits and debits are the lines' sums and how many they are; debits are more than zero.
	credits, debits bai2Stated
}

// beginAccount reads a 03: account, currency, and any number of type, amount, item count, funds.
func (b *bai2Reader) beginAccount() error {
	r := &b.record
	b.account = bai2Account{bai2Level: bai2Level{before: r.before}, at: r.at}
	a := &b.account
	number := bytes.ReplaceAll(r.field(0), []byte(" "), nil)
	if len(number) == 0 {
		return b.fault("account", errEmpty)
	}
	var err error
	if a.currency, err = b.currency(r.field(1), b.group.currency); err != nil {
		return err
	}
	for i := 2; i < len(r.ends); {
		extra, err := b.state(i)
		if err != nil {
			return err
		}
		i += 4 + extra
	}
	s := &Statement{At: r.at, ID: b.id, Account: bai2Text(number), Currency: a.currency, Opening: b.balance(bai2Opening)}
	return b.out(Part{Statement: s})
}

// state reads a type of a 03, and tells how many fields its funds have.
func (b *bai2Reader) state(i int) (extra int, err error) {
	r := &b.record
	code, amount, items := r.field(i), r.field(i+1), r.field(i+2)
	if extra, _, err = r.checkFunds(i + 3); err != nil {
		return 0, b.fault("funds", err)
	}
	if len(code) == 0 {
		if len(amount) > 0 || len(items) > 0 || len(r.field(i+3)) > 0 {
			return 0, b.fault("type", errEmpty)
		}
		return extra, nil
	}
	if _, err := parseBAI2Type(code); err != nil {
		return 0, b.fault("type", err)
	}
	stated := bai2Stated{given: len(amount) > 0, counted: len(items) > 0}
	if stated.given {
		if stated.amount, err = parseBAI2Number(amount); err != nil {
			return 0, b.fault("amount of type "+string(code), err)
		}
		if err := b.add(&b.account.sum, stated.amount, "amount"); err != nil {
			return 0, err
		}
	}
	if stated.counted {
		if stated.items, err = parseBAI2Number(items); err != nil {
			return 0, b.fault("item count of type "+string(code), err)
		}
	}
	if place, held := bai2Types[string(code)]; held {
		if b.account.stated[place] != (bai2Stated{}) {
			return 0, b.fault("type", fmt.Errorf("%s is there twice", code))
		}
		b.account.stated[place] = stated
	}
	return extra, nil
}

// balance is a balance that the 03 states, or nil.
func (b *bai2Reader) balance(place int) *Balance {
	stated := b.account.stated[place]
	if !stated.given {
		return nil
	}
	return &Balance{At: b.account.at, Amount: b.amount(stated.amount), Date: b.group.day}
}

// amount is an amount in the currency of the account.
func (b *bai2Reader) amount(minor int64) money.Amount {
	return money.Amount{Currency: b.account.currency, Minor: minor}
}

// transaction reads a 16: type, amount, funds, the bank's reference, the customer's reference, text.
func (b *bai2Reader) transaction() error {
	r := &b.record
	code, err := parseBAI2Type(r.field(0))
	if err != nil {
		return b.fault("type", err)
	}
	extra, value, err := r.checkFunds(2)
	if err != nil {
		return b.fault("funds", err)
	}
	credit, debit := code > 100 && code < 400 || code >= 920 && code < 960, code > 400 && code < 700 || code >= 960
	if code == bai2Message {
		return b.message()
	}
	if !credit && !debit {
		return b.fault("type", fmt.Errorf("%03d is neither a credit nor a debit", code))
	}
	if b.group.status != "1" {
		return b.fault("type", fmt.Errorf("its group has status %s: it is no update, and cannot be counted", b.group.status))
	}
	minor, err := parseBAI2Number(r.field(1))
	if err == nil && r.field(1)[0] == '-' {
		err = errors.New("has a sign, but its type says which way it goes")
	}
	if err != nil {
		return b.fault("amount", err)
	}
	side := &b.account.credits
	if debit {
		side = &b.account.debits
	}
	if err := cmp.Or(b.add(&b.account.sum, minor, "amount"), b.add(&side.amount, minor, "amount")); err != nil {
		return err
	}
	side.items++
	b.account.lines++
	return b.out(Part{Line: b.toLine(code, minor, debit, value, 3+extra)})
}

// toLine makes a line of a transaction whose references begin with a field.
func (b *bai2Reader) toLine(code int, minor int64, debit bool, value time.Time, references int) *Line {
	r := &b.record
	if debit {
		minor = -minor
	}
	if value.IsZero() {
		value = b.group.day
	}
	meaning, known := bai2Meanings[code]
	if !known {
		meaning.kind = KindTransfer
	}
	return &Line{
		At: r.at, Number: b.account.lines, Kind: meaning.kind, Code: string(r.field(0)), Amount: b.amount(minor),
		Booked: b.group.day, Value: value, Pending: b.group.interim, Reversal: meaning.reversal,
		ID: bai2Reference(r.field(references)), Reference: bai2Reference(r.field(references + 1)), Text: bai2Text(r.text),
	}
}

// bai2Message is the type of transactions that tell something and move nothing.
const bai2Message = 890

// message reads a transaction that moves nothing: it is no line.
func (b *bai2Reader) message() error {
	if field := b.record.field(1); len(field) > 0 {
		if minor, err := parseBAI2Number(field); err != nil || minor != 0 {
			return b.fault("amount", fmt.Errorf("%.40q of type 890, which moves no money", field))
		}
	}
	return nil
}

// bai2Meanings are the types that are more than a KindTransfer.
var bai2Meanings = map[int]struct {
	kind     Kind
	reversal bool
}{
	252: {kind: KindTransfer, reversal: true}, // debit reversal
	255: {kind: KindReturn},                   // check posted and returned
	257: {kind: KindReturn},                   // ACH return item
	258: {kind: KindTransfer, reversal: true}, // ACH reversal credit
	266: {kind: KindReturn},                   // return item
	395: {kind: KindTransfer, reversal: true}, // check reversal
	398: {kind: KindFee},                      // fee refund
	423: {kind: KindReturn},                   // EDI return item
	552: {kind: KindTransfer, reversal: true}, // credit reversal
	555: {kind: KindReturn},                   // deposited item returned
	557: {kind: KindReturn},                   // ACH return item
	558: {kind: KindTransfer, reversal: true}, // ACH reversal debit
	564: {kind: KindFee},                      // overdraft fee
	566: {kind: KindReturn},                   // return item
	567: {kind: KindFee},                      // return item fee
	661: {kind: KindFee},                      // account analysis fee
	694: {kind: KindTransfer, reversal: true}, // deposit reversal
	698: {kind: KindFee},                      // miscellaneous fees
}

// bai2Reference is a reference; nothing but zeros is none.
func bai2Reference(field []byte) string {
	if len(bytes.Trim(field, "0")) == 0 {
		return ""
	}
	return bai2Text(field)
}

// endAccount reads a 49: the sum of amounts, the number of records.
func (b *bai2Reader) endAccount() error {
	a := &b.account
	if err := b.proveStated(); err != nil {
		return err
	}
	total, err := parseBAI2Number(b.record.field(0))
	if err != nil {
		return b.fault("control total", err)
	}
	proof := &Proof{At: b.record.at, Rule: RuleAccountTotal, Stated: b.amount(total).String(), Computed: b.amount(a.sum).String()}
	if err := b.out(Part{Proof: proof}); err != nil {
		return err
	}
	if err := b.prove(RuleAccountTotal, "number of records", " records", int64(b.records-a.before), 1); err != nil {
		return err
	}
	b.group.parts++
	if err := b.add(&b.group.sum, a.sum, "control total"); err != nil {
		return err
	}
	return b.out(Part{Closing: &Closing{Balance: b.balance(bai2Closing), Last: true, Lines: a.lines}})
}

// proveStated holds what the 03 states to the lines.
func (b *bai2Reader) proveStated() error {
	a := &b.account
	var proofs []Proof
	opening, closing := a.stated[bai2Opening], a.stated[bai2Closing]
	if opening.given && closing.given && !b.group.interim {
		moved := b.amount(a.credits.amount - a.debits.amount)
		comes, err := b.amount(opening.amount).Add(moved)
		if err != nil {
			return b.fault("control total", err)
		}
		proofs = append(proofs, Proof{Rule: RuleBalance, Stated: b.amount(closing.amount).String(), Computed: comes.String()})
	}
	for _, side := range []struct {
		stated, lines bai2Stated
		unit          string
	}{{a.stated[bai2Credits], a.credits, " credits"}, {a.stated[bai2Debits], a.debits, " debits"}} {
		stated, lines := side.stated, side.lines
		if stated.given {
			proofs = append(proofs, Proof{Rule: RuleSum, Stated: b.amount(stated.amount).String(), Computed: b.amount(lines.amount).String()})
		}
		if stated.counted {
			proofs = append(proofs, Proof{Rule: RuleCount, Stated: fmt.Sprint(stated.items, side.unit), Computed: fmt.Sprint(lines.items, side.unit)})
		}
	}
	for _, proof := range proofs {
		proof.At = a.at
		if err := b.out(Part{Proof: &proof}); err != nil {
			return err
		}
	}
	return nil
}
