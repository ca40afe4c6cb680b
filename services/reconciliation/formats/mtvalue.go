package formats

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tieout/tieout/pkg/money"
)

// mtDate reads YYMMDD. Years from 80 on are of the 20th century, as SWIFT defines it: 1980 to 2079.
func mtDate(text string) (time.Time, error) {
	if len(text) < 6 || !mtAllDigits(text[:6]) {
		return time.Time{}, fmt.Errorf("%.40q is no date like 991231", text)
	}
	year := 2000 + mtTwo(text[:2])
	if year >= 2080 {
		year -= 100
	}
	return mtDay(year, mtTwo(text[2:4]), mtTwo(text[4:6]))
}

// mtDay is a day at midnight. Banks that count 30 days a month write 30 February: a day from 29 to 31 behind the end of its
// month is the last day of that month. Anything else that no calendar has is an error.
func mtDay(year, month, day int) (time.Time, error) {
	if month < 1 || month > 12 {
		return time.Time{}, fmt.Errorf("there is no month %d", month)
	}
	if day < 1 || day > 31 {
		return time.Time{}, fmt.Errorf("no month has a day %d", day)
	}
	date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if date.Day() != day {
		return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC), nil
	}
	return date, nil
}

// mtEntryDate reads MMDD. It is of the year in which it is nearest to the value date.
func mtEntryDate(text string, value time.Time) (time.Time, error) {
	var nearest time.Time
	for year := value.Year() - 1; year <= value.Year()+1; year++ {
		date, err := mtDay(year, mtTwo(text[:2]), mtTwo(text[2:4]))
		if err != nil {
			return time.Time{}, err
		}
		if nearest.IsZero() || date.Sub(value).Abs() < nearest.Sub(value).Abs() {
			nearest = date
		}
	}
	return nearest, nil
}

func mtTwo(text string) int { return int(text[0]-'0')*10 + int(text[1]-'0') }

func mtAllDigits(text string) bool {
	for i := range len(text) {
		if !mtDigit(text[i]) {
			return false
		}
	}
	return len(text) > 0
}

// mtDigits reads digits and nothing else.
func mtDigits(text string, highest int64) (n int64, is bool) {
	if !mtAllDigits(text) {
		return 0, false
	}
	for i := range len(text) {
		digit := int64(text[i] - '0')
		if n > (highest-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}

// mtAmount reads "380115,12", "380115," or "380115": a comma, with digits before or behind it. Decimals that the currency
// does not have may be zeros.
func mtAmount(text string, currency money.Currency) (money.Amount, error) {
	whole, fraction, _ := strings.Cut(text, ",")
	if whole == "" && fraction == "" || whole != "" && !mtAllDigits(whole) || fraction != "" && !mtAllDigits(fraction) {
		return money.Amount{}, fmt.Errorf("%w: %.40q is not a number like 12,34", money.ErrSyntax, text)
	}
	exponent := currency.Exponent()
	if len(fraction) > exponent {
		if strings.Trim(fraction[exponent:], "0") != "" {
			return money.Amount{}, fmt.Errorf("%w: %.40q, but %s has %d", money.ErrTooManyDecimals, text, currency, exponent)
		}
		fraction = fraction[:exponent]
	}
	minor := int64(0)
	for i := range len(whole) + exponent {
		digit := int64(0)
		switch {
		case i < len(whole):
			digit = int64(whole[i] - '0')
		case i < len(whole)+len(fraction):
			digit = int64(fraction[i-len(whole)] - '0')
		}
		if minor > (math.MaxInt64-digit)/10 {
			return money.Amount{}, fmt.Errorf("%w: %.40q %s", money.ErrOverflow, text, currency)
		}
		minor = minor*10 + digit
	}
	return money.Amount{Currency: currency, Minor: minor}, nil
}

// mtDecode makes text of bytes: UTF-8 if it is that, and else Latin-1, which is never wrong but may be another.
func mtDecode(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	decoded := make([]rune, len(text))
	for i, c := range text {
		decoded[i] = rune(c)
	}
	return string(decoded)
}

// mtBlank says how many bytes of UTF-8 at the beginning are a blank: a space of any kind, or a control character.
func mtBlank(text string) int {
	if c := text[0]; c < utf8.RuneSelf {
		if c <= ' ' || c == 0x7f {
			return 1
		}
		return 0
	}
	if r, size := utf8.DecodeRuneInString(text); unicode.IsSpace(r) || unicode.IsControl(r) {
		return size
	}
	return 0
}

// mtClean is text with one space between words and none around it.
func mtClean(text string) string {
	text = strings.Trim(text, " \n")
	clean := true
	for i := 0; i < len(text) && clean; i++ {
		clean = mtBlank(text[i:]) == 0 || text[i] == ' ' && text[i-1] != ' '
	}
	if clean {
		return text
	}
	return mtFold(text, " ")
}

// mtWithoutBlanks is text without any.
func mtWithoutBlanks(text string) string {
	for i := range len(text) {
		if mtBlank(text[i:]) > 0 {
			return mtFold(text, "")
		}
	}
	return text
}

// mtFold puts something else for runs of blanks within a text.
func mtFold(text, between string) string {
	folded := make([]byte, 0, len(text))
	blank := false
	for i := 0; i < len(text); {
		if n := mtBlank(text[i:]); n > 0 {
			i, blank = i+n, true
			continue
		}
		if blank && len(folded) > 0 {
			folded = append(folded, between...)
		}
		folded, blank = append(folded, text[i]), false
		i++
	}
	return string(folded)
}
