package formats

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// csvNumbers is how a file writes amounts.
type csvNumbers struct {
	decimal   string
	thousands string // "" where there are none
	minor     bool
}

var (
	errSign   = errors.New("has a sign, but its column says already which way it goes")
	errGroups = errors.New("is not in groups of three digits")
)

// parse reads an amount. It may have a sign before it, or a minus behind it. Groups must be of three digits: where they are
// not, the mark is one of decimals, and the amount would become a hundred times as large.
func (n csvNumbers) parse(text string, c money.Currency) (money.Amount, error) {
	digits, negative := strings.CutPrefix(text, "-")
	if !negative {
		if digits, negative = strings.CutSuffix(text, "-"); !negative {
			digits = strings.TrimPrefix(text, "+")
		}
	}
	whole, fraction, point := strings.Cut(digits, n.decimal)
	if n.minor {
		whole, fraction, point = digits, "", false
	}
	if n.thousands != "" && strings.Contains(whole, n.thousands) {
		first := true
		for group := range strings.SplitSeq(whole, n.thousands) {
			if len(group) != 3 && (!first || group == "" || len(group) > 3) {
				return money.Amount{}, fmt.Errorf("%.40q %w", text, errGroups)
			}
			first = false
		}
		whole = strings.ReplaceAll(whole, n.thousands, "")
	}
	plain := whole
	if point {
		plain += "." + fraction
	}
	if negative {
		plain = "-" + plain
	}
	if !n.minor {
		amount, err := money.Parse(plain, c)
		if err != nil && plain != text {
			err = fmt.Errorf("%.40q: %w", text, err)
		}
		return amount, err
	}
	minor, err := strconv.ParseInt(plain, 10, 64)
	if err != nil || strings.HasPrefix(whole, "-") || strings.HasPrefix(whole, "+") {
		return money.Amount{}, fmt.Errorf("%.40q is no number of minor units", text)
	}
	return money.Amount{Currency: c, Minor: minor}, nil
}

// number is a value as an amount.
func (c *csvReader) number(key int, currency money.Currency) money.Amount {
	text := c.text(key)
	if c.err != nil {
		return money.Amount{}
	}
	amount, err := c.layout.numbers.parse(text, currency)
	if err != nil {
		c.fail(key, err)
	}
	return amount
}

// unsigned is a value as an amount whose column says which way it goes, zero where it is empty.
func (c *csvReader) unsigned(key int, currency money.Currency) money.Amount {
	amount := money.Amount{Currency: currency}
	if text := c.text(key); text != "" {
		amount = c.number(key, currency)
		if amount.Minor < 0 {
			c.fail(key, fmt.Errorf("%.40q %w", text, errSign))
		}
	}
	return amount
}

// currencyOfRow is the currency of a row.
func (c *csvReader) currencyOfRow() money.Currency {
	if c.text(csvCurrency) != "" {
		return c.currencyOf(csvCurrency)
	}
	if c.fallback == "" {
		c.fail(csvCurrency, errors.New("is nowhere: neither the row nor the mapping names one"))
	}
	return c.fallback
}

// amount is what a row moves, with its sign.
func (c *csvReader) amount(currency money.Currency) money.Amount {
	if !c.m.has(csvAmount) {
		debit, credit := c.unsigned(csvDebit, currency), c.unsigned(csvCredit, currency)
		switch {
		case c.text(csvDebit) == "" && c.text(csvCredit) == "":
			c.fail(csvDebit, errEmpty)
		case debit.Minor != 0 && credit.Minor != 0:
			c.fail(csvDebit, errors.New("has an amount, and so has the credit"))
		}
		return money.Amount{Currency: currency, Minor: credit.Minor - debit.Minor}
	}
	if !c.m.has(csvIndicator) {
		return c.number(csvAmount, currency)
	}
	if c.text(csvAmount) == "" {
		c.fail(csvAmount, errEmpty)
	}
	amount := c.unsigned(csvAmount, currency)
	indicator := c.text(csvIndicator)
	debit, known := c.layout.debits[indicator]
	if !known {
		c.fail(csvIndicator, fmt.Errorf("%.40q is among neither the debits nor the credits", indicator))
	}
	if debit {
		amount.Minor = -amount.Minor
	}
	return amount
}

// fee is what was kept, in minor units.
func (c *csvReader) fee(currency money.Currency) int64 {
	if c.text(csvFee) == "" {
		return 0
	}
	fee := c.number(csvFee, currency)
	if c.m.NegativeFees {
		var err error
		if fee, err = fee.Neg(); err != nil {
			c.fail(csvFee, err)
		}
	}
	return fee.Minor
}

// original is what a row moved before it was converted, if it was.
func (c *csvReader) original(moved money.Amount) money.Amount {
	if c.text(csvOriginalAmount) == "" || c.text(csvOriginalCurrency) == "" || c.err != nil {
		return money.Amount{}
	}
	return originally(c.number(csvOriginalAmount, c.currencyOf(csvOriginalCurrency)), moved)
}

// balance is the balance behind the row, nil where the file has none.
func (c *csvReader) balance(currency money.Currency) *money.Amount {
	if !c.m.has(csvBalance) {
		return nil
	}
	balance := c.number(csvBalance, currency)
	return &balance
}

// kind is what a row is about.
func (c *csvReader) kind() Kind {
	value := c.text(csvKind)
	kind, known := c.m.Kinds[value]
	if !known {
		kind = c.m.Kind
	}
	if kind == "" {
		c.fail(csvKind, fmt.Errorf("%.40q is not among the kinds of the mapping", value))
	}
	return kind
}

// date is a value as a date, the zero time where it is empty.
func (c *csvReader) date(key int, layout dateLayout) time.Time {
	text := c.text(key)
	if text == "" {
		return time.Time{}
	}
	t, valid := layout.parse(text)
	if !valid {
		c.fail(key, wrongDate(text))
	}
	return t
}

// unlessNone is a reference, empty for the words by which banks say that there is none.
func unlessNone(reference string) string {
	if reference == "NONREF" || reference == "NOTPROVIDED" {
		return ""
	}
	return reference
}
