package rules_test

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

func TestConvert_GoesByTheRateOfTheDay(t *testing.T) {
	t.Parallel()
	set, err := rules.Parse([]byte(`{"rates": [
		{"from": "USD", "to": "EUR", "from_day": "2026-11-10", "rate": "0.95"},
		{"from": "USD", "to": "EUR", "from_day": "2026-11-01", "rate": "0.92", "within_ppm": 1000},
		{"from": "EUR", "to": "USD", "rate": "1.1"},
		{"from": "JPY", "to": "EUR", "rate": "0.00605"},
		{"from": "EUR", "to": "KWD", "rate": "0.3553"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to string
		amounts  [2]int64
		day      string
		expected int64
	}{
		{"USD", "EUR", [2]int64{10_000, 9_200}, "2026-11-01", 9_200},
		{"USD", "EUR", [2]int64{10_000, 9_209}, "2026-11-09", 9_209}, // within 9.2
		{"USD", "EUR", [2]int64{10_000, 9_210}, "2026-11-09", 9_200},
		{"USD", "EUR", [2]int64{-10_000, -9_100}, "2026-11-09", -9_200},
		{"USD", "EUR", [2]int64{10_000, 9_210}, "2026-11-10", 9_500},
		{"USD", "EUR", [2]int64{10_000, 7}, "2026-10-31", 7}, // of no day before the first
		{"USD", "GBP", [2]int64{10_000, 7}, "2026-11-09", 7},
		{"EUR", "USD", [2]int64{5, 5}, "1990-01-01", 5}, // 5.5, either way
		{"EUR", "USD", [2]int64{5, 6}, "1990-01-01", 6},
		{"EUR", "USD", [2]int64{5, 7}, "1990-01-01", 6},    // to what is even
		{"EUR", "USD", [2]int64{15, 18}, "1990-01-01", 16}, // 16.5
		{"JPY", "EUR", [2]int64{10_000, 6_050}, "1990-01-01", 6_050},
		{"EUR", "KWD", [2]int64{100, 350}, "1990-01-01", 355}, // 355.3
	} {
		from, to := money.Amount{Currency: money.Currency(c.from), Minor: c.amounts[0]}, money.Amount{Currency: money.Currency(c.to), Minor: c.amounts[1]}
		got, err := set.Convert(from, to, day(t, c.day))
		if err != nil || got != c.expected {
			t.Errorf("%s as %s on %s: got %d, %v; want %d", from, to, c.day, got, err, c.expected)
		}
	}
}

// TestConvert_IsExact compares with exact arithmetic: what is expected is nearer than any other number, and what ties is within.
func TestConvert_IsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9]{1,4}\.[0-9]{1,8}`).Draw(t, "rate")
		exact, _ := new(big.Rat).SetString(text)
		if exact.Sign() == 0 {
			return
		}
		set := rules.Default()
		set.Rates = []rules.Rate{{From: "USD", To: "EUR", Rate: text, WithinPPM: rapid.Int64Range(0, 20_000).Draw(t, "within")}}
		if err := set.Validate(); err != nil {
			t.Fatal(err)
		}
		from := rapid.Int64Range(-1<<40, 1<<40).Draw(t, "from")
		exact.Mul(exact, new(big.Rat).SetInt64(from))
		near := new(big.Int).Quo(exact.Num(), exact.Denom()).Int64()
		to := near + rapid.Int64Range(-max(near, -near)/30-3, max(near, -near)/30+3).Draw(t, "off")
		got, err := set.Convert(money.Amount{Currency: "USD", Minor: from}, money.Amount{Currency: "EUR", Minor: to}, match.Day(20_000))
		if err != nil {
			t.Fatalf("got %d, %v", got, err)
		}
		off := func(minor int64) *big.Rat {
			d := new(big.Rat).Sub(new(big.Rat).SetInt64(minor), exact)
			return d.Abs(d)
		}
		within := new(big.Rat).Mul(new(big.Rat).Abs(exact), big.NewRat(set.Rates[0].WithinPPM, 1_000_000))
		ties := off(to).Cmp(big.NewRat(1, 1)) < 0 || off(to).Cmp(within) <= 0
		if ties != (got == to) || !ties && off(got).Cmp(big.NewRat(1, 2)) > 0 {
			t.Fatalf("%d at %s became %d, expected %d, ties %t", from, text, to, got, ties)
		}
	})
}
