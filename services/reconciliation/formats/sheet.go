package formats

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rowfile"
)

// maxRow is how long a row of a CSV file may be, in bytes.
const maxRow = 1 << 20

// A sheet is a CSV file. Its values are asked for by their place in its keys; the first of them that is wrong in a row is
// its error, and what is asked for behind it does not matter.
type sheet struct {
	file    string
	keys    rowfile.Keys
	mapping rowfile.Mapping
	columns rowfile.Columns
	heading int // the line that it stands on
	// headless says that the first row is no heading; columns are called by their numbers.
	headless bool
	row      rowfile.Row
	err      error

	code     string // the currency that was asked for last, as it is written
	currency money.Currency
}

// below gives the numbers of the rows below the heading, from 1. What locate finds in the heading is where the values are.
func (s *sheet) below(rows iter.Seq2[rowfile.Row, error], locate func(rowfile.Row) (rowfile.Columns, error)) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		number := 0
		for row, err := range rows {
			if err == nil && s.heading == 0 {
				if s.columns, err = locate(row); err == nil {
					s.heading = row.Line
				}
				if err == nil && !s.headless {
					continue
				}
			}
			if err == nil {
				s.row, s.err = row, nil
				err = s.wellFormed()
			}
			number++
			if !yield(number, s.named(err)) || err != nil {
				return
			}
		}
		if s.heading == 0 {
			yield(0, s.named(rowfile.ErrNoHeading))
		}
	}
}

// wellFormed says what is wrong with a row as a whole. One with columns that the heading lacks was taken apart wrongly;
// one that ends in separators was not.
func (s *sheet) wellFormed() error {
	if s.row.Err != nil {
		return s.wrong("", s.row.Err)
	}
	fields := s.row.Fields
	if n := len(fields); n < s.columns.Width || n > s.columns.Width && strings.Join(fields[s.columns.Width:], "") != "" {
		return s.wrong("", fmt.Errorf("it has %d columns, the heading has %d", n, s.columns.Width))
	}
	return nil
}

// wrong is an error about the row.
func (s *sheet) wrong(field string, err error) error {
	return &Error{File: s.file, Line: s.row.Line, Field: field, Err: err}
}

// named makes what rowfile says of the file an Error. Errors of the stream stay what they are.
func (s *sheet) named(err error) error {
	if of, ok := errors.AsType[*rowfile.FileError](err); ok {
		return &Error{File: s.file, Line: of.Line, Err: of.Err}
	}
	return err
}

// fail says what is wrong with a value.
func (s *sheet) fail(key int, err error) {
	if s.err != nil {
		return
	}
	column := cmp.Or(s.mapping[s.keys.All[key]], s.keys.All[key])
	if s.headless {
		column = "column " + column
	}
	s.err = s.wrong(column, err)
}

// errNUL says that a value has a byte that no text has, and no database takes.
var errNUL = errors.New("has a NUL byte")

// text is a value without the space around it, "" where there is no such column.
func (s *sheet) text(key int) string {
	value, err := s.columns.Value(s.row.Fields, key)
	switch {
	case errors.Is(err, rowfile.ErrNotUTF8):
		s.fail(key, rowfile.ErrNotUTF8)
	case err != nil:
		s.fail(key, err)
	case strings.IndexByte(value, 0) >= 0:
		s.fail(key, errNUL)
	}
	return strings.TrimSpace(value)
}

// currencyOf is the value as a currency, in whatever case it is written.
func (s *sheet) currencyOf(key int) money.Currency {
	if code := s.text(key); code == "" || code != s.code {
		found, err := money.ParseCurrency(strings.ToUpper(code))
		if err != nil {
			s.fail(key, err)
			return ""
		}
		s.code, s.currency = strings.Clone(code), found
	}
	return s.currency
}

// maxNamed is how many rows whose control does not hold are proofs of their own.
const maxNamed = 10

// A tally is a control that each row states. Of the rows for which it does not hold only the first are named, so that a
// file in which it never holds is told in few proofs; the total says how many there are.
type tally struct {
	rule                Rule
	rows, holds, failed int
}

// row takes a row in. An error is emit's.
func (t *tally) row(out emit, line int, stated, computed money.Amount) error {
	t.rows++
	if stated == computed {
		t.holds++
		return nil
	}
	if t.failed++; t.failed > maxNamed {
		return nil
	}
	return out(Part{Proof: &Proof{At: line, Rule: t.rule, Stated: stated.String(), Computed: computed.String()}})
}

// total is the proof for all rows.
func (t *tally) total(out emit, line int) error {
	return out(Part{Proof: &Proof{At: line, Rule: t.rule, Stated: rowCount(t.rows), Computed: rowCount(t.holds)}})
}

func rowCount(n int) string { return fmt.Sprintf("%d rows", n) }

// latin1 gives a stream of ISO-8859-1 in UTF-8.
type latin1 struct {
	in   *bufio.Reader
	half byte // the second byte of a character of which only the first one was given; 0 if there is none
}

// Read implements io.Reader.
func (l *latin1) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if l.half != 0 {
			p[n], l.half = l.half, 0
			n++
			continue
		}
		if n > 0 && l.in.Buffered() == 0 {
			return n, nil
		}
		c, err := l.in.ReadByte()
		if err != nil {
			return n, err
		}
		if p[n] = c; c >= 0x80 {
			p[n], l.half = 0xc0|c>>6, 0x80|c&0x3f
		}
		n++
	}
	return n, nil
}

// wrongDate says that a value is no date.
func wrongDate(text string) error { return fmt.Errorf("%.40q %w", text, errNoDate) }
