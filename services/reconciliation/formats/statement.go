package formats

import (
	"fmt"
	"math"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// Format is a kind of file.
type Format string

// The formats that are read.
const (
	Camt053 Format = "camt053" // ISO 20022 BankToCustomerStatement, versions 02, 03, 04 and 08
	Camt054 Format = "camt054" // ISO 20022 BankToCustomerDebitCreditNotification
	MT940   Format = "mt940"   // SWIFT customer statement
	MT942   Format = "mt942"   // SWIFT interim transaction report
	BAI2    Format = "bai2"    // BAI cash management balance reporting, version 2
	Stripe  Format = "stripe"  // itemized payout reconciliation report
	CSV     Format = "csv"     // any CSV file, by a mapping
)

// A Part is what a file says next. Exactly one of its fields is set.
type Part struct {
	// Statement begins; what follows until the next one belongs to it.
	Statement *Statement
	// Line is one movement of the statement that began last.
	Line *Line
	// Closing ends the statement that began last. Each statement has one.
	Closing *Closing
	// Proof is one control of the statement that began last, or of the file.
	Proof *Proof
}

// A Statement is what one file says of one account over a time. Provider reports have one, without balances.
type Statement struct {
	// At is the line of the file on which it begins, from 1.
	At int
	// ID is how the sender calls it: Stmt/Id, :20:, the file identification of BAI2. May be empty.
	ID string
	// Account as it is written, without spaces: an IBAN, or bank code and number. Empty where the format names none, as in
	// provider reports: then it is what the file was sent in as.
	Account string
	// Currency of the account; empty where lines may have several.
	Currency money.Currency
	// Sequence is the statement's number in the account's series, and Page the page of it; 0 where there is none.
	Sequence int64
	Page     int
	// Opening is the booked balance before the first line; nil where the format has none.
	Opening *Balance
}

// A Balance is what an account holds at the beginning or the end of a day.
type Balance struct {
	// At is the line of the file, from 1.
	At int
	// Amount is less than zero for a debit balance.
	Amount money.Amount
	// Date is the day, at midnight UTC.
	Date time.Time
}

// A Closing ends a statement.
type Closing struct {
	// Balance is the booked balance behind the last line; nil where the format has none.
	Balance *Balance
	// Last says that the statement goes on with no further page.
	Last bool
	// Lines is how many lines the statement has.
	Lines int
}

// Kind is what a line is about, in words that do not depend on the format.
type Kind string

// The kinds of lines.
const (
	KindCharge             Kind = "charge"              // the provider took money for us
	KindRefund             Kind = "refund"              // it gave money back
	KindChargeback         Kind = "chargeback"          // the customer's bank took money back
	KindChargebackReversal Kind = "chargeback_reversal" // and gave it again
	KindFee                Kind = "fee"                 // a fee by itself; less than zero when it is taken
	KindPayout             Kind = "payout"              // between provider and bank, or what undoes one
	KindReturn             Kind = "return"              // a bank gave a debit or a transfer back
	KindAdjustment         Kind = "adjustment"          // whatever else a provider corrects
	KindTransfer           Kind = "transfer"            // any other movement of a bank account
)

// A Line is one movement of money. Lines of an entry that a bank splits into transactions come to what the entry says.
type Line struct {
	// At is the line of the file on which it begins, from 1.
	At int
	// Number is its place in its statement, from 1.
	Number int
	Kind   Kind
	// Code is what the format itself calls it: the reporting category, the bank transaction code, the BAI type.
	Code string
	// Amount is what it moves before fees: more than zero to us, less than zero from us.
	Amount money.Amount
	// Fee is what was kept of it, in minor units of the same currency: Amount less Fee is what arrived. Less than zero when it
	// was given back. Bank lines have none.
	Fee int64
	// Original is what Amount was before it was converted, with the same sign. Without a currency where the file tells of none, or
	// nothing was converted.
	Original money.Amount
	// Booked is when it happened or was booked: for provider reports a time, else a day at midnight UTC.
	Booked time.Time
	// Value is the day from which it counts, at midnight UTC; for provider reports when it becomes available.
	Value time.Time
	// Pending says that it is announced and not booked: it is no part of balances.
	Pending bool
	// Reversal says that it undoes an earlier booking; its amount has the sign of what it moves.
	Reversal bool

	// What it may be found by. Empty where the file says nothing; what means "none" in a format (NONREF, NOTPROVIDED) is empty.

	// ID is the natural key that its sender gives it: a balance transaction, an account servicer reference.
	ID string
	// ProviderID is the provider's id of what happened (ch_…, re_…), ParentID that of the charge it belongs to.
	ProviderID, ParentID string
	// Key is an idempotency key or an end-to-end id: what we gave with the order to move money.
	Key string
	// Reference is the merchant's or the customer's reference: an order, an invoice, an instruction, a creditor reference.
	Reference string
	// PayoutID is the payout that it is part of, or that it is.
	PayoutID string
	// Text is what is said of it for people: remittance information, one space between words.
	Text string
	// Party and PartyAccount are whom it comes from or goes to.
	Party, PartyAccount string
}

// originally is a stated amount as a line's Original: with the sign of what the line moves, and none where nothing was converted.
func originally(stated, moved money.Amount) money.Amount {
	if stated.Currency == moved.Currency || stated.Minor == 0 || stated.Minor == math.MinInt64 || moved.Minor == 0 {
		return money.Amount{}
	}
	if stated.Minor < 0 != (moved.Minor < 0) {
		stated.Minor = -stated.Minor
	}
	return stated
}

// A Proof is a control that a file carries.
type Proof struct {
	// At is the line of the file on which the control is stated, from 1.
	At int
	// Rule is what was compared: one of the Rule constants.
	Rule Rule
	// Stated is what the file says, Computed what its lines come to; as amounts "12.50 EUR" or counts "7". They are equal where
	// the proof holds.
	Stated, Computed string
}

// Rule names what a Proof compares.
type Rule string

// The rules there are.
const (
	RuleBalance      Rule = "balance"       // opening + Σ lines = closing
	RuleContinuity   Rule = "continuity"    // a page opens with the balance that the page before closed with
	RuleNet          Rule = "net"           // gross − fee = net, for every line
	RulePayout       Rule = "payout"        // a payout is the net of its lines
	RuleEntry        Rule = "entry"         // an entry is its transactions and charges
	RuleSum          Rule = "sum"           // a total of entries, credits or debits
	RuleCount        Rule = "count"         // a number of entries, credits or debits
	RuleAccountTotal Rule = "account_total" // BAI2 49: control total and number of records
	RuleGroupTotal   Rule = "group_total"   // BAI2 98
	RuleFileTotal    Rule = "file_total"    // BAI2 99
)

// Holds says whether the lines come to what is stated.
func (p Proof) Holds() bool { return p.Stated == p.Computed }

// String is the proof for people.
func (p Proof) String() string {
	if p.Holds() {
		return fmt.Sprintf("line %d: %s holds: %s", p.At, p.Rule, p.Stated)
	}
	return fmt.Sprintf("line %d: %s: the file states %s, its lines come to %s", p.At, p.Rule, p.Stated, p.Computed)
}

// An Error says what cannot be read, and where.
type Error struct {
	// File is the name that the file was given in with.
	File string
	// Line is where it stands, from 1; 0 for the file as a whole.
	Line int
	// Field is what is wrong: ":61:", "Ntry/Amt", "16 amount", a column's heading. Empty for the line as a whole.
	Field string
	// Err says what is wrong with it.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	text := e.File
	if e.Line > 0 {
		text += fmt.Sprintf(":%d", e.Line)
	}
	if e.Field != "" {
		text += ": " + e.Field
	}
	return fmt.Sprintf("%s: %v", text, e.Err)
}

// Unwrap implements what errors.Is looks for.
func (e *Error) Unwrap() error { return e.Err }
