package formats

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A bai2Record is a record with what continues it (88). Its fields end in a comma, and the last one of each line in a slash;
// so ",/" is an empty field. Only the text of a 16 is different: it may have both, and ends with its line, where a slash may
// be or not.
type bai2Record struct {
	code   string // "" where there is none
	at     int    // the line that it begins on
	before int    // how many records are before it

	held []byte // the fields, one behind the other
	ends []int  // where each ends in held

	textFrom int // how many fields are before the text; -1 while or where that is not known
	text     []byte
	openText bool // the text did not end in a slash, so that it may go on
}

// begin empties the record for the next one.
func (r *bai2Record) begin(code string, at, before int) {
	r.code, r.at, r.before = code, at, before
	r.held, r.ends, r.text = r.held[:0], r.ends[:0], r.text[:0]
	r.textFrom, r.openText = -1, false
}

// add takes what a line has of the record, and gives what is behind it on the line.
func (r *bai2Record) add(line []byte) (rest []byte, err error) {
	for r.textFrom < 0 || len(r.ends) < r.textFrom {
		end := bytes.IndexByte(line, ',')
		slash := bytes.IndexByte(line, '/')
		if end < 0 && slash < 0 {
			return nil, errors.New("does not end in a slash")
		}
		last := end < 0 || slash >= 0 && slash < end
		if last {
			end = slash
		}
		r.held = append(r.held, bytes.TrimSpace(line[:end])...)
		r.ends = append(r.ends, len(r.held))
		line = line[end+1:]
		if err := r.findText(); err != nil {
			return nil, err
		}
		if len(r.held)+len(r.ends) > maxBAI2Record {
			return nil, fmt.Errorf("is longer than %d bytes", maxBAI2Record)
		}
		if last {
			return line, nil
		}
	}
	return r.addText(line)
}

// findText finds out where the text of a 16 begins: behind type, amount, funds and two references.
func (r *bai2Record) findText() error {
	if r.code != "16" || r.textFrom >= 0 || len(r.ends) < 3 {
		return nil
	}
	extra, known, err := r.funds(2)
	if known && err == nil {
		r.textFrom = 3 + extra + 2
	}
	return err
}

// addText takes what a line has of the text.
func (r *bai2Record) addText(line []byte) (rest []byte, err error) {
	end := len(line)
	r.openText = true
	for i := bytes.IndexByte(line, '/'); i >= 0; {
		behind := bytes.TrimLeft(line[i+1:], " \t")
		if len(behind) == 0 || len(behind) < len(line)-i-1 && bai2FollowsText(behind) {
			end, rest, r.openText = i, behind, false
			break
		}
		next := bytes.IndexByte(line[i+1:], '/')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	if len(r.text) > 0 {
		r.text = append(r.text, ' ')
	}
	if r.text = append(r.text, line[:end]...); len(r.text) > maxBAI2Record {
		return nil, fmt.Errorf("is longer than %d bytes", maxBAI2Record)
	}
	return rest, nil
}

// bai2FollowsText says whether what is behind a slash and a space in a text is a record. Texts have slashes too, so it must
// look like one of those that can follow.
func bai2FollowsText(line []byte) bool {
	code, rest := bai2Code(line)
	switch code {
	case "16":
		kind, _, found := bytes.Cut(rest, []byte(","))
		_, err := parseBAI2Type(kind)
		return found && err == nil
	case "49":
		fields, _, found := bytes.Cut(rest, []byte("/"))
		total, records, two := bytes.Cut(fields, []byte(","))
		_, err := parseBAI2Number(total)
		_, err2 := parseBAI2Number(records)
		return found && two && err == nil && err2 == nil
	}
	return code == "88"
}

// field is a field, from 0; empty where the record has fewer.
func (r *bai2Record) field(i int) []byte {
	switch {
	case i >= len(r.ends):
		return nil
	case i == 0:
		return r.held[:r.ends[0]]
	}
	return r.held[r.ends[i-1]:r.ends[i]]
}

// maxBAI2Distribution is how many days funds may be distributed over.
const maxBAI2Distribution = 1000

// funds tells how many fields belong to the type of funds that is in a field; not known means that the record has to go on.
func (r *bai2Record) funds(i int) (extra int, known bool, err error) {
	switch kind := string(r.field(i)); kind {
	case "", "0", "1", "2", "Z":
		return 0, true, nil
	case "S": // available now, in one day, later
		return 3, true, nil
	case "V": // on a date, at a time
		return 2, true, nil
	case "D": // so many pairs of days and amounts
		if i+1 >= len(r.ends) {
			return 0, false, nil
		}
		n, err := parseBAI2Number(r.field(i + 1))
		if err != nil || n < 0 || n > maxBAI2Distribution {
			return 0, false, fmt.Errorf("funds type D is distributed over %.20q days", r.field(i+1))
		}
		return 1 + 2*int(n), true, nil
	default:
		return 0, false, fmt.Errorf("funds type %.20q is none of 0, 1, 2, S, V, D and Z", kind)
	}
}

// checkFunds reads what belongs to the type of funds in a field: it must be numbers, or for V a date, which it returns.
func (r *bai2Record) checkFunds(i int) (extra int, value time.Time, err error) {
	extra, known, err := r.funds(i)
	if err == nil && !known {
		err = errors.New("of type D does not say how many days it is distributed over")
	}
	for at := i + 1; at <= i+extra && err == nil; at++ {
		switch field := r.field(at); {
		case len(field) == 0:
		case at == i+1 && r.field(i)[0] == 'V':
			value, err = parseBAI2Day(field)
		default:
			_, err = parseBAI2Number(field)
		}
	}
	return extra, value, err
}

var errNoNumber = errors.New("is no whole number")

// parseBAI2Number reads a number, which may have a sign.
func parseBAI2Number(field []byte) (int64, error) {
	n, err := strconv.ParseInt(string(field), 10, 64)
	switch {
	case len(field) == 0:
		return 0, errEmpty
	case err != nil:
		return 0, fmt.Errorf("%.40q %w", field, errNoNumber)
	}
	return n, nil
}

// parseBAI2Type reads a type code: three digits.
func parseBAI2Type(field []byte) (int, error) {
	n := 0
	for _, c := range field {
		n = n*10 + int(c-'0')
		if c < '0' || c > '9' || len(field) != 3 {
			return 0, fmt.Errorf("%.20q is no type code of three digits", field)
		}
	}
	if len(field) == 0 {
		return 0, errEmpty
	}
	return n, nil
}

var bai2DayLayout = mustDateLayout("YYMMDD")

// parseBAI2Day reads a day.
func parseBAI2Day(field []byte) (time.Time, error) {
	if day, valid := bai2DayLayout.parse(string(field)); valid {
		return day, nil
	}
	return time.Time{}, wrongDate(string(field))
}

// bai2Text is a text for people. The format is of ASCII; what is not even UTF-8 is read as ISO-8859-1, and control characters,
// with which some systems pad, are spaces.
func bai2Text(raw []byte) string {
	clean := true
	for _, c := range raw {
		clean = clean && c >= ' ' && c < 0x7f
	}
	if clean {
		return oneLine(string(raw))
	}
	latin := !utf8.Valid(raw)
	var text strings.Builder
	for i := 0; i < len(raw); {
		c, size := utf8.DecodeRune(raw[i:])
		if latin {
			c, size = rune(raw[i]), 1
		}
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			c = ' '
		}
		text.WriteRune(c)
		i += size
	}
	return oneLine(text.String())
}
