package money

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"sync"
)

// ErrUnknownCurrency means that a code is not in the ISO 4217 table, or is there without a minor unit (XAU, XXX).
var ErrUnknownCurrency = errors.New("unknown currency")

// Currency is an ISO 4217 alphabetic code in capitals, such as "GBP", that has a minor unit.
// Values come from ParseCurrency, or from ParsePastCurrency for records of the past; a constant such as
// Currency("GBP") is fine where the code is known to exist.
// The zero Currency is that of the zero Amount and is no currency.
type Currency string

// noMinorUnit marks the codes that ISO 4217 lists without a minor unit: metals, units of account, test codes.
const noMinorUnit = -1

//go:embed iso4217.csv
var iso4217 []byte

// exponents maps every code of the table to its number of decimals, or to noMinorUnit.
var exponents = sync.OnceValue(func() map[Currency]int {
	table, err := readTable(iso4217)
	if err != nil {
		panic(fmt.Errorf("reading the embedded ISO 4217 table: %w", err))
	}
	return table
})

func readTable(data []byte) (map[Currency]int, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.Comment = '#'
	r.FieldsPerRecord = 4
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	table := make(map[Currency]int, len(rows))
	for _, row := range rows[1:] {
		code, exponent := Currency(row[0]), noMinorUnit
		if row[2] != "" {
			if exponent, err = strconv.Atoi(row[2]); err != nil {
				return nil, fmt.Errorf("exponent of %s: %w", code, err)
			}
		}
		table[code] = exponent
	}
	return table, nil
}

// ParseCurrency checks that code is an ISO 4217 alphabetic code, in capitals, with a minor unit.
// The error is ErrUnknownCurrency.
func ParseCurrency(code string) (Currency, error) {
	c := Currency(code)
	exponent, ok := exponents()[c]
	switch {
	case !ok:
		return "", fmt.Errorf("%w: %.10q is not an ISO 4217 code", ErrUnknownCurrency, code)
	case exponent == noMinorUnit:
		return "", fmt.Errorf("%w: ISO 4217 gives %s no minor unit", ErrUnknownCurrency, code)
	}
	return c, nil
}

// Exponent is the number of decimals that ISO 4217 gives the currency: 2 for GBP, 0 for JPY, 3 for KWD.
// It panics on a Currency that ParsePastCurrency would refuse, since any answer would put the decimal point in the
// wrong place.
func (c Currency) Exponent() int {
	exponent, ok := c.exponent()
	if !ok {
		panic(fmt.Sprintf("money: Exponent of unknown currency %q", string(c)))
	}
	return exponent
}

// UnmarshalText reads a code as ParseCurrency does. Empty text is the zero Currency, so that an Amount that was
// never set survives being stored.
func (c *Currency) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = ""
		return nil
	}
	parsed, err := ParseCurrency(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}
