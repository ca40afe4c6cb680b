package paymentfile

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"github.com/tieout/tieout/pkg/rowfile"
)

// Reason says why a row was rejected. The set is closed.
type Reason string

// The reasons.
const (
	// RowMalformed is broken quoting, or no JSON object.
	RowMalformed Reason = "ROW_MALFORMED"
	// RowTooLong is a line of JSON Lines over the bound.
	RowTooLong Reason = "ROW_TOO_LONG"
	// ColumnCountWrong is a row with more or fewer columns than the heading.
	ColumnCountWrong Reason = "COLUMN_COUNT_WRONG"
	// FieldUnknown is a JSON field that is no column.
	FieldUnknown Reason = "FIELD_UNKNOWN"
	// FieldDuplicate is a JSON field that is there twice.
	FieldDuplicate Reason = "FIELD_DUPLICATE"
	// FieldNotText is a JSON field that holds something else than text.
	FieldNotText Reason = "FIELD_NOT_TEXT"
	// FieldMissing is a required value that is empty or not there.
	FieldMissing Reason = "FIELD_MISSING"
	// FieldTooLong is a value with too many characters.
	FieldTooLong Reason = "FIELD_TOO_LONG"
	// CharacterNotAllowed is a value with a character that cannot be seen: NUL, a line break, a control character.
	CharacterNotAllowed Reason = "CHARACTER_NOT_ALLOWED"
	// SpaceAround is a value that begins or ends with a space.
	SpaceAround Reason = "SPACE_AROUND"
	// NotUTF8 is a value in another encoding.
	NotUTF8 Reason = "NOT_UTF8"
	// AmountIsNumber is an amount that is a JSON number and should be text.
	AmountIsNumber Reason = "AMOUNT_IS_NUMBER"
	// AmountMalformed is an amount that is not like 12.50.
	AmountMalformed Reason = "AMOUNT_MALFORMED"
	// AmountTooPrecise is an amount with more decimals than its currency.
	AmountTooPrecise Reason = "AMOUNT_TOO_PRECISE"
	// AmountNotPositive is an amount of zero or below.
	AmountNotPositive Reason = "AMOUNT_NOT_POSITIVE"
	// AmountOverflow is an amount that does not fit 64 bits of minor units.
	AmountOverflow Reason = "AMOUNT_OVERFLOW"
	// CurrencyUnknown is a code that ISO 4217 does not have, or has without minor units.
	CurrencyUnknown Reason = "CURRENCY_UNKNOWN"
	// CurrencyNotCapitals is the code of a currency in lower case.
	CurrencyNotCapitals Reason = "CURRENCY_NOT_CAPITALS"
)

// Rejection is a row that is no payment. Its texts are valid UTF-8 without NUL.
type Rejection struct {
	// Line is where the row begins in the file, from 1.
	Line int
	// Field is the column that it is about, by its own name and not that of the heading, or the unknown field of a JSON
	// object; empty for the row as a whole. When several are wrong it is the first.
	Field string
	// Reason is why.
	Reason Reason
	// Text says why to a person.
	Text string
	// Raw is the row as it stands in the file, up to 200 bytes. It is empty for RowTooLong.
	Raw string
}

// maxRaw is how much of a rejected row is kept, in bytes.
const maxRaw = 200

// problem is a rejection whose row is not known.
type problem struct {
	field  string
	reason Reason
	text   string
}

func (p *problem) of(line int, raw []byte) *Rejection {
	return &Rejection{Line: line, Field: p.field, Reason: p.reason, Text: p.text, Raw: rowfile.Excerpt(raw, maxRaw)}
}

// formula are the characters that a formula may begin with, the wide ones of East Asian keyboards included, and those
// that some spreadsheets skip before one.
const formula = "=+-@＝＋－＠\t\r\n"

// RejectionWriter writes the CSV file of what was rejected, for a person to download: line, field, reason, message, row.
//
// The file holds what somebody else wrote, and is opened in a spreadsheet, which takes cells that begin with = + - or @
// for formulas: such a cell, and one that begins with a tab or a line break, gets an apostrophe in front. All cells are
// quoted, so that none falls apart into several where the separator is another one than the comma.
type RejectionWriter struct{ out *bufio.Writer }

// NewRejectionWriter begins a file with its heading.
func NewRejectionWriter(w io.Writer) *RejectionWriter {
	rw := &RejectionWriter{out: bufio.NewWriter(w)}
	rw.row("line", "field", "reason", "message", "row")
	return rw
}

// Write adds a row. Nothing is sure to be written before Flush, which tells what went wrong.
func (w *RejectionWriter) Write(r Rejection) {
	w.row(strconv.Itoa(r.Line), r.Field, string(r.Reason), r.Text, r.Raw)
}

// Flush writes out what was added. The error is the first one of the stream; nothing was written behind it.
func (w *RejectionWriter) Flush() error { return w.out.Flush() }

// row writes cells. Errors stick to the bufio.Writer until Flush gives them.
func (w *RejectionWriter) row(cells ...string) {
	for i, cell := range cells {
		if i > 0 {
			w.out.WriteByte(',')
		}
		w.out.WriteByte('"')
		if strings.IndexAny(cell, formula) == 0 {
			w.out.WriteByte('\'')
		}
		w.out.WriteString(strings.ReplaceAll(cell, `"`, `""`))
		w.out.WriteByte('"')
	}
	w.out.WriteString("\r\n")
}
