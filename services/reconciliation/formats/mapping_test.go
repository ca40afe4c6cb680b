package formats_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/reconciliation/formats"
)

func TestParseMapping_RefusesWhatCannotBeOrIsNotKnown(t *testing.T) {
	t.Parallel()
	const columns = `"kind": "transfer", "columns": {"booked": "d", "amount": "a"`
	for text, want := range map[string]string{
		``:                                       "EOF",
		`[]`:                                     "json: cannot unmarshal array into Go value of type formats.Mapping",
		`{"colour": "red"}`:                      `json: unknown field "colour"`,
		simple + `{}`:                            "there is something behind it",
		`{` + columns + `, "colour": "c"}}`:      `columns: "colour" is none of id, account, amount, debit, credit, indicator, fee, net, currency, booked, value, kind, provider_id, parent_id, key, reference, payout_id, text, party, party_account, balance, original_amount, original_currency`,
		`{` + columns + `, "text": " t"}}`:       `columns: text is " t", which no heading is`,
		`{` + columns + `, "text": ""}}`:         `columns: text is "", which no heading is`,
		`{` + columns + `}, "no_heading": true}`: "columns: amount is \"a\", which is no number of a column\ncolumns: booked is \"d\", which is no number of a column",
		`{` + columns + `, "debit": "x"}}`:       "columns: it needs amount, perhaps with indicator, or both debit and credit",
		`{` + columns + `, "indicator": "i"}}`:   "columns: an indicator goes with debits and credits, and they with it",
		`{` + columns + `}, "debits": ["S"]}`:    "columns: an indicator goes with debits and credits, and they with it",
		`{` + columns + `, "indicator": "i"}, "debits": ["S"], "credits": ["S"]}`: `credits: "S" is among the debits as well`,
		`{` + columns + `}, "separator": "::"}`:                                   `separator "::" is none of a comma, a semicolon, a tab and a bar`,
		`{` + columns + `}, "encoding": "utf-16"}`:                                `encoding "utf-16" is neither utf-8 nor iso-8859-1`,
		`{` + columns + `}, "skip": -1}`:                                          `skip -1 is not between 0 and 1000`,
		`{` + columns + `}, "currency": "eur"}`:                                   `unknown currency: "eur" is not an ISO 4217 code`,
		`{` + columns + `}, "decimal_mark": ";"}`:                                 `decimal_mark ";" is neither a point nor a comma`,
		`{` + columns + `}, "thousands_mark": "."}`:                               "thousands_mark is the decimal mark as well",
		`{` + columns + `}, "thousands_mark": "0"}`:                               `thousands_mark "0" is none of a point, a comma, an apostrophe and a space`,
		`{` + columns + `}, "minor_units": true, "decimal_mark": "."}`:            "decimal_mark is there, but minor units have no decimals",
		`{` + columns + `}, "booked_layout": "YYYY-MM"}`:                          `booked_layout: "YYYY-MM" lacks the year, the month or the day`,
		`{` + columns + `}, "value_layout": "DD MMM YYYY"}`:                       `value_layout: "DD MMM YYYY" has M twice`,
		`{` + columns + `}, "value_layout": "2006-01-02"}`:                        `value_layout: "2006-01-02" has "2006-01-02", which is none of YYYY YY MM M DD D HH H mm ss and the marks between them`,
		`{` + columns + `}, "kinds": {"x": "sale"}}`:                              `kinds: "x" is "sale", which is none of [charge refund chargeback chargeback_reversal fee payout return adjustment transfer]`,
		`{"columns": {"booked": "d", "amount": "a", "kind": "k"}}`:                "kinds is missing: it says what the values of the kind column mean",
		`{"kind": "sale", "columns": {"booked": "d", "amount": "a"}}`:             `kind "sale" is none of [charge refund chargeback chargeback_reversal fee payout return adjustment transfer]`,
	} {
		if _, err := formats.ParseMapping([]byte(text)); err == nil || err.Error() != "reading the mapping: "+want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestParseMapping_ReadsWhatAMappingIsWrittenAs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{simple, bank, provider} {
		m := mapping(t, text)
		written, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, mapping(t, string(written))); diff != "" {
			t.Errorf("%s is another mapping (-want +got):\n%s", written, diff)
		}
	}
}

// FuzzParseMapping has no mapping panic, nor one that was taken refuse what it was written as, or fail a file of its columns.
func FuzzParseMapping(f *testing.F) {
	for _, seed := range []string{simple, bank, provider, `{`, `{"columns": null, "kinds": {"": ""}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := formats.ParseMapping(text)
		if err != nil {
			return
		}
		written, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := formats.ParseMapping(written); err != nil {
			t.Fatalf("%s was taken, but not as %s: %v", text, written, err)
		}
		checkRead(t, []byte(bankFile), formats.Options{Format: formats.CSV, Mapping: m})
		checkRead(t, []byte("d,a\n2024-03-01,1\n"), formats.Options{Format: formats.CSV, Mapping: m})
	})
}

// FuzzCSV has no file make the reader panic, lose a closing, or fail without saying where.
func FuzzCSV(f *testing.F) {
	f.Add([]byte(bankFile), byte(0))
	f.Add([]byte("Id,Time,Due,Gross,Fee,Net,Currency,Tx,Parent,Batch\n1,2024-03-01T10:11:12Z,03/04/2024,10.00,-0.59,9.41,eur,T1,,B1\n"), byte(1))
	f.Add([]byte("2024-03-01|5||a\n2024-03-02||7|b|\n"), byte(2))
	mappings := []*formats.Mapping{
		mapping(f, bank), mapping(f, provider),
		mapping(f, `{"separator": "|", "no_heading": true, "kind": "fee", "currency": "JPY", "columns": {"booked": "1", "debit": "3", "credit": "2"}}`),
		mapping(f, `{"kind": "fee", "currency": "EUR", "minor_units": true, "thousands_mark": " ", "columns": {"booked": "d", "amount": "a", "balance": "b", "account": "k"}}`),
	}
	f.Fuzz(func(t *testing.T, file []byte, which byte) {
		checkRead(t, file, formats.Options{Name: "f", Format: formats.CSV, Mapping: mappings[int(which)%len(mappings)]})
	})
}

// BenchmarkCSV reads rows as a bank has them: 9 columns, decimal commas, a balance.
func BenchmarkCSV(b *testing.B) {
	const lines = 20_000
	m := mapping(b, `{"separator": ";", "currency": "EUR", "kind": "transfer", "decimal_mark": ",", "thousands_mark": ".", "booked_layout": "DD.MM.YYYY",
		"columns": {"booked": "Booked", "value": "Value", "amount": "Amount", "balance": "Balance", "text": "Text", "party": "Party",
			"party_account": "IBAN", "key": "EREF", "reference": "KREF"}}`)
	row := "01.03.2024;01.03.2024;0,00;1.234.567,89;Invoice 2024-000123 many thanks;Ada Lovelace;DE89370400440532013000;E2E-000123;ORD-000123\n"
	file := "Booked;Value;Amount;Balance;Text;Party;IBAN;EREF;KREF\n" + strings.Repeat(row, lines)
	benchmarkRead(b, file, lines, formats.Options{Format: formats.CSV, Mapping: m})
}
