package paymentfile_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/billing/paymentfile"
)

// rejected is a row that is rejected, written as the values that differ from those of a payment.
type rejected struct {
	differs map[string]string
	field   string
	reason  paymentfile.Reason
	text    string // a part of it
}

var valid = map[string]string{
	"reference": "inv-1", "customer_id": "c1", "payment_method": "pm_1", "amount": "12.50", "currency": "EUR",
	"description": "June", "card_scheme": "visa",
}

// inBoth are rejected in both formats.
var inBoth = map[string]rejected{
	"comma in the amount":       {map[string]string{"amount": "1,00"}, "amount", paymentfile.AmountMalformed, `"1,00" is not a number like 12.34`},
	"grouped thousands":         {map[string]string{"amount": "1,000.00"}, "amount", paymentfile.AmountMalformed, "is not a number"},
	"exponent":                  {map[string]string{"amount": "1e3"}, "amount", paymentfile.AmountMalformed, `"1e3" is not a number like 12.34`},
	"plus":                      {map[string]string{"amount": "+5"}, "amount", paymentfile.AmountMalformed, `"+5" is not a number`},
	"space before the amount":   {map[string]string{"amount": " 5"}, "amount", paymentfile.AmountMalformed, `" 5" is not a number`},
	"no digit before the point": {map[string]string{"amount": ".5"}, "amount", paymentfile.AmountMalformed, "is not a number"},
	"no digit behind the point": {map[string]string{"amount": "5."}, "amount", paymentfile.AmountMalformed, "is not a number"},
	"other digits":              {map[string]string{"amount": "٣"}, "amount", paymentfile.AmountMalformed, "is not a number"},
	"NUL in the amount":         {map[string]string{"amount": "5\x00"}, "amount", paymentfile.AmountMalformed, `"5\x00" is not a number`},
	"negative":                  {map[string]string{"amount": "-5.00"}, "amount", paymentfile.AmountNotPositive, "-5.00 EUR is not above zero"},
	"zero":                      {map[string]string{"amount": "0.00"}, "amount", paymentfile.AmountNotPositive, "0.00 EUR is not above zero"},
	"minus zero":                {map[string]string{"amount": "-0"}, "amount", paymentfile.AmountNotPositive, "0.00 EUR is not above zero"},
	"parts of a yen":            {map[string]string{"amount": "10.5", "currency": "JPY"}, "amount", paymentfile.AmountTooPrecise, `"10.5", but JPY has 0`},
	"parts of a cent":           {map[string]string{"amount": "1.234"}, "amount", paymentfile.AmountTooPrecise, `"1.234", but EUR has 2`},
	"over 64 bits":              {map[string]string{"amount": "92233720368547758.08"}, "amount", paymentfile.AmountOverflow, "out of range"},
	"no amount":                 {map[string]string{"amount": ""}, "amount", paymentfile.FieldMissing, "amount is empty"},
	"unknown currency":          {map[string]string{"currency": "EURO"}, "currency", paymentfile.CurrencyUnknown, `"EURO" is not an ISO 4217 code`},
	"gold":                      {map[string]string{"currency": "XAU"}, "currency", paymentfile.CurrencyUnknown, "no minor unit"},
	"space behind the currency": {map[string]string{"currency": "EUR "}, "currency", paymentfile.CurrencyUnknown, `"EUR "`},
	"lower-case currency":       {map[string]string{"currency": "eur"}, "currency", paymentfile.CurrencyNotCapitals, `currency "eur" is written in capitals: EUR`},
	"no currency":               {map[string]string{"currency": ""}, "currency", paymentfile.FieldMissing, "currency is empty"},
	"no reference":              {map[string]string{"reference": ""}, "reference", paymentfile.FieldMissing, "reference is empty"},
	"no customer":               {map[string]string{"customer_id": ""}, "customer_id", paymentfile.FieldMissing, "customer_id is empty"},
	"no payment method":         {map[string]string{"payment_method": ""}, "payment_method", paymentfile.FieldMissing, "payment_method is empty"},
	"reference too long":        {map[string]string{"reference": strings.Repeat("é", 129)}, "reference", paymentfile.FieldTooLong, "has 129 characters, at most 128"},
	"customer too long":         {map[string]string{"customer_id": strings.Repeat("x", 129)}, "customer_id", paymentfile.FieldTooLong, "has 129 characters, at most 128"},
	"method too long":           {map[string]string{"payment_method": strings.Repeat("x", 1000)}, "payment_method", paymentfile.FieldTooLong, "has 1000 characters, at most 128"},
	"description too long":      {map[string]string{"description": strings.Repeat("x", 501)}, "description", paymentfile.FieldTooLong, "has 501 characters, at most 500"},
	"scheme too long":           {map[string]string{"card_scheme": strings.Repeat("x", 33)}, "card_scheme", paymentfile.FieldTooLong, "has 33 characters, at most 32"},
	"control in the reference":  {map[string]string{"reference": "a\tb"}, "reference", paymentfile.CharacterNotAllowed, "has U+0009 as its character 2"},
	"NUL in the reference":      {map[string]string{"reference": "a\x00"}, "reference", paymentfile.CharacterNotAllowed, "has U+0000 as its character 2"},
	"NUL in the customer":       {map[string]string{"customer_id": "\x00"}, "customer_id", paymentfile.CharacterNotAllowed, "U+0000"},
	"NUL in the description":    {map[string]string{"description": "é\x00"}, "description", paymentfile.CharacterNotAllowed, "U+0000 as its character 2"},
	"invisible in the method":   {map[string]string{"payment_method": "pm\u200b1"}, "payment_method", paymentfile.CharacterNotAllowed, "has U+200B as its character 3"},
	"hard space in the scheme":  {map[string]string{"card_scheme": "a\u00a0b"}, "card_scheme", paymentfile.CharacterNotAllowed, "U+00A0"},
	"rows in a description":     {map[string]string{"description": "June\ninv-2,c2,pm_2,1.00,EUR,July"}, "description", paymentfile.CharacterNotAllowed, "U+000A as its character 5"},
	"space before":              {map[string]string{"reference": " inv-1"}, "reference", paymentfile.SpaceAround, `" inv-1"`},
	"space behind":              {map[string]string{"customer_id": "c1 "}, "customer_id", paymentfile.SpaceAround, `"c1 "`},
	"the first of several":      {map[string]string{"amount": "-1", "currency": "", "description": "\x00"}, "currency", paymentfile.FieldMissing, "currency is empty"},
}

