package money_test

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
)

// minors draws amounts all over the range, often near its ends and near zero.
func minors() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 3),
		rapid.Custom(func(t *rapid.T) int64 {
			bit := int64(1) << rapid.IntRange(0, 63).Draw(t, "bit")
			return bit + rapid.Int64Range(-2, 2).Draw(t, "off")
		}))
}

// agree checks a result against exact arithmetic: the same number, or ErrOverflow just when it does not fit.
func agree(t *rapid.T, exact *big.Int, got money.Amount, err error) {
	t.Helper()
	switch {
	case exact.IsInt64():
		if err != nil || got != gbp(exact.Int64()) {
			t.Fatalf("got %v, %v; want %v minor units", got, err, exact)
		}
	case !errors.Is(err, money.ErrOverflow):
		t.Fatalf("got %v, %v; want ErrOverflow for %v", got, err, exact)
	}
}

func TestArithmetic_AgreesWithExactIntegers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := minors().Draw(t, "a"), minors().Draw(t, "b")
		x, y := big.NewInt(a), big.NewInt(b)

		got, err := gbp(a).Add(gbp(b))
		agree(t, new(big.Int).Add(x, y), got, err)
		got, err = gbp(a).Sub(gbp(b))
		agree(t, new(big.Int).Sub(x, y), got, err)
		got, err = gbp(a).Mul(b)
		agree(t, new(big.Int).Mul(x, y), got, err)
		got, err = gbp(a).Neg()
		agree(t, new(big.Int).Neg(x), got, err)
	})
}

func TestSum_AgreesWithExactIntegers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		exact := new(big.Int)
		var xs []money.Amount
		for _, minor := range rapid.SliceOf(minors()).Draw(t, "minors") {
			exact.Add(exact, big.NewInt(minor))
			xs = append(xs, gbp(minor))
		}
		got, err := money.Sum("GBP", xs...)
		agree(t, exact, got, err)
	})
}

func TestDecimal_IsTheExactValueAndParsesBack(t *testing.T) {
	t.Parallel()
	all := currencies(t)
	rapid.Check(t, func(t *rapid.T) {
		a := money.Amount{Currency: rapid.SampledFrom(all).Draw(t, "currency"), Minor: minors().Draw(t, "minor")}

		value, ok := new(big.Rat).SetString(a.Decimal())
		if !ok {
			t.Fatalf("Decimal() = %q is no number", a.Decimal())
		}
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(a.Currency.Exponent())), nil)
		if want := new(big.Rat).SetFrac(big.NewInt(a.Minor), scale); value.Cmp(want) != 0 {
			t.Fatalf("Decimal() = %q, want %v", a.Decimal(), want)
		}
		if back, err := money.Parse(a.Decimal(), a.Currency); err != nil || back != a {
			t.Fatalf("Parse(%q) = %v, %v; want %v", a.Decimal(), back, err, a)
		}
	})
}

// FuzzParse holds Parse to exact arithmetic: what it accepts has the value that the text has, and formats to text
// that means the same; everything else is one of its errors.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"2.55", "-0.05", "0", "007", "92233720368547758.08", "1e3", ".5", "5.", "1,000", "٣"} {
		for _, currency := range []string{"GBP", "JPY", "KWD", "CLF", "XAU"} {
			f.Add(seed, currency)
		}
	}
	reasons := []error{money.ErrUnknownCurrency, money.ErrSyntax, money.ErrTooManyDecimals, money.ErrOverflow}
	f.Fuzz(func(t *testing.T, text, code string) {
		a, err := money.Parse(text, money.Currency(code))
		if err != nil {
			for _, reason := range reasons {
				if errors.Is(err, reason) {
					return
				}
			}
			t.Fatalf("Parse(%q, %q): %v is none of the documented errors", text, code, err)
		}
		value, ok := new(big.Rat).SetString(text)
		back, okBack := new(big.Rat).SetString(a.Decimal())
		if !ok || !okBack || value.Cmp(back) != 0 {
			t.Fatalf("Parse(%q, %q).Decimal() = %q", text, code, a.Decimal())
		}
		if again, err := money.Parse(a.Decimal(), a.Currency); err != nil || again != a {
			t.Fatalf("Parse(%q) = %v, %v; want %v", a.Decimal(), again, err, a)
		}
	})
}
