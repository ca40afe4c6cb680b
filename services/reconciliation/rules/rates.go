package rules

import (
	"math/big"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// Rate says at what rate the provider, or the bank, is expected to convert from a day on, until another entry for the same two
// currencies begins.
type Rate struct {
	// From is the currency that there was, To the one that it was converted into.
	From string `json:"from"`
	To   string `json:"to"`
	// FromDay is the first day of the rate.
	FromDay breaks.Day `json:"from_day"`
	// Rate is so many major units of To for one of From, as a decimal: "0.9215".
	Rate string `json:"rate"`
	// WithinPPM is by how many millionths of what is expected the converted amount may differ. A difference of less than one minor
	// unit is none: that is rounding.
	WithinPPM int64 `json:"within_ppm"`
}

// Convert says what an amount should have become when it was converted on a day, in minor units: what it became, where that
// ties or no rate is known. The error is one of an amount that does not fit 64 bits when it is converted.
func (s Set) Convert(from, to money.Amount, day match.Day) (expected int64, err error) {
	var by *Rate
	for i := range s.Rates {
		r := &s.Rates[i]
		if r.From == string(from.Currency) && r.To == string(to.Currency) && match.Day(r.FromDay) <= day && (by == nil || r.FromDay > by.FromDay) {
			by = r
		}
	}
	if by == nil {
		return to.Minor, nil
	}
	rate, err := money.ParseRate(by.Rate)
	if err != nil || by.ties(rate, from, to) {
		return to.Minor, err
	}
	made, err := from.At(rate, to.Currency)
	return made.Minor, err
}

// ties says whether an amount became what it should, within what is allowed.
func (r *Rate) ties(rate money.Rate, from, to money.Amount) bool {
	exact := rate.Exact(from.Currency, to.Currency)
	exact.Mul(exact, new(big.Rat).SetInt64(from.Minor))
	off := new(big.Rat).SetInt64(to.Minor)
	off.Abs(off.Sub(off, exact))
	within := exact.Abs(exact)
	within.Mul(within, big.NewRat(r.WithinPPM, wholePPM))
	return off.Cmp(big.NewRat(1, 1)) < 0 || off.Cmp(within) <= 0
}

// validate says what is wrong with the entry.
func (r *Rate) validate(at string, earlier []Rate, wrong func(field, format string, args ...any)) {
	for _, c := range []struct{ field, currency string }{{".from", r.From}, {".to", r.To}} {
		if _, err := money.ParseCurrency(c.currency); err != nil {
			wrong(at+c.field, "%v", err)
		}
	}
	if r.From == r.To {
		wrong(at+".to", "%s into itself is no conversion", r.To)
	}
	if _, err := money.ParseRate(r.Rate); err != nil {
		wrong(at+".rate", "%v", err)
	}
	if r.WithinPPM < 0 || r.WithinPPM > wholePPM {
		wrong(at+".within_ppm", "%d is not 0 to %d", r.WithinPPM, wholePPM)
	}
	for i := range earlier {
		if e := &earlier[i]; e.From == r.From && e.To == r.To && e.FromDay == r.FromDay {
			wrong(at+".from_day", "rates[%d] begins on that day too", i)
		}
	}
}
