package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
)

func TestParseRate_TakesPlainDecimals(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", "1/2", " 1", "0", "0.000", "1,5", "0x1", "1_0", "1234567890123456789", "0.1234567890123456789"} {
		if rate, err := money.ParseRate(bad); !errors.Is(err, money.ErrRate) {
			t.Errorf("%q is %v, %v; want ErrRate", bad, rate, err)
		}
	}
	for _, good := range []string{"1", "0.9215", "149.8100", "0.000000000000000001", "999999999999999999.999999999999999999"} {
		if _, err := money.ParseRate(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestAt_ConvertsMajorUnitsAndRoundsToEven(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		minor    int64
		from, to money.Currency
		rate     string
		want     int64
	}{
		{10_000, "USD", "EUR", "0.92", 9_200},
		{-10_000, "USD", "EUR", "0.92", -9_200},
		{10_000, "USD", "JPY", "149.81", 14_981},
		{14_981, "JPY", "USD", "0.00667", 9_992}, // 9992.327
		{1_000, "KWD", "EUR", "2.8145", 281},     // 281.45
		{100, "EUR", "KWD", "0.3553", 355},
		{5, "USD", "EUR", "0.5", 2}, // 2.5
		{15, "USD", "EUR", "0.5", 8},
		{-5, "USD", "EUR", "0.5", -2},
		{-15, "USD", "EUR", "0.5", -8},
		{3, "USD", "EUR", "0.5001", 2},
		{math.MinInt64, "USD", "EUR", "1", math.MinInt64},
	} {
		rate, err := money.ParseRate(c.rate)
		if err != nil {
			t.Fatal(err)
		}
		got, err := money.Amount{Currency: c.from, Minor: c.minor}.At(rate, c.to)
		if want := (money.Amount{Currency: c.to, Minor: c.want}); got != want || err != nil {
			t.Errorf("%d %s at %s: got %v, %v; want %v", c.minor, c.from, c.rate, got, err, want)
		}
	}
}

// TestAt_IsTheNearest converts by chance: the result is never more than half a minor unit off, and what does not fit is refused.
func TestAt_IsTheNearest(t *testing.T) {
	t.Parallel()
	currencies := rapid.SampledFrom([]money.Currency{"EUR", "JPY", "KWD", "CLF"})
	rapid.Check(t, func(t *rapid.T) {
		minor, from, to := minors().Draw(t, "minor"), currencies.Draw(t, "from"), currencies.Draw(t, "to")
		text := rapid.StringMatching(`[1-9][0-9]{0,5}\.[0-9]{1,9}`).Draw(t, "rate")
		rate, err := money.ParseRate(text)
		if err != nil {
			t.Fatal(err)
		}
		exact, _ := new(big.Rat).SetString(text)
		exact.Mul(exact, new(big.Rat).SetInt64(minor))
		for range to.Exponent() {
			exact.Mul(exact, big.NewRat(10, 1))
		}
		for range from.Exponent() {
			exact.Mul(exact, big.NewRat(1, 10))
		}
		got, err := money.Amount{Currency: from, Minor: minor}.At(rate, to)
		if err != nil {
			if edge := new(big.Rat).SetInt64(math.MaxInt64); !errors.Is(err, money.ErrOverflow) || exact.Abs(exact).Cmp(edge) <= 0 {
				t.Fatalf("%s: %v", exact.FloatString(3), err)
			}
			return
		}
		off := new(big.Rat).Sub(new(big.Rat).SetInt64(got.Minor), exact)
		if off.Abs(off).Cmp(big.NewRat(1, 2)) > 0 || got.Currency != to {
			t.Fatalf("got %v of %s", got, exact.FloatString(3))
		}
	})
}
