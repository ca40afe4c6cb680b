package money

import "fmt"

// past maps the currencies that the euro replaced to their number of decimals. ISO 4217 lists them as withdrawn and
// without decimals (list three), so only those are here on whose decimals the tables of the time agree; the drachma,
// the escudo and the Belgian franc are not.
var past = map[Currency]int{
	"ATS": 2, "CYP": 2, "DEM": 2, "EEK": 2, "ESP": 0, "FIM": 2, "FRF": 2, "HRK": 2, "IEP": 2, "ITL": 0, "LTL": 2,
	"LUF": 0, "LVL": 2, "MTL": 2, "NLG": 2, "SIT": 2, "SKK": 2,
}

// ParsePastCurrency reads a code as ParseCurrency does, and also those of currencies that the euro replaced: for what
// records of the past say, such as bank statements, and never for a payment to come. An amount of such a currency can be
// shown and counted like any other, but neither Parse nor UnmarshalText accepts it. The error is ErrUnknownCurrency.
func ParsePastCurrency(code string) (Currency, error) {
	if _, replaced := past[Currency(code)]; replaced {
		return Currency(code), nil
	}
	c, err := ParseCurrency(code)
	if err != nil {
		return "", fmt.Errorf("%w, nor one that the euro replaced", err)
	}
	return c, nil
}

// exponent is the number of decimals of a currency, in use or past; false for what is none.
func (c Currency) exponent() (int, bool) {
	if exponent, known := exponents()[c]; known {
		return exponent, exponent != noMinorUnit
	}
	exponent, known := past[c]
	return exponent, known
}
