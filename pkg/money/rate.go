package money

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// ErrRate means that a text is no exchange rate.
var ErrRate = errors.New("no exchange rate")

// Rate is an exchange rate: so many major units of one currency for one of another. It is exact; the zero Rate is none.
type Rate struct{ exact *big.Rat }

// maxRateDigits is how many digits a rate may have before its point, and behind it.
const maxRateDigits = 18

// ParseRate reads a plain decimal, such as "0.9215": digits, and more of them behind a point. The error is ErrRate, also for
// zero.
func ParseRate(decimal string) (Rate, error) {
	whole, fraction, point := strings.Cut(decimal, ".")
	if !isDigits(whole) || point && !isDigits(fraction) || max(len(whole), len(fraction)) > maxRateDigits {
		return Rate{}, fmt.Errorf("%w: %.40q is no decimal like 0.9215", ErrRate, decimal)
	}
	exact, ok := new(big.Rat).SetString(decimal)
	if !ok || exact.Sign() == 0 {
		return Rate{}, fmt.Errorf("%w: %.40q is nothing", ErrRate, decimal)
	}
	return Rate{exact}, nil
}

// Exact is what one minor unit of a currency is in minor units of another one, at a rate for their major units.
func (r Rate) Exact(from, to Currency) *big.Rat {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(from.Exponent(), to.Exponent())-min(from.Exponent(), to.Exponent()))), nil)
	by := new(big.Rat).SetInt(scale)
	if from.Exponent() > to.Exponent() {
		by.Inv(by)
	}
	return by.Mul(by, r.exact)
}

// At is the amount in another currency, rounded to what is nearer, and from the middle to what is even. The error is
// ErrOverflow.
func (a Amount) At(r Rate, to Currency) (Amount, error) {
	exact := new(big.Rat).SetInt64(a.Minor)
	exact.Mul(exact, r.Exact(a.Currency, to))
	whole, rest := new(big.Int).QuoRem(exact.Num(), exact.Denom(), new(big.Int))
	twice := rest.Abs(rest).Lsh(rest, 1).Cmp(exact.Denom())
	if twice > 0 || twice == 0 && whole.Bit(0) == 1 {
		whole.Add(whole, big.NewInt(int64(exact.Sign())))
	}
	if !whole.IsInt64() {
		return Amount{}, fmt.Errorf("%w: %s in %s", ErrOverflow, a, to)
	}
	return Amount{Currency: to, Minor: whole.Int64()}, nil
}
