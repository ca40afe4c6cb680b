package formats

import (
	"errors"
	"iter"
	"strings"
)

// emit hands out a part. Its error ends the parser, which returns it as it is.
type emit func(Part) error

// errEnough is the error of an emit when nobody wants more parts.
var errEnough = errors.New("nobody reads on")

// emitted is what a parser hands out, and the error that ended it.
func emitted(parse func(emit) error) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		err := parse(func(p Part) error {
			if !yield(p, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough {
			yield(Part{}, err)
		}
	}
}

// oneLine is a text with one space between its words, and none around them.
func oneLine(text string) string {
	for i := range len(text) {
		switch c := text[i]; {
		case c > ' ' && c < 0x7f:
		case c == ' ' && i > 0 && i < len(text)-1 && text[i-1] != ' ':
		default:
			return strings.Join(strings.Fields(text), " ")
		}
	}
	return text
}
