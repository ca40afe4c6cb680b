package formats

import (
	"bufio"
	"errors"
	"iter"
)

func readBAI2(_ *bufio.Reader, o Options) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		yield(Part{}, &Error{File: o.Name, Err: errors.New("is not read yet")})
	}
}
