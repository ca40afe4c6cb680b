package formats

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
)

func readCSV(_ *bufio.Reader, o Options) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		yield(Part{}, &Error{File: o.Name, Err: errors.New("is not read yet")})
	}
}

// A Mapping says what the columns of a CSV file mean.
type Mapping struct{}

// ParseMapping reads a mapping, a JSON object.
func ParseMapping(data []byte) (*Mapping, error) {
	m := &Mapping{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("reading the mapping: %w", err)
	}
	return m, nil
}
