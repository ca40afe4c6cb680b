package output

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// tablePadding stands between the columns of a table.
const tablePadding = 2

// Writer prints a list, item by item, in one format. Close ends it.
type Writer[T any] struct {
	out    io.Writer
	format Format
	view   View[T]
	table  *tabwriter.Writer
	csv    *csv.Writer
	count  int
}

// NewWriter makes a writer to out. The table's heading comes with the first item or with Close.
func NewWriter[T any](out io.Writer, format Format, view View[T]) *Writer[T] {
	return &Writer[T]{
		out: out, format: format, view: view,
		table: newTable(out), csv: csv.NewWriter(out),
	}
}

func newTable(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, tablePadding, ' ', 0)
}

// Write prints one item. A table's rows are held back until Flush or Close, so that its columns line up.
func (w *Writer[T]) Write(item T) error {
	first := w.count == 0
	w.count++
	switch w.format {
	case JSON, JSONLines, YAML:
		raw, err := w.view.JSON(item)
		if err != nil {
			return err
		}
		return w.writeJSON(raw, first)
	case CSV:
		if first {
			w.heading()
		}
		return w.csv.Write(values(w.view.Columns, item))
	}
	if first {
		w.heading()
	}
	return tableRow(w.table, values(w.view.Columns, item))
}

func (w *Writer[T]) writeJSON(raw []byte, first bool) error {
	var err error
	switch w.format {
	case JSONLines:
		_, err = fmt.Fprintf(w.out, "%s\n", raw)
	case JSON:
		before := ",\n  "
		if first {
			before = "[\n  "
		}
		_, err = fmt.Fprintf(w.out, "%s%s", before, indented(raw, "  "))
	case YAML:
		if raw, err = toYAML(raw); err == nil {
			lines := strings.TrimRight(string(raw), "\n")
			_, err = fmt.Fprintf(w.out, "- %s\n", strings.ReplaceAll(lines, "\n", "\n  "))
		}
	}
	return err
}

func indented(raw []byte, prefix string) []byte {
	var b bytes.Buffer
	if json.Indent(&b, raw, prefix, "  ") != nil {
		return raw // it is JSON of our own making
	}
	return b.Bytes()
}

func (w *Writer[T]) heading() {
	names := make([]string, len(w.view.Columns))
	for i, c := range w.view.Columns {
		names[i] = c.Name
	}
	if w.format == CSV {
		_ = w.csv.Write(names) // its error is kept, and given by Flush
		return
	}
	_ = tableRow(w.table, headings(names)) // buffered
}

func headings(names []string) []string {
	upper := make([]string, len(names))
	for i, name := range names {
		upper[i] = strings.ToUpper(strings.ReplaceAll(name, "_", " "))
	}
	return upper
}

// Flush prints what was held back; the columns of what follows line up by themselves.
func (w *Writer[T]) Flush() error {
	w.csv.Flush()
	if err := w.csv.Error(); err != nil {
		return err
	}
	return w.table.Flush()
}

// End ends the list after err, or nil, and returns err or what went wrong with the end. Whatever was written is made
// whole, as valid JSON; after an error before the first item, nothing is printed.
func (w *Writer[T]) End(err error) error {
	if err != nil && w.count == 0 {
		return err
	}
	return errors.Join(err, w.Close())
}

// Close ends the list; nothing may be written afterwards.
func (w *Writer[T]) Close() error {
	var err error
	switch {
	case w.format == JSON && w.count == 0, w.format == YAML && w.count == 0:
		_, err = fmt.Fprintln(w.out, "[]")
	case w.format == JSON:
		_, err = fmt.Fprint(w.out, "\n]\n")
	case w.count == 0 && w.format != JSONLines:
		w.heading()
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// One prints a single thing: in JSON and YAML the object itself, as a table a line for each field that is set.
func One[T any](out io.Writer, format Format, view View[T], item T) error {
	switch format {
	case JSON:
		raw, err := view.JSON(item)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n", indented(raw, ""))
		return err
	case YAML:
		raw, err := view.JSON(item)
		if err != nil {
			return err
		}
		if raw, err = toYAML(raw); err != nil {
			return err
		}
		_, err = out.Write(raw)
		return err
	case JSONLines, CSV:
		w := NewWriter(out, format, view)
		if err := w.Write(item); err != nil {
			return err
		}
		return w.Close()
	}
	return fields(out, view, item)
}

func fields[T any](out io.Writer, view View[T], item T) error {
	table := newTable(out)
	for _, columns := range [][]Column[T]{view.Columns, view.Fields} {
		for _, c := range columns {
			value := c.Value(item)
			if value == "" {
				continue
			}
			if err := tableRow(table, []string{strings.ReplaceAll(c.Name, "_", " "), value}); err != nil {
				return err
			}
		}
	}
	if err := table.Flush(); err != nil || view.Sections == nil {
		return err
	}
	return view.Sections(out, item)
}

func values[T any](columns []Column[T], item T) []string {
	row := make([]string, len(columns))
	for i, c := range columns {
		row[i] = c.Value(item)
	}
	return row
}

// tableRow prints a row. What clients wrote must not move the cursor or break the columns.
func tableRow(w io.Writer, cells []string) error {
	for i, cell := range cells {
		cells[i] = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return unicode.ReplacementChar
			}
			return r
		}, cell)
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	return err
}
