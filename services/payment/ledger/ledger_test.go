package ledger_test

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/payment/ledger"
)

func amount(c money.Currency, minor int64) money.Amount {
	return money.Amount{Currency: c, Minor: minor}
}

func TestJournals_DebitAndCreditTheAccountsOfTheChart(t *testing.T) {
	t.Parallel()
	gbp := func(minor int64) money.Amount { return amount("GBP", minor) }
	tests := map[string]struct {
		make func(money.Amount) (ledger.Journal, error)
		kind ledger.Kind
		want []ledger.Posting
	}{
		"capture": {ledger.Capture, ledger.KindCapture, []ledger.Posting{
			{Account: ledger.ProviderClearing, Amount: gbp(1250)}, {Account: ledger.Revenue, Amount: gbp(-1250)},
		}},
		"refund": {ledger.Refund, ledger.KindRefund, []ledger.Posting{
			{Account: ledger.Refunds, Amount: gbp(1250)}, {Account: ledger.ProviderClearing, Amount: gbp(-1250)},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, err := tt.make(gbp(1250))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, j.Postings()); diff != "" || j.Kind() != tt.kind {
				t.Errorf("kind %d, postings (-want +got):\n%s", j.Kind(), diff)
			}
			for _, bad := range []int64{0, -1, math.MinInt64} {
				if _, err := tt.make(gbp(bad)); !errors.Is(err, ledger.ErrNotPositive) {
					t.Errorf("of %d: got error %v, want %v", bad, err, ledger.ErrNotPositive)
				}
			}
		})
	}
}

func TestNew_RefusesWhatIsNoJournal(t *testing.T) {
	t.Parallel()
	post := func(a ledger.Account, c money.Currency, minor int64) ledger.Posting {
		return ledger.Posting{Account: a, Amount: amount(c, minor)}
	}
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
			if _, err := ledger.New(ledger.KindCapture, tt.postings...); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestNew_MakesNoJournalThatIsUnbalanced(t *testing.T) {
	t.Parallel()
	accounts := []ledger.Account{
		ledger.CustomerReceivable, ledger.ProviderClearing, ledger.Revenue, ledger.Refunds, ledger.Fees, ledger.Bank, ledger.Suspense,
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
		j, err := ledger.New(ledger.KindCapture, postings...)
		if (err == nil) != sound {
			t.Fatalf("got error %v for postings that balance: %t", err, sound)
		}
		if sound && !cmp.Equal(postings, j.Postings()) {
			t.Fatalf("got %v, want %v", j.Postings(), postings)
		}
	})
}

func TestJournals_OfAnyAmountBalance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		of := amount(rapid.SampledFrom([]money.Currency{"GBP", "JPY", "KWD"}).Draw(t, "currency"), rapid.Int64Min(1).Draw(t, "minor"))
		for _, build := range []func(money.Amount) (ledger.Journal, error){ledger.Capture, ledger.Refund} {
			j, err := build(of)
			if err != nil {
				t.Fatal(err)
			}
			var sum int64
			for _, p := range j.Postings() {
				sum += p.Amount.Minor
			}
			if sum != 0 || len(j.Postings()) != 2 {
				t.Fatalf("%v sums to %d", j.Postings(), sum)
			}
		}
	})
}
