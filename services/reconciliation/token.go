package reconciliation

import (
	"bytes"
	"hash/maphash"

	"github.com/tieout/tieout/services/reconciliation/match"
)

// tokens makes tokens of texts. Those of one maker go together, and no others: its seeds are random, so that nobody can write
// two texts that are taken for the same.
type tokens struct {
	first, second maphash.Seed
}

func newTokens() tokens { return tokens{maphash.MakeSeed(), maphash.MakeSeed()} }

// maxCarrier is how much of a carrier is normalised without another buffer.
const maxCarrier = 256

// of gives the token of a carrier's text; none for an empty one. Banks write in capitals and with spaces as they like, so
// these make no difference.
func (t tokens) of(text []byte) match.Token {
	if len(text) == 0 {
		return match.Token{}
	}
	var buffer [maxCarrier]byte
	normal := appendNormal(buffer[:0], text)
	if len(normal) == 0 {
		return match.Token{}
	}
	token := match.Token{maphash.Bytes(t.first, normal), maphash.Bytes(t.second, normal)}
	if token.IsZero() { // one in 2^128 texts
		token[0] = 1
	}
	return token
}

// appendNormal appends a carrier's text without spaces at its ends, with one between words, and in capitals of ASCII.
func appendNormal(b, text []byte) []byte {
	if bytes.IndexByte(text, ' ') >= 0 {
		text = bytes.Join(bytes.Fields(text), []byte{' '})
	}
	begin := len(b)
	b = append(b, text...)
	for i, c := range b[begin:] {
		if 'a' <= c && c <= 'z' {
			b[begin+i] = c - ('a' - 'A')
		}
	}
	return b
}
