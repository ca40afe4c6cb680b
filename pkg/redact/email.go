package redact

import "strings"

// The longest names and domains that there are.
const (
	maxLocal  = 64
	maxDomain = 255
)

// email finds the address around s[i], which is an @ or the % of %40; it does not reach back beyond kept.
func email(s string, i, kept int) finding {
	sign := 1
	if s[i] == '%' {
		if !strings.HasPrefix(s[i:], "%40") {
			return finding{}
		}
		sign = len("%40")
	}
	from := i
	for from > max(kept, i-maxLocal) && (isName(s[from-1]) || s[from-1] >= 0x80 || strings.IndexByte("+%!#$&*?^{|}~", s[from-1]) >= 0) {
		from--
	}
	to, dot := i+sign, 0
	for to < min(len(s), i+maxDomain) && (isLetter(s[to]) || isDigit(s[to]) || s[to] == '-' || s[to] == '.' || s[to] >= 0x80) {
		if s[to] == '.' {
			dot = to
		}
		to++
	}
	for to > dot+1 && s[to-1] == '-' {
		to--
	}
	if dot == to-1 && dot > 0 { // the end of a sentence
		to = dot
		dot = strings.LastIndexByte(s[:to], '.')
	}
	if from == i || dot <= i+sign || to-dot < 3 || isDigit(s[dot+1]) {
		return finding{} // no name, no domain, or a version
	}
	return finding{from, to, Email}
}
