package orderfile

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"strings"
)

// row is one row of a CSV file.
type row struct {
	line   int
	fields []string
	err    error // the row's quoting is broken; fields holds those before it
}

// CSV gives the orders of a CSV file, in the order in which they end. An error that is a [Refusal] is about one
// order; any other one ends the file. The file is read twice; before the second time, it is an error when the
// heading does not have the mapped columns, or when it cannot be told which order a broken row belongs to, for that
// order would be placed without it.
//
// The idempotency key of an order is csv-order/<order>.
func CSV(file io.ReadSeeker, m Mapping, d Defaults) iter.Seq2[*Order, error] {
	return func(yield func(*Order, error) bool) {
		g, err := survey(file, m)
		if err != nil {
			yield(nil, err)
			return
		}
		for r, err := range rows(file) {
			if err != nil {
				yield(nil, err)
				return
			}
			if o := g.add(r); o != nil && !yield(o.finish(d)) {
				return
			}
		}
		for _, o := range g.rest() {
			if !yield(o.finish(d)) {
				return
			}
		}
	}
}

// survey reads the file once, to learn its columns and the last row of each order.
func survey(file io.ReadSeeker, m Mapping) (*grouping, error) {
	g := &grouping{seed: maphash.MakeSeed(), last: map[uint64]int{}, open: map[string]*group{}}
	heading := true
	for r, err := range rows(file) {
		if err != nil {
			return nil, err
		}
		if heading {
			heading, g.heading = false, r.line
			if r.err != nil {
				return nil, r.err
			}
			if g.sources, err = m.resolve(trimmed(r.fields)); err != nil {
				return nil, err
			}
			continue
		}
		name, ok := g.name(r)
		if !ok && r.err != nil {
			return nil, fmt.Errorf("%w: it cannot be told which order the row belongs to, nothing was placed", r.err)
		}
		g.last[maphash.String(g.seed, name)] = r.line
	}
	if heading {
		return nil, errors.New("the file is empty: it needs a heading and rows")
	}
	return g, nil
}

func trimmed(fields []string) []string {
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields
}

// rows reads the file from its beginning, heading included. A row whose quoting is broken within its own line is
// given with that error; quoting that is broken over several lines ends the file.
func rows(file io.ReadSeeker) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			yield(row{}, err)
			return
		}
		in := bufio.NewReader(file)
		if err := skipBOM(in); err != nil {
			yield(row{}, err)
			return
		}
		reader := csv.NewReader(in)
		reader.FieldsPerRecord = -1 // a short row is refused on its own
		reader.ReuseRecord = true
		for {
			fields, err := reader.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			r := row{fields: fields}
			if broken, ok := errors.AsType[*csv.ParseError](err); ok && broken.StartLine == broken.Line {
				r.line, r.err = broken.Line, fmt.Errorf("line %d: %w", broken.Line, broken.Err)
			} else if err != nil {
				yield(row{}, fmt.Errorf("reading the file: %w", err))
				return
			} else {
				r.line, _ = reader.FieldPos(0)
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}
