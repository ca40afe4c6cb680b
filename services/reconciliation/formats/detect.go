package formats

import (
	"bytes"
	"encoding/xml"
	"io"
	"slices"
	"strings"

	"github.com/tieout/tieout/pkg/rowfile"
)

// Detect tells the format of a file by how it begins; mapped says that a mapping of its columns is known. It knows a format
// only by what no other has; where that is not at the beginning, or where there is something of two formats, it is not known:
// a file that is read as what it is not is worse than one that somebody has to name the format of.
func Detect(head []byte, mapped bool) (Format, bool) {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	if len(text) == 0 || bytes.IndexByte(text, 0) >= 0 {
		return "", false // nothing, or nothing that is text, such as UTF-16
	}
	if text[0] == '<' {
		return detectCamt(text)
	}
	if format, swift := detectMT(text); swift {
		return format, format != ""
	}
	switch {
	case isBAI2(text):
		return BAI2, true
	case isStripe(text):
		return Stripe, true
	case mapped && !bytes.ContainsAny(text[:1], "{:"):
		return CSV, true
	}
	return "", false
}

// detectCamt looks at the document's element and the first one in it: what their namespace and their names say must not be
// two formats.
func detectCamt(text []byte) (Format, bool) {
	in := xml.NewDecoder(bytes.NewReader(text))
	in.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // names are of ASCII
	var said []Format
	for depth := 0; depth < 2; {
		token, err := in.RawToken()
		if err != nil {
			break // the head may end here
		}
		element, begins := token.(xml.StartElement)
		if !begins {
			continue
		}
		name := detectMessages[element.Name.Local]
		if depth++; depth == 1 && name != "" {
			depth++
		} else if depth == 1 && element.Name.Local != "Document" {
			return "", false
		}
		said = append(said, detectNamespace(element), name)
	}
	said = slices.Compact(slices.DeleteFunc(said, func(f Format) bool { return f == "" }))
	if len(said) != 1 || said[0] == detectOther {
		return "", false
	}
	return said[0], true
}

// detectMessages are the elements of messages that are read.
var detectMessages = map[string]Format{"BkToCstmrStmt": Camt053, "BkToCstmrDbtCdtNtfctn": Camt054}

// detectOther is a message of the family that is not read.
const detectOther Format = "camt"

// detectNamespace is the format that the namespace of an element is of, if it declares it.
func detectNamespace(element xml.StartElement) Format {
	for _, attr := range element.Attr {
		name := xml.Name{Space: "xmlns", Local: element.Name.Space}
		if element.Name.Space == "" {
			name = xml.Name{Local: "xmlns"}
		}
		switch {
		case attr.Name != name:
		case strings.Contains(attr.Value, "camt.053."):
			return Camt053
		case strings.Contains(attr.Value, "camt.054."):
			return Camt054
		case strings.Contains(attr.Value, "camt."):
			return detectOther
		}
	}
	return ""
}

// maxPreamble is how many lines may be before the first field of a SWIFT message. Some banks write the name of the format
// and of the bank there.
const maxPreamble = 8

// detectMT looks at the fields of the first message, up to its first line: what :20: begins is an MT940 if it has booked
// balances, and an MT942 if it has a floor limit or a time. swift says that it is a SWIFT message, whatever it has.
func detectMT(text []byte) (format Format, swift bool) {
	conflict := false
	found := func(f Format) {
		conflict = conflict || format != "" && format != f
		format = f
	}
	number := 0
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		number++
		if !swift {
			// The field may stand behind the blocks of the message's envelope.
			for block, blockFormat := range map[string]Format{"{2:O940": MT940, "{2:I940": MT940, "{2:O942": MT942, "{2:I942": MT942} {
				if bytes.Contains(line, []byte(block)) {
					found(blockFormat)
				}
			}
			if i := bytes.LastIndex(line, []byte("{4:")); i >= 0 && bytes.HasPrefix(line, []byte("{1:")) {
				line = bytes.TrimSpace(line[i+3:])
			}
			if !bytes.HasPrefix(line, []byte(":20:")) {
				if number > maxPreamble {
					return "", false
				}
				continue
			}
			swift = true
			continue
		}
		switch {
		case hasAnyPrefix(line, ":60F:", ":60M:", ":62F:", ":62M:"):
			found(MT940)
		case hasAnyPrefix(line, ":34F:", ":13D:", ":13:"):
			found(MT942)
		}
		if hasAnyPrefix(line, ":61:", ":86:", ":20:", "-") {
			break
		}
	}
	if conflict || !swift {
		return "", swift
	}
	return format, true
}

func hasAnyPrefix(line []byte, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(string(line), prefix) {
			return true
		}
	}
	return false
}

// isBAI2 says whether a file begins with a whole file header of version 2: other files may begin with "01," too.
func isBAI2(text []byte) bool {
	fields, _, found := bytes.Cut(text, []byte("/"))
	if code, _ := bai2Code(text); !found || code != "01" || bytes.ContainsAny(fields, "\r\n") {
		return false
	}
	r := bai2Record{}
	r.begin("01", 1, 0)
	if _, err := r.add(text[3:]); err != nil || len(r.ends) != 8 || string(r.field(7)) != "2" {
		return false
	}
	_, err := parseBAI2Day(r.field(2))
	return err == nil
}

// isStripe says whether a file begins with a heading that has the columns of the report.
func isStripe(text []byte) bool {
	for row, err := range rowfile.CSV(bytes.NewReader(text), maxRow) {
		if err != nil {
			return false
		}
		s := stripeReader{out: func(Part) error { return nil }}
		_, err = s.locate(row)
		return err == nil
	}
	return false
}
