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
	// ErrNotPositive means that an amount that goes one way only is not more than zero.
	ErrNotPositive = errors.New("amount is not more than zero")
	// ErrNotWrittenOff means that the account is not one whose balance can be given up.
	ErrNotWrittenOff = errors.New("account cannot be written off")
)

// Account is one of the accounts of the chart.
type Account string

// The chart of accounts.
const (
	CustomerReceivable Account = "customer_receivable"
	ProviderClearing   Account = "provider_clearing"
	Revenue            Account = "revenue"
	Refunds            Account = "refunds"
	Fees               Account = "fees"
	Bank               Account = "bank"
	Suspense           Account = "suspense"
	WriteOffs          Account = "write_offs"
)

// ChartLine is an account and what its balance is.
type ChartLine struct {
	Account Account
	Meaning string
}

// Chart is the chart of accounts, in the order in which balances are shown.
func Chart() []ChartLine {
	return []ChartLine{
		{Bank, "What arrived at the bank."},
		{ProviderClearing, "What the payment provider holds for us and has not paid out."},
		{CustomerReceivable, "What customers owe us: what they took back by a chargeback."},
		{Revenue, "What was sold; a credit."},
		{Refunds, "What was given back; it stands against revenue."},
		{Fees, "What the provider keeps."},
		{WriteOffs, "What was given up: debts that nobody pays, and differences that nobody explains."},
		{Suspense, "What is not explained yet."},
	}
}

// known tells whether the account is in the chart.
func (a Account) known() bool {
	return slices.ContainsFunc(Chart(), func(l ChartLine) bool { return l.Account == a })
}

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

// Kind is what the journal is about.
func (j Journal) Kind() Kind { return j.kind }

// Postings are the journal's lines, in order.
func (j Journal) Postings() []Posting { return slices.Clone(j.postings) }

// journal makes a journal of postings that balance. Errors: ErrEmpty, ErrZero, ErrUnknownAccount, ErrUnbalanced, and
// money.ErrOverflow when the postings in a currency do not add up within 64 bits.
func journal(k Kind, postings []Posting) (Journal, error) {
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
