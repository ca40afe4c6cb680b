package matchtest

import (
	"crypto/sha256"

	"github.com/tieout/tieout/services/reconciliation/match"
)

// Line is a row with its texts.
type Line struct {
	// Name is unique among all lines.
	Name     string
	Kind     match.Kind
	Standing match.Standing
	// Amount and Fee are in minor units.
	Amount, Fee int64
	FeeKnown    bool
	Day, Due    match.Day
	// Carriers are what it may be found by, as written.
	Carriers [match.NumCarriers]string
	// Text is what Input.Texts gives.
	Text string
}

// Key is made of the name.
func (l Line) Key() match.Key {
	sum := sha256.Sum256([]byte(l.Name))
	return match.Key(sum[:16])
}

// Row is the line as matching sees it.
func (l Line) Row(tokens Tokens) match.Row {
	row := match.Row{
		Key: l.Key(), Amount: l.Amount, Fee: l.Fee, FeeKnown: l.FeeKnown, Day: l.Day, Due: l.Due, Kind: l.Kind, Standing: l.Standing,
	}
	for c, text := range l.Carriers {
		row.Carriers[c] = tokens.Of(text)
	}
	return row
}

// Tokens makes tokens. Another value makes others, as another process does.
type Tokens uint64

// Of is the token of a text; the empty text has none.
func (s Tokens) Of(text string) match.Token {
	if text == "" {
		return match.Token{}
	}
	const prime = 0x100000001B3
	a, b := uint64(s)^0xCBF29CE484222325, ^uint64(s)*prime
	for i := range len(text) {
		a = (a ^ uint64(text[i])) * prime
		b = (b+uint64(text[i]))*0x9E3779B97F4A7C15 ^ b>>31
	}
	return match.Token{a, b}
}
