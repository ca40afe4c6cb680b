package ledger_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/payment/ledger"
)

func amount(c money.Currency, minor int64) money.Amount {
	return money.Amount{Currency: c, Minor: minor}
}

func post(a ledger.Account, c money.Currency, minor int64) ledger.Posting {
	return ledger.Posting{Account: a, Amount: amount(c, minor)}
}

func TestKinds_DebitAndCreditTheAccountsOfTheirRules(t *testing.T) {
	t.Parallel()
	gbp := func(minor int64) money.Amount { return amount("GBP", minor) }
	none := money.Amount{}
	made := func(j ledger.Journal, err error) func(*testing.T) ledger.Journal {
		return func(t *testing.T) ledger.Journal {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return j
		}
	}
	tests := map[string]struct {
		make func(*testing.T) ledger.Journal
		kind ledger.Kind
		want string
	}{
		"capture": {made(ledger.Capture(gbp(1250), none)), ledger.KindCapture, "provider_clearing 12.50 GBP, revenue -12.50 GBP"},
		"capture with a fee": {made(ledger.Capture(gbp(1250), gbp(38))), ledger.KindCapture,
			"provider_clearing 12.50 GBP, revenue -12.50 GBP, fees 0.38 GBP, provider_clearing -0.38 GBP"},
		"capture with a fee in another currency": {made(ledger.Capture(gbp(1250), amount("EUR", 45))), ledger.KindCapture,
			"provider_clearing 12.50 GBP, revenue -12.50 GBP, fees 0.45 EUR, provider_clearing -0.45 EUR"},
		"refund": {made(ledger.Refund(gbp(1250), none)), ledger.KindRefund, "refunds 12.50 GBP, provider_clearing -12.50 GBP"},
		"refund that gives the fee back": {made(ledger.Refund(gbp(500), gbp(-15))), ledger.KindRefund,
			"refunds 5.00 GBP, provider_clearing -5.00 GBP, fees -0.15 GBP, provider_clearing 0.15 GBP"},
		"chargeback": {made(ledger.Chargeback(gbp(1250), gbp(1500))), ledger.KindChargeback,
			"customer_receivable 12.50 GBP, provider_clearing -12.50 GBP, fees 15.00 GBP, provider_clearing -15.00 GBP"},
		"chargeback reversal": {made(ledger.ChargebackReversal(gbp(1250), gbp(-1500))), ledger.KindChargebackReversal,
			"provider_clearing 12.50 GBP, customer_receivable -12.50 GBP, fees -15.00 GBP, provider_clearing 15.00 GBP"},
		"payout":              {made(ledger.Payout(gbp(9900), none)), ledger.KindPayout, "bank 99.00 GBP, provider_clearing -99.00 GBP"},
		"fee":                 {made(ledger.Fee(gbp(200))), ledger.KindFee, "fees 2.00 GBP, provider_clearing -2.00 GBP"},
		"fee given back":      {made(ledger.Fee(gbp(-200))), ledger.KindFee, "fees -2.00 GBP, provider_clearing 2.00 GBP"},
		"write-off of a debt": {made(ledger.WriteOff(ledger.CustomerReceivable, gbp(1250))), ledger.KindWriteOff, "write_offs 12.50 GBP, customer_receivable -12.50 GBP"},
		"write-off of a credit": {made(ledger.WriteOff(ledger.Suspense, gbp(-1))), ledger.KindWriteOff,
			"write_offs -0.01 GBP, suspense 0.01 GBP"},
		"correction": {made(ledger.Correction(post(ledger.Suspense, "GBP", 1), post(ledger.Bank, "GBP", -1))), ledger.KindCorrection,
			"suspense 0.01 GBP, bank -0.01 GBP"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := tt.make(t)
			if got := shown(j); got != tt.want || j.Kind() != tt.kind {
				t.Errorf("got %s: %s; want %s: %s", j.Kind(), got, tt.kind, tt.want)
			}
		})
	}
}

// shown is a journal's lines in one.
func shown(j ledger.Journal) string {
	var lines []string
	for _, p := range j.Postings() {
		lines = append(lines, fmt.Sprintf("%s %s", p.Account, p.Amount))
	}
	return strings.Join(lines, ", ")
}

func TestKinds_ThatGoOneWayRefuseWhatIsNotMoreThanZero(t *testing.T) {
	t.Parallel()
	for name, build := range oneWay {
		for _, bad := range []int64{0, -1, math.MinInt64} {
			if _, err := build(amount("GBP", bad), money.Amount{}); !errors.Is(err, ledger.ErrNotPositive) {
				t.Errorf("%s of %d: got error %v, want %v", name, bad, err, ledger.ErrNotPositive)
			}
		}
		if _, err := build(amount("GBP", 1), amount("GBP", math.MinInt64)); !errors.Is(err, money.ErrOverflow) {
			t.Errorf("%s with a fee that has no negative: got error %v, want %v", name, err, money.ErrOverflow)
		}
	}
	if _, err := ledger.Fee(amount("GBP", 0)); !errors.Is(err, ledger.ErrZero) {
		t.Errorf("a fee of zero: got error %v, want %v", err, ledger.ErrZero)
	}
	if _, err := ledger.WriteOff(ledger.Suspense, amount("GBP", 0)); !errors.Is(err, ledger.ErrZero) {
		t.Errorf("a write-off of zero: got error %v, want %v", err, ledger.ErrZero)
	}
}

