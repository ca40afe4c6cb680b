// Package ledger decides what payments mean in double entry. A journal is a set of postings that sums to zero in
// each of its currencies; one that does not cannot be made.
package ledger

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tieout/tieout/pkg/money"
)

// The reasons for which there is no journal.
var (
	// ErrUnbalanced means that the postings in a currency do not sum to zero.
	ErrUnbalanced = errors.New("journal does not balance")
	// ErrEmpty means that there are no postings.
	ErrEmpty = errors.New("journal has no postings")
	// ErrZero means that a posting moves nothing.
	ErrZero = errors.New("posting of zero")
	// ErrUnknownAccount means that a posting names an account that is not in the chart.
	ErrUnknownAccount = errors.New("unknown account")
	// ErrNotPositive means that an amount taken or given back is not more than zero.
	ErrNotPositive = errors.New("amount is not more than zero")
)

// Account is one of the accounts of the chart.
type Account string

// The chart of accounts.
const (
	// CustomerReceivable is what customers owe us.
	CustomerReceivable Account = "customer_receivable"
	// ProviderClearing is what the payment provider holds for us and has not paid out.
	ProviderClearing Account = "provider_clearing"
	// Revenue is what was sold.
	Revenue Account = "revenue"
	// Refunds is what was given back; it stands against revenue.
	Refunds Account = "refunds"
	// Fees is what the provider keeps.
	Fees Account = "fees"
	// Bank is what arrived at the bank.
	Bank Account = "bank"
	// Suspense is what is not explained yet.
	Suspense Account = "suspense"
)

// known tells whether the account is in the chart.
func (a Account) known() bool {
	switch a {
	case CustomerReceivable, ProviderClearing, Revenue, Refunds, Fees, Bank, Suspense:
		return true
	}
	return false
}

// Kind is what a journal is about.
type Kind int16

// The kinds of journals.
const (
	KindCapture Kind = 1
	KindRefund  Kind = 2
)

// Posting is one line of a journal. A positive amount debits the account, a negative one credits it.
type Posting struct {
	Account Account
	Amount  money.Amount
}

// Journal is a balanced set of postings. The zero Journal has none.
type Journal struct {
	kind     Kind
	postings []Posting
}

// New makes a journal. Errors: ErrEmpty, ErrZero, ErrUnknownAccount, ErrUnbalanced, and money.ErrOverflow when
// the postings in a currency do not add up within 64 bits.
func New(k Kind, postings ...Posting) (Journal, error) {
	if len(postings) == 0 {
		return Journal{}, ErrEmpty
	}
	byCurrency := map[money.Currency][]money.Amount{}
	for _, p := range postings {
		if p.Amount.IsZero() {
			return Journal{}, fmt.Errorf("%w to %s", ErrZero, p.Account)
		}
		if !p.Account.known() {
			return Journal{}, fmt.Errorf("%w %q", ErrUnknownAccount, string(p.Account))
		}
		byCurrency[p.Amount.Currency] = append(byCurrency[p.Amount.Currency], p.Amount)
	}
	for currency, amounts := range byCurrency {
		sum, err := money.Sum(currency, amounts...)
		if err != nil {
			return Journal{}, fmt.Errorf("adding up journal: %w", err)
		}
		if !sum.IsZero() {
			return Journal{}, fmt.Errorf("%w: %s over", ErrUnbalanced, sum)
		}
	}
	return Journal{kind: k, postings: slices.Clone(postings)}, nil
}

// Capture is the journal of money that the provider took for us. Errors: ErrNotPositive.
func Capture(amount money.Amount) (Journal, error) {
	return transfer(KindCapture, amount, ProviderClearing, Revenue)
}

// Refund is the journal of captured money that the provider gave back. Errors: ErrNotPositive.
func Refund(amount money.Amount) (Journal, error) {
	return transfer(KindRefund, amount, Refunds, ProviderClearing)
}

// transfer moves an amount from one account to another.
func transfer(k Kind, amount money.Amount, debit, credit Account) (Journal, error) {
	if !amount.IsPositive() {
		return Journal{}, fmt.Errorf("%w: %s", ErrNotPositive, amount)
	}
	credited, err := amount.Neg()
	if err != nil {
		return Journal{}, err
	}
	return New(k, Posting{debit, amount}, Posting{credit, credited})
}

// Kind is what the journal is about.
func (j Journal) Kind() Kind { return j.kind }

// Postings are the journal's lines, in order.
func (j Journal) Postings() []Posting { return slices.Clone(j.postings) }
