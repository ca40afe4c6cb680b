package formats

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/tieout/tieout/pkg/money"
)

// mtEntry is a line as its :61: says.
type mtEntry struct {
	line      *Line
	debit     bool   // also when the amount is zero
	reference string // the customer's; "KREF+" and the like only say what is in :86:
	extra     string // further lines
}

// mtLine reads the content of a :61:
//
//	YYMMDD [MMDD] mark [letter] amount type reference [//bank reference]
//	[further details]
//
// where the entry date may be blanks, the letter is the last one of the currency, and the type is N, F or S with three more
// characters. Some banks leave the type out, put blanks before it, or pad the reference and write a name behind it.
func mtLine(text string, currency money.Currency) (mtEntry, error) {
	text, extra, _ := strings.Cut(text, "\n")
	entry := mtEntry{line: &Line{}, extra: mtClean(extra)}
	line := entry.line
	rest, err := line.takeDates(text)
	if err != nil {
		return mtEntry{}, err
	}
	mark, rest := mtMark(rest)
	if mark == "" {
		return mtEntry{}, fmt.Errorf("%.40q does not go on with C, D, RC, RD, EC or ED behind its dates", text)
	}
	if rest != "" && (mtCapital(rest[0]) || rest[0] >= 'a' && rest[0] <= 'z') {
		rest = rest[1:]
	}
	end := 0
	for end < len(rest) && (mtDigit(rest[end]) || rest[end] == ',') {
		end++
	}
	if line.Amount, err = mtAmount(rest[:end], currency); err != nil {
		return mtEntry{}, fmt.Errorf("amount: %w", err)
	}
	line.Pending, line.Reversal = mark[0] == 'E', mark[0] == 'R'
	if entry.debit = mark == "D" || mark == "ED" || mark == "RC"; entry.debit {
		line.Amount.Minor = -line.Amount.Minor
	}
	if line.Code, rest, err = mtType(strings.TrimLeft(rest[end:], " ")); err != nil {
		return mtEntry{}, err
	}
	entry.takeReferences(rest)
	return entry, nil
}

// takeDates reads the dates that a :61: begins with, and gives what is behind them.
func (l *Line) takeDates(text string) (rest string, err error) {
	if l.Value, err = mtDate(text); err != nil {
		return "", fmt.Errorf("value date: %w", err)
	}
	l.Booked = l.Value
	rest = strings.TrimLeft(text[6:], " ")
	if rest == "" || !mtDigit(rest[0]) {
		return rest, nil
	}
	if len(rest) < 4 || !mtAllDigits(rest[:4]) {
		return "", fmt.Errorf("entry date: %.40q is no date like 1231", rest)
	}
	if l.Booked, err = mtEntryDate(rest, l.Value); err != nil {
		return "", fmt.Errorf("entry date: %w", err)
	}
	return rest[4:], nil
}

// mtMark cuts off whether it is a credit or a debit, the reversal of one (R), or an expected one (E).
func mtMark(text string) (mark, rest string) {
	for _, mark := range [...]string{"C", "D", "RC", "RD", "EC", "ED"} {
		if rest, is := strings.CutPrefix(text, mark); is {
			return mark, rest
		}
	}
	return "", text
}

// mtType cuts off the type of the transaction.
func mtType(text string) (code, rest string, err error) {
	switch {
	case text == "" || strings.HasPrefix(text, "//") || strings.HasPrefix(text, "NONREF"):
		return "", text, nil
	case len(text) < 4 || text[0] != 'N' && text[0] != 'F' && text[0] != 'S':
		return "", "", fmt.Errorf("%.40q is no transaction type like NTRF", text)
	}
	code = strings.TrimRight(text[:4], " ")
	for i := range len(code) {
		if c := code[i]; !mtDigit(c) && !mtCapital(c) && (c < 'a' || c > 'z') {
			return "", "", fmt.Errorf("%.40q is no transaction type like NTRF", text[:4])
		}
	}
	return code, text[4:], nil
}

// mtReferenceSize is how long a reference may be. Banks that write longer ones write them as one word; what follows such
// a reference behind a slash, or behind the blanks that pad it, is a detail.
const mtReferenceSize = 16

