package reconciliation

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
)

// canon is the canonical form of what a run comes to in a partition, of which only the hash is kept: lines of text on what goes in,
// and then matches and findings as package match has them. It names movements by their keys, so that it is the same in every
// database. docs/reconciliation.md says what is in it.
type canon struct {
	hash hash.Hash
	text []byte // not hashed yet
}

const canonBuffer = 1 << 16

func newCanon() *canon { return &canon{hash: sha256.New(), text: make([]byte, 0, canonBuffer)} }

// word adds a word, with a space behind it.
func (c *canon) word(s string) *canon {
	c.text = append(append(c.text, s...), ' ')
	return c
}

// quoted adds what people wrote.
func (c *canon) quoted(s string) *canon {
	c.text = append(strconv.AppendQuote(c.text, s), ' ')
	return c
}

func (c *canon) number(n int64) *canon {
	c.text = append(strconv.AppendInt(c.text, n, 10), ' ')
	return c
}

func (c *canon) bytes(b []byte) *canon {
	c.text = append(hex.AppendEncode(c.text, b), ' ')
	return c
}

// end ends a line.
func (c *canon) end() {
	c.text[len(c.text)-1] = '\n'
	c.flush()
}

// flush hashes what has gathered when it is much.
func (c *canon) flush() {
	if len(c.text) > canonBuffer*3/4 {
		c.hash.Write(c.text)
		c.text = c.text[:0]
	}
}

// sum gives the hash of all that was added.
func (c *canon) sum() []byte {
	c.hash.Write(c.text)
	c.text = c.text[:0]
	return c.hash.Sum(nil)
}
