package reconciliation

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"

	"github.com/tieout/tieout/services/reconciliation/match"
)

// canon is the canonical text of what a run comes to in a partition, of which only the hash is kept. It names movements by
// their keys, so that it is the same in every database. docs/reconciliation.md says what is in it.
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

// keys adds the keys of rows, in their order and with commas; "-" for none.
func (c *canon) keys(rows []match.Row, places []int32) *canon {
	switch len(places) {
	case 0:
		c.text = append(c.text, '-')
	case 1:
		c.text = hex.AppendEncode(c.text, rows[places[0]].Key[:])
	default:
		keys := make([]match.Key, len(places))
		for i, p := range places {
			keys[i] = rows[p].Key
		}
		slices.SortFunc(keys, compareKeys)
		for i, k := range keys {
			if i > 0 {
				c.text = append(c.text, ',')
			}
			c.text = hex.AppendEncode(c.text, k[:])
		}
	}
	c.text = append(c.text, ' ')
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

func (c *canon) match(in *match.Input, m match.Match) {
	c.word("match").number(int64(m.Pass)).number(int64(m.OursBy)).number(int64(m.TheirsBy)).number(int64(m.Score)).
		keys(in.Ours, m.Ours).keys(in.Theirs, m.Theirs).quoted(m.Evidence).end()
}

// sum gives the hash of all that was added.
func (c *canon) sum() []byte {
	c.hash.Write(c.text)
	c.text = c.text[:0]
	return c.hash.Sum(nil)
}
