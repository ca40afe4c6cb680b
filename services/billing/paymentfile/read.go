package paymentfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rowfile"
)

// MaxRow is the longest row that is read, in bytes. In JSON Lines a longer one is rejected; in CSV it ends the file,
// for a quote may not be closed.
const MaxRow = 1 << 20

// Format is what a file is written in.
type Format uint8

// The formats.
const (
	// Detect takes a file that begins with { for JSON Lines, and any other for CSV.
	Detect Format = iota
	// CSV has a heading and a row for each payment.
	CSV
	// JSONLines has a JSON object for each payment, each on a line.
	JSONLines
)

// Options say how a file is read. The zero value reads what the formats say by themselves.
type Options struct {
	// Format is what the file is written in.
	Format Format
	// Mapping gives the headings of a CSV file, see [ParseMapping]. JSON Lines take none: they name their fields.
	Mapping rowfile.Mapping
}

// Payment is a payment that is to be made.
type Payment struct {
	// Line is where its row begins in the file, from 1.
	Line int
	// Reference is what it is for.
	Reference string
	// CustomerID is who pays.
	CustomerID string
	// PaymentMethod is what is charged. It has the shape of one; whether it exists is not known.
	PaymentMethod string
	// Amount is above zero.
	Amount money.Amount
	// Description and CardScheme are empty when the file does not say.
	Description, CardScheme string
}

// Row is what became of one row of a file.
type Row struct {
	// Payment is what the row says, when Rejection is nil.
	Payment Payment
	// Rejection says why the row is no payment.
	Rejection *Rejection
}

// Read gives the rows of a file in their order, without its heading and blank lines. It ends behind an error: a
// [rowfile.FileError] when the file is to blame, for example its heading; otherwise r is.
func Read(r io.Reader, o Options) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		format := o.Format
		if format == Detect {
			isJSON, err := rowfile.IsJSONLines(in)
			if err != nil {
				yield(Row{}, err)
				return
			}
			if format = CSV; isJSON {
				format = JSONLines
			}
		}
		switch {
		case format == CSV:
			readCSV(in, o.Mapping)(yield)
		case len(o.Mapping) > 0:
			yield(Row{}, &rowfile.FileError{Err: errors.New("the file is JSON Lines, which name their fields: a mapping is for CSV")})
		default:
			readJSONLines(in)(yield)
		}
	}
}

func readCSV(r io.Reader, m rowfile.Mapping) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for record, err := range keys.Records(r, MaxRow, m) {
			if err != nil {
				yield(Row{}, err)
				return
			}
			var values [columns]string
			p := takeRecord(record, &values)
			if !yield(row(p, &values, record.Line, record.Raw), nil) {
				return
			}
		}
	}
}

// takeRecord takes the values of a row. They are copies: a row also has what nobody asked for, and would be kept with
// them.
func takeRecord(r rowfile.Record, values *[columns]string) *problem {
	if r.Err != nil {
		return &problem{reason: RowMalformed, text: r.Err.Error()}
	}
	if len(r.Fields) != r.Width {
		return &problem{reason: ColumnCountWrong, text: fmt.Sprintf("the row has %d columns, the heading has %d", len(r.Fields), r.Width)}
	}
	for column, name := range names {
		value, err := r.Value(name)
		if err != nil {
			return &problem{field: name, reason: NotUTF8, text: err.Error()}
		}
		values[column] = strings.Clone(value)
	}
	return nil
}

func readJSONLines(r io.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for line, err := range rowfile.Lines(r, MaxRow) {
			if err != nil {
				yield(Row{}, err)
				return
			}
			var values [columns]string
			p := takeObject(line, &values)
			if !yield(row(p, &values, line.Number, line.Text), nil) {
				return
			}
		}
	}
}

// takeObject takes the values of a line of JSON.
func takeObject(line rowfile.Line, values *[columns]string) *problem {
	if line.TooLong {
		return &problem{reason: RowTooLong, text: fmt.Sprintf("the line is longer than %d bytes", MaxRow)}
	}
	var object [columns]rowfile.Value
	err := rowfile.Object(line.Text, names[:], object[:])
	if broken, ok := errors.AsType[*rowfile.ObjectError](err); ok {
		p := &problem{field: broken.Field, reason: RowMalformed, text: rowfile.Excerpt([]byte(err.Error()), maxRaw)}
		switch {
		case errors.Is(err, rowfile.ErrUnknownField):
			p.reason = FieldUnknown
		case errors.Is(err, rowfile.ErrDuplicateField):
			p.reason = FieldDuplicate
		case errors.Is(err, rowfile.ErrNotUTF8):
			p.reason = NotUTF8
		}
		return p
	}
	for column, value := range object {
		switch {
		case value.Kind == rowfile.Number && column == amount:
			return wrong(amount, AmountIsNumber, `amount is a JSON number; it is text, like "12.50", for programs read numbers as floating point, which has no exact cents`)
		case value.Kind != rowfile.String && value.Kind != rowfile.Absent:
			return wrong(column, FieldNotText, "%s is not text", names[column])
		}
		values[column] = value.Text
	}
	return nil
}

// row makes a payment of what was taken from a row, or the rejection of what was not.
func row(p *problem, values *[columns]string, line int, raw []byte) Row {
	var payment Payment
	if p == nil {
		payment, p = check(values)
	}
	if p != nil {
		return Row{Rejection: p.of(line, raw)}
	}
	payment.Line = line
	return Row{Payment: payment}
}
