package formats

import (
	"bufio"
	"errors"
	"iter"
)

func readMT(_ *bufio.Reader, o Options) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		yield(Part{}, &Error{File: o.Name, Err: errors.New("is not read yet")})
	}
}