// inCSV are rows of CSV that are rejected, and inJSON lines of JSON.
var inCSV = map[string]rejected{
	"inv-1,c1,pm_1,12.50,EUR,June":           {nil, "", paymentfile.ColumnCountWrong, "the row has 6 columns, the heading has 7"},
	"inv-1,c1,pm_1,1,00,EUR,June,visa":       {nil, "", paymentfile.ColumnCountWrong, "the row has 8 columns, the heading has 7"},
	"inv-1,c1,pm_1,12.50,EUR,Ju\"ne,visa":    {nil, "", paymentfile.RowMalformed, `bare " in non-quoted-field`},
	"inv-1,c1,pm_1,12.50,EUR,\"Ju\"ne,visa":  {nil, "", paymentfile.RowMalformed, `extraneous or missing "`},
	"inv-1,c\xff1,pm_1,12.50,EUR,June,visa":  {nil, "customer_id", paymentfile.NotUTF8, "customer_id is not valid UTF-8"},
	"inv-1,c1,pm_1,12.50,EUR,M\xfcller,visa": {nil, "description", paymentfile.NotUTF8, "description is not valid UTF-8"},
	" ":                                      {nil, "", paymentfile.ColumnCountWrong, "the row has 1 columns"},
	",,,,,,":                                 {nil, "reference", paymentfile.FieldMissing, "reference is empty"},
	"\x00,,,,,,":                             {nil, "reference", paymentfile.CharacterNotAllowed, "U+0000"},
}

