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
	// AnyCase finds a column whatever the case of its heading.
	AnyCase bool
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

// Columns are where a file has what is mapped to keys. [Keys.Columns] finds them.
type Columns struct {
	// Width is the number of columns that the heading has. A row may have more or fewer fields.
	Width   int
	keys    []string
	sources []source // of the keys, in their order
}

// source is where the value of a key comes from: the column of this number, from 1, or literally the same for all rows.
// The zero source is none.
type source struct {
	column  int
	literal string
}

// Has says whether there are values for Keys.All[key].
func (c Columns) Has(key int) bool { return c.sources[key] != source{} }

// Value gives what a row's fields have for Keys.All[key], "" for a key without a column. An error is about that value: the
// row ends before its column, or, with the value, ErrNotUTF8.
func (c Columns) Value(fields []string, key int) (string, error) {
	from := c.sources[key]
	switch {
	case from.column == 0:
		return from.literal, nil
	case from.column > len(fields):
		return "", fmt.Errorf("the row has %d columns, %s is in column %d", len(fields), c.keys[key], from.column)
	}
	value := fields[from.column-1]
	if !utf8.ValidString(value) {
		return value, fmt.Errorf("%s %w", c.keys[key], ErrNotUTF8)
	}
	return value, nil
}

// Record is a row below a heading.
type Record struct {
	Row
	Columns
}

// Value gives what the row has for a key, as [Columns.Value] does; "" for what is no key.
func (r Record) Value(key string) (string, error) {
	i := slices.Index(r.keys, key)
	if i < 0 {
		return "", nil
	}
	return r.Columns.Value(r.Fields, i)
}

// Records gives the rows of a CSV file below its heading, as [CSV] does. A file without a heading that has the mapped
// columns, each once, is a [FileError].
func (k Keys) Records(r io.Reader, limit int, m Mapping) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var below Record
		for row, err := range CSV(r, limit) {
			if err == nil && below.sources == nil {
				if below.Columns, err = k.Columns(row, m); err == nil {
					continue
				}
			}
			below.Row = row
			if !yield(below, err) || err != nil {
				return
			}
		}
		if below.sources == nil {
			yield(Record{}, ErrNoHeading)
		}
	}
}

// ErrNoHeading tells that a file has no rows at all.
var ErrNoHeading = &FileError{Err: errors.New("the file is empty: it needs a heading and rows")}

// Columns finds the columns in a file's heading. Its error is a [FileError] that names everything that is wrong with it:
// each mapped column must be there once.
func (k Keys) Columns(heading Row, m Mapping) (Columns, error) {
	if heading.Err != nil {
		return Columns{}, &FileError{Line: heading.Line, Err: fmt.Errorf("line %d: %w", heading.Line, heading.Err)}
	}
	names := make([]string, len(heading.Fields))
	for i, name := range heading.Fields {
		names[i] = k.folded(strings.TrimSpace(name))
	}
	found := Columns{Width: len(names), keys: k.All, sources: make([]source, len(k.All))}
	var problems []string
	missing := false
	for i, key := range k.All {
		want, mapped := m[key]
		if !mapped {
			if !k.ByName {
				continue
			}
			want = key
		}
		at := slices.Index(names, k.folded(want))
		switch {
		case at >= 0 && slices.Contains(names[at+1:], names[at]):
			problems = append(problems, fmt.Sprintf("the heading has %q twice, so %s=%s is ambiguous", want, key, want))
		case at >= 0:
			found.sources[i] = source{column: at + 1}
		case mapped && slices.Contains(k.Literal, key):
			found.sources[i] = source{literal: want}
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
		problems = append(problems, "the heading is "+Excerpt([]byte(strings.Join(heading.Fields, ",")), maxHeading))
	}
	if len(problems) > 0 {
		return Columns{}, &FileError{Line: heading.Line, Err: errors.New(strings.Join(problems, "; "))}
	}
	return found, nil
}

// folded is a name as it is compared.
func (k Keys) folded(name string) string {
	if k.AnyCase {
		return strings.ToLower(name)
	}
	return name
}

// maxHeading is how much of a heading is shown in an error, in bytes.
const maxHeading = 1000

func (k Keys) checkLiteral(key, value string) error {
	if k.CheckLiteral == nil {
		return nil
	}
	return k.CheckLiteral(key, value)
}
