package filter

import (
	"errors"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// Value is what a field is compared with: a text, or a whole number.
type Value struct {
	Text   string
	Number int64
	IsText bool
}

// TextValue reads a text.
func TextValue(v Value) (string, error) {
	if !v.IsText {
		return "", errors.New("is a text: put the number in quotes")
	}
	return v.Text, nil
}

// WholeNumber reads a number.
func WholeNumber(v Value) (int64, error) {
	if v.IsText {
		return 0, errors.New("is a whole number")
	}
	return v.Number, nil
}

// CurrencyValue reads a currency's code, in upper or lower case.
func CurrencyValue(v Value) (string, error) {
	currency, err := money.ParseCurrency(strings.ToUpper(v.Text))
	if err != nil {
		return "", errors.New("is a code of ISO 4217")
	}
	return string(currency), nil
}

// TimeValue reads a time.
func TimeValue(v Value) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, v.Text)
	if err != nil {
		return at, errors.New(`is a time of RFC 3339 in quotes: "2026-01-31T23:59:00Z"`)
	}
	return at, nil
}

// DurationValue reads a length of time, which is not less than zero.
func DurationValue(v Value) (time.Duration, error) {
	d, err := time.ParseDuration(v.Text)
	if err != nil || d < 0 {
		return 0, errors.New(`is a duration in quotes: "90s", "15m", "1h30m"`)
	}
	return d, nil
}
