package paymentfile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tieout/tieout/pkg/money"
)

// rule says what the text of a column may be.
type rule struct {
	max      int // characters
	optional bool
	// prose may hold any character but the control characters of ASCII and Latin-1; anything else holds only what can
	// be seen, and the space, for two values that look the same must be the same.
	prose bool
}

var rules = [columns]rule{
	reference:     {max: 128},
	customerID:    {max: 128},
	paymentMethod: {max: 128},
	description:   {max: 500, optional: true, prose: true},
	cardScheme:    {max: 32, optional: true},
}

// check makes a payment of a row's values, or says what is wrong with the first of them that is.
func check(values *[columns]string) (Payment, *problem) {
	for _, column := range []int{reference, customerID, paymentMethod} {
		if p := checkText(column, values[column]); p != nil {
			return Payment{}, p
		}
	}
	cur, p := checkCurrency(values[currency])
	if p != nil {
		return Payment{}, p
	}
	total, p := checkAmount(values[amount], cur)
	if p != nil {
		return Payment{}, p
	}
	for _, column := range []int{description, cardScheme} {
		if p := checkText(column, values[column]); p != nil {
			return Payment{}, p
		}
	}
	return Payment{
		Reference: values[reference], CustomerID: values[customerID], PaymentMethod: values[paymentMethod],
		Amount: total, Description: values[description], CardScheme: values[cardScheme],
	}, nil
}

func wrong(column int, reason Reason, format string, args ...any) *problem {
	return &problem{field: names[column], reason: reason, text: fmt.Sprintf(format, args...)}
}

func checkText(column int, value string) *problem {
	name, rule := names[column], rules[column]
	if value == "" {
		if rule.optional {
			return nil
		}
		return missing(column)
	}
	position := 0
	for _, c := range value {
		position++
		if position > rule.max {
			return wrong(column, FieldTooLong, "%s has %d characters, at most %d are allowed", name, utf8.RuneCountInString(value), rule.max)
		}
		if c >= ' ' && c <= '~' {
			continue
		}
		if unicode.IsControl(c) || !rule.prose && !unicode.IsPrint(c) {
			return wrong(column, CharacterNotAllowed, "%s has %U as its character %d, which cannot be seen", name, c, position)
		}
	}
	if !rule.prose && (value[0] == ' ' || value[len(value)-1] == ' ') {
		return wrong(column, SpaceAround, "%s begins or ends with a space: %.40q", name, value)
	}
	return nil
}

func missing(column int) *problem {
	return wrong(column, FieldMissing, "%s is empty", names[column])
}

func checkCurrency(code string) (money.Currency, *problem) {
	if code == "" {
		return "", missing(currency)
	}
	cur, err := money.ParseCurrency(code)
	if err == nil {
		return cur, nil
	}
	if capitals, inCapitals := money.ParseCurrency(strings.ToUpper(code)); inCapitals == nil {
		return "", wrong(currency, CurrencyNotCapitals, "currency %q is written in capitals: %s", code, capitals)
	}
	return "", wrong(currency, CurrencyUnknown, "%v", err)
}

func checkAmount(text string, cur money.Currency) (money.Amount, *problem) {
	if text == "" {
		return money.Amount{}, missing(amount)
	}
	total, err := money.Parse(text, cur)
	switch {
	case errors.Is(err, money.ErrTooManyDecimals):
		return money.Amount{}, wrong(amount, AmountTooPrecise, "%v", err)
	case errors.Is(err, money.ErrOverflow):
		return money.Amount{}, wrong(amount, AmountOverflow, "%v", err)
	case err != nil:
		return money.Amount{}, wrong(amount, AmountMalformed, "%v", err)
	case !total.IsPositive():
		return money.Amount{}, wrong(amount, AmountNotPositive, "a payment of %s is not above zero", total)
	}
	return total, nil
}
