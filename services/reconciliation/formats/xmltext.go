package formats

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

var errXMLChar = errors.New("has a character that XML does not have, or bytes that are no text in its encoding")

// xmlPlain says which bytes of a text stand for themselves and end nothing.
var xmlPlain = func() (plain [256]bool) {
	for c := range 0x80 {
		plain[c] = (c >= ' ' || isXMLSpace(byte(c))) && c != '<' && c != '&' && c != ']'
	}
	return plain
}()

func isXMLSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// chars reads text up to the next markup, or where it is that of a CDATA section, behind its end.
func (x *xmlReader) chars(section bool) error {
	for {
		b, i := x.buf[:x.w], x.r
		for i < len(b) && xmlPlain[b[i]] {
			i++
		}
		if x.keep {
			if x.value = append(x.value, b[x.r:i]...); len(x.value) > xmlMaxText {
				return errXMLText
			}
		}
		x.r = i
		if i == len(b) {
			if err := x.fill(); err != nil {
				return err
			}
			continue
		}
		c := b[i]
		if c == '<' && !section {
			return nil
		}
		end, err := x.special(c, section)
		if err != nil || end {
			return err
		}
	}
}

// special reads what is no plain text: a reference, what ends a section, a character that is not of ASCII.
func (x *xmlReader) special(c byte, section bool) (end bool, err error) {
	n, value := 1, x.value
	switch {
	case c == ']':
		if err := x.need(3); err != nil {
			return false, err
		}
		if string(x.buf[x.r:x.r+3]) == "]]>" {
			if !section {
				return false, errors.New(`has a "]]>" outside of a CDATA section`)
			}
			x.r += 3
			return true, nil
		}
		value = append(value, c)
	case c == '&' && !section:
		if err := x.need(xmlEntityLook); err != nil && !x.done {
			return false, err
		}
		value, n, err = appendXMLReference(value, x.buf[x.r:x.w])
	case c >= 0x80:
		if err := x.need(utf8.UTFMax); err != nil && !x.done {
			return false, err
		}
		value, n, err = x.appendRune(value, x.buf[x.r:x.w])
	case c == '<', c == '&':
		value = append(value, c)
	default:
		err = errXMLChar
	}
	x.r += n
	if x.keep {
		x.value = value
	}
	return false, err
}

