package redact

import "strings"

// What is written instead.
const (
	Card   = "[card]"
	Email  = "[e-mail]"
	Secret = "[secret]"
)

// finding is a piece of a text that is to go, and what is written instead; the zero finding is none.
type finding struct {
	from, to int
	mark     string
}

// Text gives s without what must not be kept. It gives s itself, and allocates nothing, when there is nothing of the kind.
func Text(s string) string {
	var out strings.Builder
	kept := 0 // what is before it has been written, or is gone
	for i := 0; i < len(s); i++ {
		var f finding
		switch looks[s[i]] {
		case plain:
			continue
		case digit:
			if i > 0 && isDigit(s[i-1]) && i > kept {
				continue // not where a number begins
			}
			f = card(s, i)
		case assigns:
			if f = userinfo(s, i); f.mark == "" {
				f = value(s, i)
			}
		case at:
			f = email(s, i, kept)
		case opens:
			f = credential(s, i, kept)
		}
		if f.mark == "" {
			continue
		}
		out.WriteString(s[kept:f.from])
		out.WriteString(f.mark)
		kept, i = f.to, f.to-1
	}
	if kept == 0 {
		return s
	}
	out.WriteString(s[kept:])
	return out.String()
}

// look is what a byte may be the sign of.
type look uint8

const (
	plain   look = iota
	digit        // of a card number
	assigns      // a name stands before it, and a value after it
	at           // an e-mail address is around it
	opens        // a credential that is known by how it begins
)

var looks = func() (table [256]look) {
	for c := '0'; c <= '9'; c++ {
		table[c] = digit
	}
	table['='], table[':'], table['@'], table['%'] = assigns, assigns, at, at
	for c, known := range credentials {
		if len(known) > 0 {
			table[c] = opens
		}
	}
	return table
}()

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }
