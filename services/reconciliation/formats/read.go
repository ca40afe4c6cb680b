package formats

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/tieout/tieout/pkg/money"
)

// Options say what is known of a file besides its content.
type Options struct {
	// Name is the file's, for errors.
	Name string
	// Format is the file's; empty for what its beginning says ([Detect]).
	Format Format
	// Currency is that of the lines where the file names none.
	Currency money.Currency
	// Mapping says what the columns of a CSV file mean. Without one it is read as a format of its own.
	Mapping *Mapping
}

// detectWithin is how much of a file its format is read from, in bytes.
const detectWithin = 64 << 10

// errUnknownFormat says that a file is of no format there is.
var errUnknownFormat = errors.New("is none of camt.053, camt.054, MT940, MT942, BAI2, a Stripe report, nor CSV with a mapping")

// Read gives what a file says, in its order. An error ends it: an [*Error] about the file, or whatever the stream has.
func Read(r io.Reader, o Options) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		buffered := bufio.NewReaderSize(r, detectWithin)
		if o.Format == "" {
			head, err := buffered.Peek(detectWithin)
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Part{}, fmt.Errorf("reading the file: %w", err))
				return
			}
			found, known := Detect(head, o.Mapping != nil)
			if !known {
				yield(Part{}, &Error{File: o.Name, Err: errUnknownFormat})
				return
			}
			o.Format = found
		}
		read, known := readers[o.Format]
		if !known {
			yield(Part{}, &Error{File: o.Name, Err: fmt.Errorf("there is no format %q", o.Format)})
			return
		}
		for part, err := range read(buffered, o) {
			if !yield(part, err) || err != nil {
				return
			}
		}
	}
}

// readers are the parsers, by format.
var readers = map[Format]func(*bufio.Reader, Options) iter.Seq2[Part, error]{
	Camt053: readCamt,
	Camt054: readCamt,
	MT940:   readMT,
	MT942:   readMT,
	BAI2:    readBAI2,
	Stripe:  readStripe,
	CSV:     readCSV,
}
