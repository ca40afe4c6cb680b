package formats

import (
	"cmp"
	"strings"
	"unicode/utf8"
)

// mtInfo is what a :86: says.
type mtInfo struct {
	code              string // the business code of German banks, three digits
	key               string
	reference         string
	creditorReference string
	text              string
	party, account    string
	returned          bool
}

// mtWidth is how wide the lines of a :86: are, and mtFieldWidth the subfields of one, in characters.
const (
	mtWidth      = 65
	mtFieldWidth = 27
)

// mtInformation reads the content of a :86:. There are three kinds:
//
//   - subfields behind a business code, "166?00GUTSCHRIFT?20EREF+4711?21SVWZ+…" (Germany and its neighbours; the mark is
//     one of ? > < ^ ~ |). Lines break anywhere in it, and are joined as they are; only a line that is one short of the
//     width that others have lost a blank. Subfields of 27 characters go on in the next one, shorter ones end a word.
//     ?20-?29 and ?60-?65 are the remittance information, where EREF+ is the key, KREF+ the reference, and other labels are
//     cut out; the text is what is left of it, or else the booking text ?00. ?32 and ?33 are the party, ?38 or ?31 its
//     account, with the bank code ?30 before it where it is a number.
//   - "/EREF/4711//REMI/USTD//…/" with words between slashes (the Netherlands): /EREF/ is the key, /KREF/ or /PREF/ the
//     reference, /REMI/ the text, /NAME/ and /IBAN/ or /CNTP/ the party. Without /REMI/ the text is all of it.
//   - text for people.
//
// In the last two, lines of full width are joined as they are and shorter ones end a word.
func mtInformation(raw []byte, pieces *mtPieces) mtInfo {
	if len(raw) == 0 {
		return mtInfo{}
	}
	text := mtDecode(raw)
	if code, mark, start := mtSubfields(text); mark != 0 {
		info := mtInfo{code: code}
		info.takeSubfields(mtJoinSubfields(text[start:])[len(code):], mark, pieces)
		return info
	}
	text = mtJoinText(text)
	if info, is := mtWords(text); is {
		return info
	}
	return mtInfo{text: mtClean(text)}
}

// mtSubfields says whether a text is of subfields: what its code is, what marks them, and where it begins.
func mtSubfields(text string) (code string, mark byte, start int) {
	rest := strings.TrimLeft(text, " ")
	start = len(text) - len(rest)
	if len(rest) > 3 && mtAllDigits(rest[:3]) {
		code, rest = rest[:3], strings.TrimPrefix(rest[3:], "\n")
	}
	if len(rest) < 3 || strings.IndexByte("?><^~|", rest[0]) < 0 || mtNextSubfield(rest, rest[0]) != 0 {
		return "", 0, 0
	}
	return code, rest[0], start
}

// mtJoinSubfields joins the lines of a text of subfields.
func mtJoinSubfields(text string) string {
	if strings.IndexByte(text, '\n') < 0 {
		return text
	}
	full := 0
	for line := range strings.SplitSeq(text, "\n") {
		full = max(full, utf8.RuneCountInString(line))
	}
	var joined strings.Builder
	joined.Grow(len(text))
	for line := range strings.SplitSeq(text, "\n") {
		joined.WriteString(line)
		if full == mtWidth && utf8.RuneCountInString(line) == mtWidth-1 {
			joined.WriteByte(' ')
		}
	}
	return joined.String()
}

// mtJoinText joins the lines of any other text. Some banks count the tag as part of the first one.
func mtJoinText(text string) string {
	if strings.IndexByte(text, '\n') < 0 {
		return text
	}
	var joined strings.Builder
	joined.Grow(len(text) + len(text)/mtWidth)
	tag := len(":86:")
	for line := range strings.SplitSeq(text, "\n") {
		joined.WriteString(line)
		if width := utf8.RuneCountInString(line); width < mtWidth && width+tag != mtWidth {
			joined.WriteByte(' ')
		}
		tag = 0
	}
	return joined.String()
}

// mtPieces joins subfields; it is used again for every line.
type mtPieces struct {
	remittance, party, text mtPiece
}

// mtPiece is text of several subfields, with \n where one ended a word.
type mtPiece struct {
	text []byte
	ends bool
}

func (p *mtPiece) add(text string) {
	if p.ends && len(p.text) > 0 {
		p.text = append(p.text, '\n')
	}
	p.text = append(p.text, text...)
	p.ends = len(text) < mtFieldWidth || utf8.RuneCountInString(text) < mtFieldWidth
}

func (p *mtPieces) reset() {
	for _, piece := range []*mtPiece{&p.remittance, &p.party, &p.text} {
		piece.text, piece.ends = piece.text[:0], false
	}
}

// takeSubfields reads "?00GUTSCHRIFT?20…".
func (i *mtInfo) takeSubfields(text string, mark byte, pieces *mtPieces) {
	pieces.reset()
	var booking, bank, account, iban string
	for text != "" {
		field := text[1:3]
		content := text[3:]
		end := mtNextSubfield(content, mark)
		content, text = content[:end], content[end:]
		switch field[0] {
		case '0':
			booking = content
		case '2', '6':
			pieces.remittance.add(content)
		case '3':
			switch field[1] {
			case '0':
				bank = content
			case '1':
				account = content
			case '2', '3':
				pieces.party.add(content)
			case '8':
				iban = content
			}
		}
	}
	i.takeRemittance(string(pieces.remittance.text), &pieces.text)
	if i.text == "" {
		i.text = mtClean(booking)
	}
	if len(pieces.party.text) > 0 {
		i.party = mtClean(string(pieces.party.text))
	}
	bank, i.account = mtWithoutBlanks(bank), mtWithoutBlanks(account)
	if iban = mtWithoutBlanks(iban); iban != "" {
		i.account = iban
	} else if i.account != "" && mtAllDigits(bank) {
		i.account = bank + "/" + i.account
	}
}

