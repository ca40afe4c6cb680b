package money

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// The reasons for which text is no amount, or an operation has no result.
var (
	// ErrSyntax means that the text is not a plain decimal number.
	ErrSyntax = errors.New("malformed amount")
	// ErrTooManyDecimals means that the text has more decimals than the currency, even if they are zeros.
	ErrTooManyDecimals = errors.New("too many decimals")
	// ErrOverflow means that the result does not fit 64 bits of minor units.
	ErrOverflow = errors.New("amount out of range")
	// ErrCurrencyMismatch means that amounts of different currencies were to be added.
	ErrCurrencyMismatch = errors.New("currencies differ")
)

// Amount is an amount of money. Amounts are comparable with ==. The zero Amount has no currency: it stands for
// "not set" and cannot be added to another currency's amount.
type Amount struct {
	// Currency says what the minor units are units of.
	Currency Currency `json:"currency_code"`
	// Minor is the amount in the currency's minor unit: 255 with GBP is 2.55 pounds, with JPY 255 yen.
	Minor int64 `json:"minor_units"`
}

// Parse reads a decimal number of major units: "2.55", "-0.05", "12". It takes an optional '-', digits, and an
// optional '.' with at least one and at most the currency's number of decimals; no '+', spaces, exponent or
// grouping. Errors: ErrUnknownCurrency, ErrSyntax, ErrTooManyDecimals, ErrOverflow.
func Parse(decimal string, c Currency) (Amount, error) {
	if _, err := ParseCurrency(string(c)); err != nil {
		return Amount{}, err
	}
	unsigned, negative := strings.CutPrefix(decimal, "-")
	whole, fraction, point := strings.Cut(unsigned, ".")
	if !isDigits(whole) || point && !isDigits(fraction) {
		return Amount{}, fmt.Errorf("%w: %.40q is not a number like 12.34", ErrSyntax, decimal)
	}
	missing := c.Exponent() - len(fraction)
	if missing < 0 {
		return Amount{}, fmt.Errorf("%w: %.40q, but %s has %d", ErrTooManyDecimals, decimal, c, c.Exponent())
	}
	digits := whole + fraction + strings.Repeat("0", missing)
	if negative {
		digits = "-" + digits
	}
	minor, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return Amount{}, fmt.Errorf("%w: %.40q %s", ErrOverflow, decimal, c)
	}
	return Amount{Currency: c, Minor: minor}, nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Add returns a + b. Errors: ErrCurrencyMismatch, ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	return Sum(a.Currency, a, b)
}

// Sub returns a - b. Errors: ErrCurrencyMismatch, ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, mismatch(a.Currency, b.Currency)
	}
	minor := a.Minor - b.Minor
	if (minor < a.Minor) != (b.Minor > 0) {
		return Amount{}, fmt.Errorf("%w: %s - %s", ErrOverflow, a, b)
	}
	return Amount{Currency: a.Currency, Minor: minor}, nil
}

// Mul returns n times a. The error is ErrOverflow.
func (a Amount) Mul(n int64) (Amount, error) {
	minor := a.Minor * n
	// Division undoes a product that did not wrap around; -1 times the smallest int64 wraps around onto itself.
	if n != 0 && minor/n != a.Minor || n == -1 && a.Minor == math.MinInt64 {
		return Amount{}, fmt.Errorf("%w: %d × %s", ErrOverflow, n, a)
	}
	return Amount{Currency: a.Currency, Minor: minor}, nil
}

// Neg returns -a. The error is ErrOverflow: the smallest int64 has no positive counterpart.
func (a Amount) Neg() (Amount, error) {
	return a.Mul(-1)
}

// Sum returns the total of xs in currency c; of none, it is zero. Only the total has to fit: the order of xs does
// not matter. Errors: ErrCurrencyMismatch if any of xs is of another currency, ErrOverflow.
func Sum(c Currency, xs ...Amount) (Amount, error) {
	var hi int64 // hi and lo are one 128-bit number in two's complement.
	var lo uint64
	for _, x := range xs {
		if x.Currency != c {
			return Amount{}, mismatch(c, x.Currency)
		}
		var carry uint64
		lo, carry = bits.Add64(lo, uint64(x.Minor), 0)
		hi += x.Minor>>63 + int64(carry)
	}
	total := int64(lo)
	if hi != total>>63 {
		return Amount{}, fmt.Errorf("%w: sum of %d amounts in %s", ErrOverflow, len(xs), c)
	}
	return Amount{Currency: c, Minor: total}, nil
}

func mismatch(a, b Currency) error {
	return fmt.Errorf("%w: %q and %q", ErrCurrencyMismatch, string(a), string(b))
}

// IsPositive tells whether the amount is more than zero.
func (a Amount) IsPositive() bool { return a.Minor > 0 }

// IsZero tells whether the amount is nothing, in whatever currency.
func (a Amount) IsZero() bool { return a.Minor == 0 }

// Decimal is the number of major units with all of the currency's decimals: "2.55", "-0.05"; Parse reads it back if the
// currency is in use.
// Like Exponent it panics when the currency is not one.
func (a Amount) Decimal() string {
	exponent := a.Currency.Exponent()
	digits, negative := strings.CutPrefix(strconv.FormatInt(a.Minor, 10), "-")
	if short := exponent + 1 - len(digits); short > 0 {
		digits = strings.Repeat("0", short) + digits
	}
	if exponent > 0 {
		point := len(digits) - exponent
		digits = digits[:point] + "." + digits[point:]
	}
	if negative {
		digits = "-" + digits
	}
	return digits
}

// String is the amount for people and logs: "2.55 GBP". It never panics: without a known currency it shows the
// minor units as they are.
func (a Amount) String() string {
	if _, known := a.Currency.exponent(); !known {
		return fmt.Sprintf("%d minor units of %q", a.Minor, string(a.Currency))
	}
	return a.Decimal() + " " + string(a.Currency)
}

// LogValue makes logs show an amount as String does.
func (a Amount) LogValue() slog.Value { return slog.StringValue(a.String()) }
