package rowfile

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Row is one row of a CSV file, the heading included.
type Row struct {
	// Line is where the row begins, from 1.
	Line int
	// Fields are what the row holds. The slice is valid until the next row; a field may be kept, but keeps the text of
	// the whole row in memory.
	Fields []string
	// Raw is the row as it stands in the file, without its end and with \n for the line ends within. It is valid until
	// the next row.
	Raw []byte
	// Err tells that the quoting within the row's line is broken: csv.ErrQuote or csv.ErrBareQuote. Fields are those
	// before.
	Err error
}

// CSV gives the rows of a file by RFC 4180, its heading first; lines without anything are no rows. A row may have any
// number of fields, of any bytes. It ends behind an error: a [FileError] when quoting is broken over several lines or a
// row is longer than limit bytes, for then it cannot be told where the next one begins.
//
// It reads as encoding/csv does, and is held to that by a fuzz target; that package has no bound for a row, and does not
// give a row's own text.
func CSV(r io.Reader, limit int) iter.Seq2[Row, error] { return Dialect{}.Rows(r, limit) }

// Dialect says how a file of rows differs from RFC 4180. The zero Dialect does not.
type Dialect struct {
	// Separator stands between fields: a semicolon, a tab; 0 for a comma. It cannot be a quote or a line end.
	Separator byte
	// Skip is how many lines stand before the first row. They may hold anything, and count in the numbers of lines.
	Skip int
}

// Rows gives the rows of a file in the dialect, as [CSV] does.
func (d Dialect) Rows(r io.Reader, limit int) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		p := &parser{lines: newLineReader(r, limit), separator: cmp.Or(d.Separator, ',')}
		for range d.Skip {
			if _, err := p.lines.next(); err != nil {
				if err = p.failed(err, p.lines.number); err != io.EOF {
					yield(Row{}, err)
				}
				return
			}
		}
		for {
			row, err := p.next()
			if err == io.EOF || !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// parser takes rows apart.
type parser struct {
	lines     *lineReader
	separator byte
	text      []byte // the lines of the row that were read so far, each with its end
	start     int    // where the last of them begins in text
	first     int    // the number of the first of them
	last      int    // the number of the last of them
	held      []byte // holds text when it is of several lines
	out       []byte // the row's fields, unquoted, one behind the other
	ends      []int  // where each ends in out
	row       []string
}

func (p *parser) next() (Row, error) {
	if err := p.begin(); err != nil {
		return Row{}, err
	}
	err := p.parse()
	broken, quoting := errors.AsType[*csv.ParseError](err)
	if err != nil && !quoting {
		return Row{}, err
	}
	if quoting && broken.StartLine != broken.Line {
		return Row{}, &FileError{Line: p.first, Err: fmt.Errorf("reading the file: %w", broken)}
	}
	row := Row{Line: p.first, Fields: p.fields(), Raw: bytes.TrimSuffix(p.text, newline)}
	if quoting {
		row.Err = broken.Err
	}
	return row, nil
}

var newline = []byte("\n")

// begin reads the first line of the next row.
func (p *parser) begin() error {
	for {
		line, err := p.line()
		if err != nil {
			return p.failed(err, p.lines.number)
		}
		if len(line) == 0 || line[0] == '\n' {
			continue
		}
		p.text, p.start, p.first, p.last = line, 0, p.lines.number, p.lines.number
		p.out, p.ends = p.out[:0], p.ends[:0]
		return nil
	}
}

// line reads a line. Its end becomes \n; a last line may have none.
func (p *parser) line() ([]byte, error) {
	line, err := p.lines.next()
	if body, ok := bytes.CutSuffix(line, []byte("\r\n")); ok {
		line = append(body, '\n')
	} else if body, ok := bytes.CutSuffix(line, []byte("\r")); ok {
		line = body
	}
	return line, err
}

// extend reads one more line of the row; false when there is none.
func (p *parser) extend() (bool, error) {
	if p.start == 0 {
		p.held = append(p.held[:0], p.text...)
	}
	line, err := p.line()
	if err == io.EOF || err == nil && len(line) == 0 {
		p.text = p.held
		return false, nil
	}
	if err == nil && len(p.held)+len(line) > p.lines.limit {
		err = errTooLong
	}
	if err != nil {
		return false, p.failed(err, p.first)
	}
	p.start, p.last = len(p.held), p.lines.number
	p.held = append(p.held, line...)
	p.text = p.held
	return true, nil
}

// failed is the error that ends the file while the row that begins on a line is read.
func (p *parser) failed(err error, line int) error {
	switch {
	case errors.Is(err, errTooLong):
		return &FileError{Line: line, Err: fmt.Errorf(
			"reading the file: the row that begins on line %d is longer than %d bytes; a quote may not be closed", line, p.lines.limit)}
	case err == io.EOF:
		return err
	}
	return fmt.Errorf("reading the file: %w", err)
}

// parse takes the row's fields apart. A csv.ParseError is about its quoting, any other error ends the file.
func (p *parser) parse() error {
	for at, more := 0, true; more; {
		var err error
		if at < len(p.text) && p.text[at] == '"' {
			at, more, err = p.quoted(at + 1)
		} else {
			at, more, err = p.plain(at)
		}
		if err != nil {
			return err
		}
		p.ends = append(p.ends, len(p.out))
	}
	return nil
}

// plain takes the field that begins at an offset, and tells where the next one begins, if there is one.
func (p *parser) plain(at int) (next int, more bool, err error) {
	field := p.text[at:]
	end := bytes.IndexByte(field, p.separator)
	if end >= 0 {
		field = field[:end]
	} else {
		field = bytes.TrimSuffix(field, newline)
	}
	if quote := bytes.IndexByte(field, '"'); quote >= 0 {
		return 0, false, p.broken(at+quote, csv.ErrBareQuote)
	}
	p.out = append(p.out, field...)
	return at + end + 1, end >= 0, nil
}

// quoted is plain for a field whose opening quote is before the offset.
func (p *parser) quoted(at int) (next int, more bool, err error) {
	for {
		quote := bytes.IndexByte(p.text[at:], '"')
		if quote < 0 {
			p.out = append(p.out, p.text[at:]...)
			at = len(p.text)
			if more, err := p.extend(); err != nil {
				return 0, false, err
			} else if !more {
				return 0, false, p.broken(at, csv.ErrQuote)
			}
			continue
		}
		p.out = append(p.out, p.text[at:at+quote]...)
		at += quote + 1
		switch {
		case at == len(p.text) || p.text[at] == '\n':
			return at, false, nil
		case p.text[at] == p.separator:
			return at + 1, true, nil
		case p.text[at] == '"':
			p.out = append(p.out, '"')
			at++
		default:
			return 0, false, p.broken(at-1, csv.ErrQuote)
		}
	}
}

func (p *parser) broken(at int, err error) error {
	return &csv.ParseError{StartLine: p.first, Line: p.last, Column: at - p.start + 1, Err: err}
}

// fields gives what parse found. All fields are parts of one string: one allocation for a row.
func (p *parser) fields() []string {
	p.row = p.row[:0]
	all, begin := string(p.out), 0
	for _, end := range p.ends {
		p.row = append(p.row, all[begin:end])
		begin = end
	}
	return p.row
}