var inJSON = map[string]rejected{
	`{"amount":12.50}`:                  {nil, "amount", paymentfile.AmountIsNumber, "floating point"},
	`{"amount":12}`:                     {nil, "amount", paymentfile.AmountIsNumber, `like "12.50"`},
	`{"reference":17}`:                  {nil, "reference", paymentfile.FieldNotText, "reference is not text"},
	`{"customer_id":{"id":"c1"}}`:       {nil, "customer_id", paymentfile.FieldNotText, "customer_id is not text"},
	`{"amount":["12.50"]}`:              {nil, "amount", paymentfile.FieldNotText, "amount is not text"},
	`{"description":false}`:             {nil, "description", paymentfile.FieldNotText, "description is not text"},
	`{"reference":null}`:                {nil, "reference", paymentfile.FieldMissing, "reference is empty"},
	`{}`:                                {nil, "reference", paymentfile.FieldMissing, "reference is empty"},
	`{"Reference":"inv-1"}`:             {nil, "Reference", paymentfile.FieldUnknown, `"Reference" is no field that is known`},
	`{"reference":"a","reference":"a"}`: {nil, "reference", paymentfile.FieldDuplicate, `"reference" is there twice`},
	"{\"reference\":\"\xff\"}":          {nil, "reference", paymentfile.NotUTF8, `"reference" is not valid UTF-8`},
	`{"reference":"\ud800"}`:            {nil, "reference", paymentfile.NotUTF8, `"reference" is not valid UTF-8`},
	`{"reference":"a"`:                  {nil, "", paymentfile.RowMalformed, "the line is not a JSON object: unexpected end of JSON input"},
	`inv-1,c1,pm_1,12.50,EUR`:           {nil, "", paymentfile.RowMalformed, "the line is not a JSON object: invalid character 'i'"},
	`[]`:                                {nil, "", paymentfile.RowMalformed, "the line is not a JSON object"},
	`{"reference":"` + strings.Repeat("x", paymentfile.MaxRow) + `"}`: {nil, "", paymentfile.RowTooLong, "the line is longer than 1048576 bytes"},
}

var order = []string{"reference", "customer_id", "payment_method", "amount", "currency", "description", "card_scheme"}

// csvRow writes a row by the standard library's writer.
func csvRow(t testing.TB, values map[string]string) string {
	t.Helper()
	var text strings.Builder
	w := csv.NewWriter(&text)
	row := make([]string, len(order))
	for i, name := range order {
		row[i] = values[name]
	}
	if err := w.Write(row); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	return text.String()
}

func jsonRow(t testing.TB, values map[string]string) string {
	t.Helper()
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// with gives the values of a payment, but for some.
func with(differs map[string]string) map[string]string {
	values := map[string]string{}
	for name, value := range valid {
		values[name] = value
		if other, ok := differs[name]; ok {
			values[name] = other
		}
	}
	return values
}

// expectRejection reads a file of which just the row on a line is to be rejected, and the one behind it is valid.
func expectRejection(t *testing.T, file string, format paymentfile.Format, want rejected) {
	t.Helper()
	line := 1
	if format == paymentfile.CSV {
		line = 2
	}
	got := read(strings.NewReader(file), paymentfile.Options{Format: format})
	if got.err != nil || len(got.rejections) != 1 {
		t.Fatalf("got rejections %v, error %v, want one rejection", got.rejections, got.err)
	}
	r := got.rejections[0]
	if r.Line != line || r.Field != want.field || r.Reason != want.reason || !strings.Contains(r.Text, want.text) {
		t.Errorf("got  %+v\nwant line %d, field %q, %s, %q", r, line, want.field, want.reason, want.text)
	}
	if len(got.payments) != 1 || got.payments[0].Reference != valid["reference"] {
		t.Errorf("the row behind it was not read: %v", got.payments)
	}
}

func TestRead_RejectsARowAndReadsOn(t *testing.T) {
	t.Parallel()
	for name, want := range inBoth {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expectRejection(t, heading+csvRow(t, with(want.differs))+csvRow(t, valid), paymentfile.CSV, want)
			expectRejection(t, jsonRow(t, with(want.differs))+jsonRow(t, valid), paymentfile.JSONLines, want)
		})
	}
	for row, want := range inCSV {
		t.Run("CSV "+row, func(t *testing.T) {
			t.Parallel()
			expectRejection(t, heading+row+"\n"+csvRow(t, valid), paymentfile.CSV, want)
		})
	}
	for row, want := range inJSON {
		t.Run("JSON "+row[:min(40, len(row))], func(t *testing.T) {
			t.Parallel()
			expectRejection(t, row+"\n"+jsonRow(t, valid), paymentfile.JSONLines, want)
		})
	}
}

