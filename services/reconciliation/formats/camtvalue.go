package formats

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// The functions of this file read the innermost element to its end. Its name, where they have it, is for what is found to be
// wrong with it then; before, the element is known.

// words reads text, with one space between words.
func (p *camt) words() ([]byte, error) {
	text, err := p.x.text()
	return camtWords(text), err
}

// camtWords puts one space between the words of b, in place.
func camtWords(b []byte) []byte {
	to, space := 0, false
	for _, c := range b {
		if isXMLSpace(c) {
			if space {
				continue
			}
			space, c = true, ' '
		} else {
			space = false
		}
		b[to] = c
		to++
	}
	return b[:to]
}

// reference reads an identification; one that says that there is none is empty.
func (p *camt) reference() (string, error) {
	text, err := p.words()
	if bytes.EqualFold(text, []byte("NOTPROVIDED")) || bytes.EqualFold(text, []byte("NONREF")) {
		return "", err
	}
	return string(text), err
}

// camtLike is b, and where last is the same, that.
func camtLike(last *string, b []byte) string {
	if *last != string(b) {
		*last = string(b)
	}
	return *last
}

// number reads a whole number that is not less than zero; given is false where there is none.
func (p *camt) number(field string) (n int64, given bool, err error) {
	text, err := p.x.text()
	if err != nil || len(text) == 0 {
		return 0, false, err
	}
	n, err = camtMinor(text, 0)
	if err != nil {
		return 0, false, p.fail(field, fmt.Errorf("is no number: %.40q", text))
	}
	return n, true, nil
}

// indicator reads yes or no; given is false where it says neither.
func (p *camt) indicator(field string) (yes, given bool, err error) {
	text, err := p.x.text()
	if err != nil {
		return false, false, err
	}
	switch string(text) {
	case "true", "1":
		return true, true, nil
	case "false", "0":
		return false, true, nil
	case "":
		return false, false, nil
	}
	return false, false, p.fail(field, fmt.Errorf("is neither true nor false: %.40q", text))
}

// sign reads a credit or debit indicator: 1 for a credit, -1 for a debit, 0 where it says neither.
func (p *camt) sign() (int64, error) {
	text, err := p.x.text()
	if err != nil {
		return 0, err
	}
	switch string(text) {
	case "CRDT":
		return 1, nil
	case "DBIT":
		return -1, nil
	case "":
		return 0, nil
	}
	return 0, p.fail("CdtDbtInd", fmt.Errorf("is neither CRDT nor DBIT: %.40q", text))
}

// amount reads an amount of money in the currency that its attribute says.
func (p *camt) amount(field string) (money.Amount, error) {
	code := p.x.attr("Ccy")
	if len(code) == 0 {
		return money.Amount{}, errors.New("has no currency")
	}
	currency, err := p.currencyOf(code)
	if err != nil {
		return money.Amount{}, err
	}
	minor, err := p.minor(field)
	return money.Amount{Currency: currency, Minor: minor}, err
}

// amountIn is amount where the currency is c. Where it is another one, other is true and the amount is not read.
func (p *camt) amountIn(field string, c money.Currency) (minor int64, other bool, err error) {
	if code := p.x.attr("Ccy"); string(code) != string(c) && len(code) > 0 {
		return 0, true, nil
	}
	amount, err := p.amount(field)
	return amount.Minor, false, err
}

// currencyOf is money.ParseCurrency, which remembers the last one.
func (p *camt) currencyOf(code []byte) (money.Currency, error) {
	if string(code) != string(p.currency) {
		c, err := money.ParseCurrency(string(code))
		if err != nil {
			return "", err
		}
		p.currency, p.exponent = c, c.Exponent()
	}
	return p.currency, nil
}

// minor reads a decimal number, in minor units of the currency that was looked up last.
func (p *camt) minor(field string) (int64, error) {
	text, err := p.x.text()
	if err != nil {
		return 0, err
	}
	n, err := camtMinor(text, p.exponent)
	switch {
	case len(text) == 0:
		return 0, p.fail(field, errors.New("is empty"))
	case err != nil:
		return 0, p.fail(field, fmt.Errorf("%w: %.40q %s", err, text, p.currency))
	}
	return n, nil
}

// camtMinor is a decimal number in units of which an exponent's power of ten make one. As in XML Schema, either side of the
// point may be empty, and zeros at the end mean nothing; other decimals than there are for minor units are an error, and
// less than zero as well.
func camtMinor(b []byte, exponent int) (int64, error) {
	b = bytes.TrimPrefix(b, []byte("+"))
	whole, fraction, _ := bytes.Cut(b, []byte("."))
	if len(whole)+len(fraction) == 0 {
		return 0, money.ErrSyntax
	}
	var n int64
	for i := range len(whole) + max(len(fraction), exponent) {
		digit := byte('0')
		switch {
		case i < len(whole):
			digit = whole[i]
		case i-len(whole) < len(fraction):
			digit = fraction[i-len(whole)]
		}
		d := int64(digit) - '0'
		switch {
		case d < 0 || d > 9:
			return 0, money.ErrSyntax
		case i >= len(whole)+exponent && d != 0:
			return 0, money.ErrTooManyDecimals
		case i >= len(whole)+exponent:
		case n > (math.MaxInt64-d)/10:
			return 0, money.ErrOverflow
		default:
			n = 10*n + d
		}
	}
	return n, nil
}

// date reads a day, at midnight UTC: of a time, the day that it has where it was written. Nothing is the zero time.
func (p *camt) date(field string) (time.Time, error) {
	text, err := p.x.text()
	if err != nil || len(text) == 0 {
		return time.Time{}, err
	}
	const day = len(time.DateOnly)
	wrong := len(text) < day || len(text) > day && !strings.ContainsRune("TZ+-", rune(text[day]))
	if !wrong && string(text[:day]) != p.dayText {
		p.dayText = string(text[:day])
		p.day, err = time.Parse(time.DateOnly, p.dayText)
		wrong = err != nil
	}
	if wrong || len(bytes.Trim(text[day:], "TZ0123456789:.+-")) > 0 {
		p.dayText = ""
		return time.Time{}, p.fail(field, fmt.Errorf("is no day: %.40q", text))
	}
	return p.day, nil
}

// dateOf reads an element that has a day or a time in it.
func (p *camt) dateOf() (day time.Time, err error) {
	err = p.x.children(func(name []byte) (err error) {
		switch string(name) {
		case "Dt":
			day, err = p.date("Dt")
		case "DtTm":
			day, err = p.date("DtTm")
		}
		return err
	})
	return day, err
}

// camtAdd is a + b; false where that does not fit.
func camtAdd(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}