// takeReferences reads what is behind the type of a :61:.
func (e *mtEntry) takeReferences(text string) {
	customer, bank, _ := strings.Cut(text, "//")
	if len(bank) > mtReferenceSize && bank[mtReferenceSize] == '/' {
		e.addExtra(bank[mtReferenceSize:])
		bank = bank[:mtReferenceSize]
	}
	customer = strings.TrimSpace(customer)
	if len(customer) > mtReferenceSize && customer[mtReferenceSize-1] == ' ' {
		e.addExtra(customer[mtReferenceSize:])
		customer = customer[:mtReferenceSize]
	}
	e.line.ID = mtReference(bank)
	switch e.reference = mtReference(customer); strings.TrimSuffix(e.reference, "+") {
	case "KREF", "EREF", "PREF", "MREF", "MARF":
		e.reference = ""
	}
}

// addExtra puts a detail before those of the second line.
func (e *mtEntry) addExtra(text string) { e.extra = mtClean(text + " " + e.extra) }

// mtReference is a reference, or nothing where it says that there is none.
func mtReference(text string) string {
	text = mtClean(text)
	switch text {
	case "NONREF", "NOTPROVIDED", "NOT PROVIDED":
		return ""
	}
	return text
}

// describe completes a line with what its :86: says.
func (r *mtReader) describe(entry mtEntry) {
	line, info := entry.line, mtInformation(r.state.info, &r.pieces)
	line.Kind = mtKind(line.Code, info, r.head.german)
	if info.code != "" {
		line.Code = strings.TrimPrefix(line.Code+"/"+info.code, "/")
	}
	line.Key, line.Text, line.Party, line.PartyAccount = info.key, info.text, info.party, info.account
	line.Reference = cmp.Or(info.reference, entry.reference, info.creditorReference)
	if line.PartyAccount == "" && mtIBAN(entry.reference) {
		line.PartyAccount = entry.reference
	}
	switch {
	case line.PartyAccount == "" && mtIBAN(entry.extra):
		line.PartyAccount = entry.extra
	case line.Text == "":
		line.Text = entry.extra
	case !strings.Contains(line.Text, entry.extra):
		line.Text += " " + entry.extra
	}
}

// mtIBAN says that a text is an IBAN: letters of a country, two digits and an account, with the remainder that they must
// have. Creditor references have it too, but theirs are RF.
func mtIBAN(text string) bool {
	if len(text) < 15 || len(text) > 34 || text[:2] == "RF" || !mtCapital(text[0]) || !mtCapital(text[1]) || !mtAllDigits(text[2:4]) {
		return false
	}
	remainder := 0
	for i := range len(text) {
		switch c := text[(i+4)%len(text)]; {
		case mtDigit(c):
			remainder = (remainder*10 + int(c-'0')) % 97
		case mtCapital(c):
			remainder = (remainder*100 + int(c-'A') + 10) % 97
		default:
			return false
		}
	}
	return remainder == 1
}

// mtGerman says that an account is kept in Germany: an IBAN, or eight digits of a bank and a number.
func mtGerman(account string) bool {
	bank, _, split := strings.Cut(account, "/")
	digits, iban := strings.CutPrefix(account, "DE")
	return iban && len(digits) == 20 && mtAllDigits(digits) || split && len(bank) == 8 && mtAllDigits(bank)
}

// mtKind says what a line is about, where its codes leave no doubt.
func mtKind(code string, info mtInfo, german bool) Kind {
	if len(code) == 4 {
		switch code[1:] {
		case "RTI", "RTN":
			return KindReturn
		case "CHG", "COM":
			return KindFee
		}
	}
	if info.returned {
		return KindReturn
	}
	if !german {
		return KindTransfer
	}
	switch info.code {
	case "108", "109", "110", "111", "159", "160", "181", "182", "183", "184": // debits, cards, cheques, transfers given back
		return KindReturn
	case "804", "806", "807", "808", "809": // for standing orders, postage, charges, fees, commission
		return KindFee
	}
	return KindTransfer
}
