package ledger

import (
	"fmt"

	"github.com/tieout/tieout/pkg/money"
)

// Kind is what a journal is about, as in the proto and in the database.
type Kind int16

// The kinds of journals.
const (
	KindCapture            Kind = 1
	KindRefund             Kind = 2
	KindChargeback         Kind = 3
	KindChargebackReversal Kind = 4
	KindPayout             Kind = 5
	KindFee                Kind = 6
	KindWriteOff           Kind = 7
	KindCorrection         Kind = 8
)

// Rule is what journals of a kind post: their amount to the debit of one account and to the credit of another, and
// the provider's fee, where there is one, out of what it holds.
type Rule struct {
	Kind Kind
	Name string
	// Debit and Credit are where the amount goes; empty where who makes the journal says it.
	Debit, Credit Account
	// HasFee says that the provider may keep something of it, or give a fee back.
	HasFee bool
	// OfPayment says that it is about one payment always.
	OfPayment bool
	Meaning   string
}

// Rules are the rules of all kinds. A void, and a decline, is no journal: no money moved.
func Rules() []Rule {
	return []Rule{
		{KindCapture, "capture", ProviderClearing, Revenue, true, true, "The provider took money for us. A payment has at most one."},
		{KindRefund, "refund", Refunds, ProviderClearing, true, true, "The provider gave money of a capture back, all of it or a part."},
		{KindChargeback, "chargeback", CustomerReceivable, ProviderClearing, true, true,
			"The customer's bank took money of a capture back; until it is decided, the customer owes it."},
		{KindChargebackReversal, "chargeback_reversal", ProviderClearing, CustomerReceivable, true, true,
			"A chargeback was decided for us, and the provider has the money again."},
		{KindPayout, "payout", Bank, ProviderClearing, true, false, "The provider paid out to the bank."},
		{KindFee, "fee", Fees, ProviderClearing, false, false, "The provider took a fee by itself; less than zero, it gave one back."},
		{KindWriteOff, "write_off", WriteOffs, "", false, false,
			"A balance of customer_receivable or suspense is given up; less than zero, a credit balance."},
		{KindCorrection, "correction", "", "", false, false, "Whatever puts right what an earlier journal has wrong, or explains what is in suspense."},
	}
}

// rule gives the rule of a kind.
func (k Kind) rule() Rule { return Rules()[k-1] }

// String is the kind's name.
func (k Kind) String() string { return k.rule().Name }

// Capture is the journal of money that the provider took for us, with the fee that it keeps of it. A fee of zero, as
// everywhere here, is one that is not known yet or that there is not; it may be in another currency than the amount.
// Errors: ErrNotPositive.
func Capture(amount, fee money.Amount) (Journal, error) { return KindCapture.transfer(amount, fee) }

// Refund is the journal of captured money that the provider gave back. The fee is what the provider takes for it; less
// than zero, what it gives back of the fee of the capture. Errors: ErrNotPositive, money.ErrOverflow.
func Refund(amount, fee money.Amount) (Journal, error) { return KindRefund.transfer(amount, fee) }

// Chargeback is the journal of captured money that the customer's bank took back, with the provider's fee for it.
// Errors: ErrNotPositive, money.ErrOverflow.
func Chargeback(amount, fee money.Amount) (Journal, error) {
	return KindChargeback.transfer(amount, fee)
}

// ChargebackReversal is the journal of a chargeback that was decided for us; a fee of less than zero is given back.
// Errors: ErrNotPositive, money.ErrOverflow.
func ChargebackReversal(amount, fee money.Amount) (Journal, error) {
	return KindChargebackReversal.transfer(amount, fee)
}

// Payout is the journal of money that arrived at the bank from what the provider held; what it took for that is the
// fee, which is not in the amount. Errors: ErrNotPositive, money.ErrOverflow.
func Payout(amount, fee money.Amount) (Journal, error) { return KindPayout.transfer(amount, fee) }

// Fee is the journal of a fee by itself; less than zero, it is given back. Errors: ErrZero, money.ErrOverflow.
func Fee(amount money.Amount) (Journal, error) { return KindFee.move(amount, Fees, ProviderClearing) }

// WriteOff is the journal that gives up a balance of CustomerReceivable or Suspense: more than zero a debit balance,
// less than zero a credit balance. Errors: ErrNotWrittenOff, ErrZero, money.ErrOverflow.
func WriteOff(of Account, balance money.Amount) (Journal, error) {
	if of != CustomerReceivable && of != Suspense {
		return Journal{}, fmt.Errorf("%w: %q", ErrNotWrittenOff, string(of))
	}
	return KindWriteOff.move(balance, WriteOffs, of)
}

// Correction is a journal of whatever balances. What it corrects stays as it is. Errors: ErrEmpty, ErrZero,
// ErrUnknownAccount, ErrUnbalanced, money.ErrOverflow.
func Correction(postings ...Posting) (Journal, error) { return journal(KindCorrection, postings) }

// transfer makes a journal of an amount of more than zero as the kind's rule says.
func (k Kind) transfer(amount, fee money.Amount) (Journal, error) {
	if !amount.IsPositive() {
		return Journal{}, fmt.Errorf("%w: %s of %s", ErrNotPositive, k, amount)
	}
	r := k.rule()
	lines, err := move(amount, r.Debit, r.Credit)
	if err != nil {
		return Journal{}, err
	}
	if !fee.IsZero() {
		kept, err := move(fee, Fees, ProviderClearing)
		if err != nil {
			return Journal{}, err
		}
		lines = append(lines, kept...)
	}
	return journal(k, lines)
}

// move makes a journal of one movement.
func (k Kind) move(amount money.Amount, debit, credit Account) (Journal, error) {
	lines, err := move(amount, debit, credit)
	if err != nil {
		return Journal{}, err
	}
	return journal(k, lines)
}

// move debits one account and credits another.
func move(amount money.Amount, debit, credit Account) ([]Posting, error) {
	credited, err := amount.Neg()
	if err != nil {
		return nil, err
	}
	return []Posting{{debit, amount}, {credit, credited}}, nil
}