// appendRune appends the character that b begins with, and gives how many bytes of b that are.
func (x *xmlReader) appendRune(text, b []byte) ([]byte, int, error) {
	if x.latin1 {
		return utf8.AppendRune(text, rune(b[0])), 1, nil
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 || !isXMLRune(r) {
		return text, n, errXMLChar
	}
	return append(text, b[:n]...), n, nil
}

func isXMLRune(r rune) bool {
	return r >= ' ' && r < 0xD800 || r >= 0xE000 && r < 0xFFFE || r >= 0x10000 && r <= 0x10FFFF || r == '\t' || r == '\n' || r == '\r'
}

// appendXMLReference appends what the reference stands for that b begins with, and gives its length.
func appendXMLReference(text, b []byte) ([]byte, int, error) {
	end := bytes.IndexByte(b[:min(len(b), xmlEntityLook)], ';')
	if end < 0 {
		return text, 0, errors.New(`has an "&" that begins no reference`)
	}
	name := string(b[1:end])
	switch name {
	case "amp":
		return append(text, '&'), end + 1, nil
	case "lt":
		return append(text, '<'), end + 1, nil
	case "gt":
		return append(text, '>'), end + 1, nil
	case "apos":
		return append(text, '\''), end + 1, nil
	case "quot":
		return append(text, '"'), end + 1, nil
	}
	base, digits := 10, ""
	if len(name) > 1 && name[0] == '#' {
		if digits = name[1:]; digits[0] == 'x' {
			base, digits = 16, digits[1:]
		}
	}
	code, err := strconv.ParseUint(digits, base, 32)
	if err != nil || code > utf8.MaxRune || !isXMLRune(rune(code)) {
		return text, 0, fmt.Errorf("has the reference %q, which stands for nothing", b[:end+1])
	}
	return utf8.AppendRune(text, rune(code)), end + 1, nil
}

// section reads a comment or a CDATA section.
func (x *xmlReader) section() error {
	x.at = x.r
	if err := x.need(4); err != nil {
		return err
	}
	if string(x.buf[x.r:x.r+4]) == "<!--" {
		x.r += 4
		if err := x.until("--"); err != nil {
			return err
		}
		if err := x.need(1); err != nil {
			return err
		}
		if x.buf[x.r] != '>' {
			return errors.New(`has a comment with "--" in it`)
		}
		x.r++
		return nil
	}
	const cdata = "<![CDATA["
	if err := x.need(len(cdata)); err != nil {
		return err
	}
	if string(x.buf[x.r:x.r+len(cdata)]) != cdata || len(x.open) == 0 {
		return fmt.Errorf("has %.10q: a document type or a declaration is not read", x.buf[x.r:x.w])
	}
	x.r += len(cdata)
	return x.chars(true)
}

// instruction passes over a processing instruction.
func (x *xmlReader) instruction() error {
	x.at = x.r
	if err := x.need(xmlMaxName); err != nil && !x.done {
		return err
	}
	b := x.buf[x.r+2 : x.w]
	i := 0
	for i < len(b) && xmlNames[b[i]] != 0 {
		i++
	}
	target := b[:i]
	if i == 0 || i == len(b) || xmlNames[b[0]] != 1 || !isXMLSpace(b[i]) && b[i] != '?' || bytes.EqualFold(target, []byte("xml")) {
		return fmt.Errorf("has a processing instruction that is none: %.40q", target)
	}
	return x.until("?>")
}

// until reads behind the next mark, which is of two bytes.
func (x *xmlReader) until(mark string) error {
	for {
		if i := bytes.Index(x.buf[x.r:x.w], []byte(mark)); i >= 0 {
			x.r += i + len(mark)
			return nil
		}
		x.r = max(x.w-1, x.r)
		if err := x.fill(); err != nil {
			return err
		}
	}
}

// root reads the beginning of the document, up to the end of the root's start tag.
func (x *xmlReader) root() error {
	if err := x.need(4); err != nil {
		return err
	}
	switch b := x.buf[x.r:x.w]; {
	case string(b[:3]) == "\ufeff":
		x.r += 3
	case b[0] == 0xFE && b[1] == 0xFF, b[0] == 0xFF && b[1] == 0xFE, b[0] == 0, b[1] == 0:
		return errors.New("is encoded in UTF-16 or UTF-32, and not in UTF-8 or ISO-8859-1")
	}
	if err := x.passSpace(); err != nil {
		return err
	}
	if err := x.need(6); err != nil && !x.done {
		return err
	}
	if b := x.buf[x.r:x.w]; len(b) > 5 && string(b[:5]) == "<?xml" && isXMLSpace(b[5]) {
		if err := x.xmlDeclaration(); err != nil {
			return err
		}
	}
	for {
		if err := x.passSpace(); err != nil {
			return err
		}
		if err := x.need(2); err != nil {
			return err
		}
		var err error
		switch {
		case x.buf[x.r] != '<':
			return fmt.Errorf("begins with %.10q, which is no element", x.buf[x.r:x.w])
		case x.buf[x.r+1] == '!':
			err = x.section()
		case x.buf[x.r+1] == '?':
			err = x.instruction()
		default:
			return x.startTag()
		}
		if err != nil {
			return err
		}
	}
}

// passSpace reads up to what is no white space.
func (x *xmlReader) passSpace() error {
	for {
		for ; x.r < x.w; x.r++ {
			if !isXMLSpace(x.buf[x.r]) {
				return nil
			}
		}
		if err := x.fill(); err != nil {
			return err
		}
	}
}

// xmlDeclaration reads in what version and encoding the document is.
func (x *xmlReader) xmlDeclaration() error {
	length := bytes.Index(x.buf[x.r:x.w], []byte("?>"))
	if length < 0 {
		return errors.New("has an XML declaration that does not end")
	}
	x.attrs, x.attrText = x.attrs[:0], x.attrText[:0]
	for b := bytes.TrimSpace(x.buf[x.r+5 : x.r+length]); len(b) > 0; b = bytes.TrimSpace(b) {
		n, err := x.attribute(b)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("has an XML declaration with %.40q in it", b)
		}
		b = b[n:]
	}
	x.r += length + 2
	if version := x.attr("version"); string(version) != "1.0" {
		return fmt.Errorf("is XML of version %.10q, and not 1.0", version)
	}
	switch encoding := bytes.ToUpper(x.attr("encoding")); string(encoding) {
	case "", "UTF-8", "UTF8", "US-ASCII", "ASCII":
	case "ISO-8859-1", "LATIN1":
		x.latin1 = true
	default:
		return fmt.Errorf("is encoded in %.40q, and not in UTF-8 or ISO-8859-1", encoding)
	}
	return nil
}

// end reads what is behind the root, where nothing but comments and processing instructions may be.
func (x *xmlReader) end() error {
	for {
		err := x.passSpace()
		if errors.Is(err, errXMLEnd) {
			return nil
		}
		if err == nil {
			err = x.need(2)
		}
		switch {
		case err != nil:
		case x.buf[x.r] == '<' && x.buf[x.r+1] == '!':
			err = x.section()
		case x.buf[x.r] == '<' && x.buf[x.r+1] == '?':
			err = x.instruction()
		default:
			err = fmt.Errorf("has %.10q behind its end", x.buf[x.r:x.w])
		}
		if err != nil {
			return err
		}
	}
}