func TestRead_TakesWhatIsJustAllowed(t *testing.T) {
	t.Parallel()
	values := with(map[string]string{
		"reference": strings.Repeat("é", 128), "customer_id": "a b", "payment_method": "~!", "amount": "92233720368547758.07",
		"description": " July\u00a02026 👨\u200d👩 " + strings.Repeat("x", 480), "card_scheme": strings.Repeat("x", 32),
	})
	for _, file := range []string{heading + csvRow(t, values), jsonRow(t, values)} {
		got := read(strings.NewReader(file), paymentfile.Options{})
		if len(got.payments) != 1 || got.payments[0].Amount.Minor != 1<<63-1 || got.payments[0].Description != values["description"] {
			t.Errorf("got %+v", got)
		}
	}
}

func TestRead_KeepsTheRejectedRowShortAndStorable(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		"a,\"b\nc\"":             "a,\"b\nc\"",
		"a\x00,\xffb":            "a\ufffd,\ufffdb",
		strings.Repeat("é", 150): strings.Repeat("é", 100),
	} {
		got := read(strings.NewReader(heading+row+"\n"), paymentfile.Options{})
		if len(got.rejections) != 1 || got.rejections[0].Raw != want {
			t.Errorf("%q: got %+v, want the row %q", row, got, want)
		}
	}
}

func TestReasons_AreEachSeenInARejection(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "rejection.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[paymentfile.Reason]bool{}
	for _, table := range []map[string]rejected{inBoth, inCSV, inJSON} {
		for _, r := range table {
			seen[r.reason] = true
		}
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
			declared++
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil || !seen[paymentfile.Reason(value)] {
				t.Errorf("no test rejects a row for %s", spec.Names[0].Name)
			}
		}
		return true
	})
	if declared != len(seen) {
		t.Errorf("%d reasons are declared, the tests expect %d", declared, len(seen))
	}
}

func TestRejectionWriter_WritesAFileThatASpreadsheetOnlyShows(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	w := paymentfile.NewRejectionWriter(&file)
	for i, raw := range []string{"a,\"b\nc\"", "=1+1,x", "+1", "-1", "@x", "\t=1", "\n=1", "＝1", "a;=1+1", "", "a=b"} {
		w.Write(paymentfile.Rejection{Line: i + 2, Field: "amount", Reason: paymentfile.AmountMalformed, Text: `"x" is not`, Raw: raw})
	}
	w.Write(paymentfile.Rejection{Line: 13, Field: "=field", Reason: paymentfile.FieldUnknown, Text: "-text"})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(file.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		got = append(got, row[4])
	}
	want := []string{"row", "a,\"b\nc\"", "'=1+1,x", "'+1", "'-1", "'@x", "'\t=1", "'\n=1", "'＝1", "a;=1+1", "", "a=b", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("raw rows (-want +got):\n%s", diff)
	}
	first, last := []string{"2", "amount", "AMOUNT_MALFORMED", `"x" is not`, "a,\"b\nc\""}, []string{"13", "'=field", "FIELD_UNKNOWN", "'-text", ""}
	if diff := cmp.Diff([][]string{first, last}, [][]string{rows[1], rows[12]}); diff != "" {
		t.Errorf("first and last row (-want +got):\n%s", diff)
	}
	if !strings.Contains(file.String(), `"a;=1+1"`) {
		t.Errorf("a cell with another separator is not quoted:\n%s", file.String())
	}
}

func TestRejectionWriter_TellsThatNothingCouldBeWritten(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	gone := errors.New("gone")
	reader.CloseWithError(gone)
	w := paymentfile.NewRejectionWriter(writer)
	w.Write(paymentfile.Rejection{Line: 2, Raw: strings.Repeat("x", 10_000)})
	if err := w.Flush(); !errors.Is(err, gone) {
		t.Errorf("got error %v, want the stream's", err)
	}
}