// mtNextSubfield is where the next subfield begins: behind its mark are two digits that name one.
func mtNextSubfield(text string, mark byte) int {
	for at := 0; ; at++ {
		next := strings.IndexByte(text[at:], mark)
		if next < 0 {
			return len(text)
		}
		at += next
		if len(text) < at+3 || !mtDigit(text[at+2]) {
			continue
		}
		switch c := text[at+2]; text[at+1] {
		case '0', '1':
			if c == '0' {
				return at
			}
		case '2', '7':
			return at
		case '3':
			if c < '9' {
				return at
			}
		case '6':
			if c < '6' {
				return at
			}
		}
	}
}

// takeRemittance reads the remittance information, in which labels such as EREF+ may begin what is for programs. A value
// that does is of the subfields that go on in one another; behind them is text.
func (i *mtInfo) takeRemittance(text string, left *mtPiece) {
	for text != "" {
		begins, ends := mtLabel(text)
		left.text = append(append(left.text, ' '), text[:begins]...)
		if begins == len(text) {
			break
		}
		label := text[begins:ends]
		text = text[ends:]
		if label == "SVWZ+" {
			continue
		}
		next, _ := mtLabel(text)
		value, rest, _ := strings.Cut(text[:next], "\n")
		i.takeLabel(label, mtReference(value))
		left.text = append(append(left.text, ' '), rest...)
		text = text[next:]
	}
	i.text = mtClean(string(left.text))
}

func (i *mtInfo) takeLabel(label, value string) {
	switch {
	case label == "EREF+" && i.key == "":
		i.key = value
	case label == "KREF+" && i.reference == "":
		i.reference = value
	case (label == "ABWA+" || label == "ABWE+") && i.party == "":
		i.party = value
	}
}

// mtLabel is where the next label begins and ends.
func mtLabel(text string) (begins, ends int) {
	for at := 4; at < len(text); at++ {
		next := strings.IndexByte(text[at:], '+')
		if next < 0 {
			break
		}
		at += next
		switch text[at-4 : at] {
		case "EREF", "KREF", "MREF", "CRED", "DEBT", "SVWZ", "ABWA", "ABWE", "IBAN", "PURP", "COAM", "OAMT", "RREF", "ANAM":
			return at - 4, at + 1
		}
	}
	return len(text), len(text)
}

// mtWords reads "/EREF/4711//REMI/…/", if that is what a text begins with. Of a word that is there twice the first counts:
// remittance information may hold anything.
func mtWords(text string) (info mtInfo, is bool) {
	text = strings.TrimLeft(text, " ")
	word, begins := mtWord(text, 0)
	if word == "" || begins != 0 {
		return mtInfo{}, false
	}
	for word != "" {
		from := begins + len(word) + 2
		next, at := mtWord(text, from-1)
		info.takeWord(word, text[min(from, at):at])
		word, begins = next, at
	}
	if info.text == "" {
		info.text = mtClean(text)
	}
	return info, true
}

func (i *mtInfo) takeWord(word, value string) {
	var into *string
	switch word {
	case "EREF":
		into = &i.key
	case "KREF", "PREF":
		into = &i.reference
	case "NAME":
		into = &i.party
	case "IBAN", "BBAN", "ACCW":
		into = &i.account
		value, _, _ = strings.Cut(value, ",")
	case "CNTP": // account/bank/name/city
		parts := strings.SplitN(value, "/", 4)
		i.account = cmp.Or(i.account, mtClean(parts[0]))
		if len(parts) > 2 {
			i.party = cmp.Or(i.party, mtClean(parts[2]))
		}
	case "RTRN": // a reason, such as AC04
		reason := strings.Trim(value, "/ ")
		i.returned = i.returned || len(reason) == 4 && mtCapital(reason[0]) && mtCapital(reason[1])
	case "REMI":
		into = &i.text
		value = strings.TrimPrefix(value, "USTD//")
		if structured, is := strings.CutPrefix(strings.TrimRight(value, "/ "), "STRD/"); is {
			i.creditorReference = mtReference(structured[strings.LastIndexByte(structured, '/')+1:])
		}
	}
	if into != nil && *into == "" {
		*into = mtReference(strings.Trim(value, "/ "))
	}
}

// mtWord finds the next word between slashes.
func mtWord(text string, from int) (word string, begins int) {
	for at := from; at < len(text); at++ {
		next := strings.IndexByte(text[at:], '/')
		if next < 0 {
			break
		}
		at += next
		if len(text) < at+6 || text[at+5] != '/' && (text[at+4] != '/' || text[at+1:at+4] != "BIC") {
			continue
		}
		switch found := text[at+1 : at+4+strings.IndexByte(text[at+4:at+6], '/')]; found {
		case "EREF", "KREF", "PREF", "IREF", "MARF", "CSID", "TRTP", "TRCD", "IBAN", "BBAN", "BIC", "NAME", "ADDR", "ACCW",
			"REMI", "RTRN", "ISDT", "PURP", "CNTP", "ORDP", "BENM", "ULTD", "ULTB", "ULTC", "UDTR", "UCRD", "SVCL", "BUSP":
			return found, at
		}
	}
	return "", len(text)
}
