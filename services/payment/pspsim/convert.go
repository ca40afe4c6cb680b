package pspsim

import (
	"strings"

	"github.com/tieout/tieout/pkg/money"
)

// A conversion is from one currency into another one at a rate; without a from there is none.
type conversion struct {
	from, to money.Currency
	rate     money.Rate
}

// parseConversion reads one: "USD:EUR:0.92", or nothing.
func parseConversion(text string) (c conversion, err error) {
	if text == "" {
		return c, nil
	}
	words := strings.Split(text, ":")
	if len(words) == 3 {
		c.from, err = money.ParseCurrency(words[0])
		if err == nil {
			c.to, err = money.ParseCurrency(words[1])
		}
		if err == nil {
			c.rate, err = money.ParseRate(words[2])
		}
	}
	if len(words) != 3 || err != nil || c.from == c.to {
		return c, invalid(codeInvalidParam, "convert", "must be two currencies and a rate, like USD:EUR:0.92")
	}
	return c, nil
}

// settles is the currency that one is settled in.
func (c conversion) settles(currency string) string {
	if c.from != "" && currency == string(c.from) {
		return string(c.to)
	}
	return currency
}

// lines converts those lines that are in its currency. They are paid out with what is in the other one.
func (c conversion) lines(all []line) error {
	for i := range all {
		l := &all[i]
		if l.currency != string(c.from) {
			continue
		}
		l.original = money.Amount{Currency: c.from, Minor: l.gross}
		gross, err := l.original.At(c.rate, c.to)
		if err != nil {
			return err
		}
		fee, err := money.Amount{Currency: c.from, Minor: l.fee}.At(c.rate, c.to)
		if err != nil {
			return err
		}
		l.gross, l.fee, l.currency = gross.Minor, fee.Minor, string(c.to)
		l.payout = strings.TrimSuffix(l.payout, strings.ToLower(string(c.from))) + strings.ToLower(l.currency)
	}
	return nil
}
