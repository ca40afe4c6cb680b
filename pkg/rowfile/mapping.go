package rowfile

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// ErrNotUTF8 tells that a value is not valid UTF-8.
var ErrNotUTF8 = errors.New("is not valid UTF-8")

// Mapping says which column of a CSV file holds what: key → the column's heading, or for some keys the value itself.
type Mapping map[string]string

// Keys are what the columns of a kind of file can be mapped to.
type Keys struct {
	// All are the keys. The first is the example in what a malformed mapping is told.
	All []string
	// Required are those that every file needs.
	Required []string
	// Literal are those whose value may be the same for all rows: what is mapped to them and no heading is that value.
	Literal []string
	// CheckLiteral says what is wrong with a value for all rows; nil takes any.
	CheckLiteral func(key, value string) error
	// ByName gives the keys that a mapping does not name the column of their own name: required ones must have it.
	// Otherwise a mapping names all that is required, and nothing else is read.
	ByName bool
}

// Parse reads a mapping: "order=InvoiceNo,sku=StockCode,…".
func (k Keys) Parse(text string) (Mapping, error) {
	m := Mapping{}
	for pair := range strings.SplitSeq(text, ",") {
		key, column, ok := strings.Cut(pair, "=")
		key, column = strings.TrimSpace(key), strings.TrimSpace(column)
		switch {
		case !ok || column == "":
			return nil, fmt.Errorf("%q is not like %s=InvoiceNo", pair, k.All[0])
		case !slices.Contains(k.All, key):
			return nil, fmt.Errorf("%q is none of %s", key, strings.Join(k.All, ", "))
		case m[key] != "":
			return nil, fmt.Errorf("%s is there twice", key)
		}
		m[key] = column
	}
	var missing []string
	for _, key := range k.Required {
		if m[key] == "" && !k.ByName {
			missing = append(missing, key+"=…")
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("it lacks %s", strings.Join(missing, ", "))
	}
	return m, nil
}

// source is where the value of a key comes from: a column, or the same for all rows.
type source struct {
	column  int // -1 for the latter
	literal string
}

// Record is a row below a heading.
type Record struct {
	Row
	// Width is the number of columns that the heading has. The row may have more or fewer fields.
	Width   int
	sources map[string]source
}

// Value gives what the row has for a key, "" for a key without a column. An error is about that value: the row ends
// before its column, or, with the value, ErrNotUTF8.
func (r Record) Value(key string) (string, error) {
	from, mapped := r.sources[key]
	switch {
	case !mapped:
		return "", nil
	case from.column < 0:
		return from.literal, nil
	case from.column >= len(r.Fields):
		return "", fmt.Errorf("the row has %d columns, %s is in column %d", len(r.Fields), key, from.column+1)
	}
	value := r.Fields[from.column]
	if !utf8.ValidString(value) {
		return value, fmt.Errorf("%s %w", key, ErrNotUTF8)
	}
	return value, nil
}

// Records gives the rows of a CSV file below its heading, as [CSV] does. A file without a heading that has the mapped
// columns, each once, is a [FileError].
func (k Keys) Records(r io.Reader, limit int, m Mapping) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var below Record
		for row, err := range CSV(r, limit) {
			if err == nil && below.sources == nil {
				below.Width = len(row.Fields)
				if below.sources, err = k.heading(row, m); err == nil {
					continue
				}
			}
			below.Row = row
			if !yield(below, err) || err != nil {
				return
			}
		}
		if below.sources == nil {
			yield(Record{}, &FileError{Err: errors.New("the file is empty: it needs a heading and rows")})
		}
	}
}

// heading finds the columns in a file's heading. Its error names everything that is wrong with it.
func (k Keys) heading(row Row, m Mapping) (map[string]source, error) {
	if row.Err != nil {
		return nil, &FileError{Line: row.Line, Err: fmt.Errorf("line %d: %w", row.Line, row.Err)}
	}
	names := make([]string, len(row.Fields))
	for i, name := range row.Fields {
		names[i] = strings.TrimSpace(name)
	}
	sources, problems := map[string]source{}, []string(nil)
	missing := false
	for _, key := range k.All {
		want, mapped := m[key]
		if !mapped {
			if !k.ByName {
				continue
			}
			want = key
		}
		at := slices.Index(names, want)
		switch {
		case at >= 0 && slices.Contains(names[at+1:], want):
			problems = append(problems, fmt.Sprintf("the heading has %q twice, so %s=%s is ambiguous", want, key, want))
		case at >= 0:
			sources[key] = source{column: at}
		case mapped && slices.Contains(k.Literal, key):
			sources[key] = source{column: -1, literal: want}
			if err := k.checkLiteral(key, want); err != nil {
				problems = append(problems, fmt.Sprintf("%s=%s: there is no such column, and for all rows it cannot be: %v", key, want, err))
				missing = true
			}
		case mapped || slices.Contains(k.Required, key):
			problems = append(problems, fmt.Sprintf("%s=%s: there is no such column", key, want))
			missing = true
		}
	}
	if missing {
		problems = append(problems, "the heading is "+Excerpt([]byte(strings.Join(names, ",")), maxHeading))
	}
	if len(problems) > 0 {
		return nil, &FileError{Line: row.Line, Err: errors.New(strings.Join(problems, "; "))}
	}
	return sources, nil
}

// maxHeading is how much of a heading is shown in an error, in bytes.
const maxHeading = 1000

func (k Keys) checkLiteral(key, value string) error {
	if k.CheckLiteral == nil {
		return nil
	}
	return k.CheckLiteral(key, value)
}