// oneWay are the kinds of which the amount goes one way only.
var oneWay = map[string]func(amount, fee money.Amount) (ledger.Journal, error){
	"capture": ledger.Capture, "refund": ledger.Refund, "chargeback": ledger.Chargeback,
	"chargeback_reversal": ledger.ChargebackReversal, "payout": ledger.Payout,
}

func TestRules_SayWhichKindsMayHaveAFee(t *testing.T) {
	t.Parallel()
	for i, r := range ledger.Rules() {
		if _, takes := oneWay[r.Name]; takes != r.HasFee || r.Kind.String() != r.Name || int(r.Kind) != i+1 {
			t.Errorf("rule %d is %+v; a journal of it takes a fee: %t", i, r, takes)
		}
	}
}

func TestWriteOff_IsOfDebtsAndOfWhatIsNotExplained(t *testing.T) {
	t.Parallel()
	for _, line := range ledger.Chart() {
		_, err := ledger.WriteOff(line.Account, amount("GBP", 1))
		allowed := line.Account == ledger.CustomerReceivable || line.Account == ledger.Suspense
		if allowed != (err == nil) || !allowed && !errors.Is(err, ledger.ErrNotWrittenOff) {
			t.Errorf("%s: got error %v", line.Account, err)
		}
	}
}

func TestCorrection_RefusesWhatIsNoJournal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		postings []ledger.Posting
		want     error
	}{
		"nothing":          {nil, ledger.ErrEmpty},
		"one side":         {[]ledger.Posting{post(ledger.Bank, "GBP", 1)}, ledger.ErrUnbalanced},
		"zeros":            {[]ledger.Posting{post(ledger.Bank, "GBP", 0), post(ledger.Fees, "GBP", 0)}, ledger.ErrZero},
		"no such account":  {[]ledger.Posting{post("pocket", "GBP", 1), post(ledger.Fees, "GBP", -1)}, ledger.ErrUnknownAccount},
		"other currencies": {[]ledger.Posting{post(ledger.Bank, "GBP", 1), post(ledger.Fees, "EUR", -1)}, ledger.ErrUnbalanced},
		"wrapping around": {[]ledger.Posting{
			post(ledger.Bank, "GBP", math.MaxInt64), post(ledger.Fees, "GBP", math.MaxInt64), post(ledger.Revenue, "GBP", 2),
		}, money.ErrOverflow},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ledger.Correction(tt.postings...); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestCorrection_MakesNoJournalThatIsUnbalanced(t *testing.T) {
	t.Parallel()
	var accounts []ledger.Account
	for _, line := range ledger.Chart() {
		accounts = append(accounts, line.Account)
	}
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.Custom(func(t *rapid.T) ledger.Posting {
			return ledger.Posting{
				Account: rapid.SampledFrom(accounts).Draw(t, "account"),
				Amount:  amount(rapid.SampledFrom([]money.Currency{"GBP", "JPY"}).Draw(t, "currency"), rapid.Int64Range(-3, 3).Draw(t, "minor")),
			}
		})
		postings := rapid.SliceOfN(line, 0, 6).Draw(t, "postings")
		sums := map[money.Currency]int64{}
		sound := len(postings) > 0
		for _, p := range postings {
			sums[p.Amount.Currency] += p.Amount.Minor
			sound = sound && !p.Amount.IsZero()
		}
		for _, sum := range sums {
			sound = sound && sum == 0
		}
		j, err := ledger.Correction(postings...)
		if (err == nil) != sound {
			t.Fatalf("got error %v for postings that balance: %t", err, sound)
		}
		if sound && !cmp.Equal(postings, j.Postings()) {
			t.Fatalf("got %v, want %v", j.Postings(), postings)
		}
	})
}

func TestKinds_BalanceWhateverTheAmountAndTheFee(t *testing.T) {
	t.Parallel()
	currency := rapid.SampledFrom([]money.Currency{"GBP", "JPY", "KWD"})
	rapid.Check(t, func(t *rapid.T) {
		of := amount(currency.Draw(t, "currency"), rapid.Int64Min(1).Draw(t, "minor"))
		fee := amount(currency.Draw(t, "currency of the fee"), rapid.Int64().Draw(t, "fee"))
		for name, build := range oneWay {
			j, err := build(of, fee)
			if errors.Is(err, money.ErrOverflow) {
				continue // the smallest int64 has no negative
			}
			if err != nil {
				t.Fatal(err)
			}
			byCurrency := map[money.Currency][]money.Amount{}
			for _, p := range j.Postings() {
				byCurrency[p.Amount.Currency] = append(byCurrency[p.Amount.Currency], p.Amount)
			}
			for c, amounts := range byCurrency {
				if sum, err := money.Sum(c, amounts...); err != nil || !sum.IsZero() {
					t.Fatalf("%s: %s sums to %s, %v", name, shown(j), sum, err)
				}
			}
			if j.Postings()[0].Amount != of {
				t.Fatalf("%s of %s: %s", name, of, shown(j))
			}
		}
	})
}
