package formats_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/reconciliation/formats"
)

// mapping reads a mapping that is right.
func mapping(t testing.TB, text string) *formats.Mapping {
	t.Helper()
	m, err := formats.ParseMapping([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bank is the mapping of a German bank's file: a preamble, semicolons, decimal commas, a balance, an indicator.
const bank = `{
	"separator": ";", "encoding": "iso-8859-1", "skip": 2, "currency": "EUR", "kind": "transfer", "kinds": {"Gebühr": "fee"},
	"columns": {
		"account": "Konto", "booked": "Buchung", "value": "Valuta", "amount": "Umsatz", "indicator": "S/H", "balance": "Saldo",
		"kind": "Art", "text": "Zweck", "party": "Name", "party_account": "IBAN", "key": "EREF", "reference": "KREF"
	},
	"debits": ["S"], "credits": ["H"], "decimal_mark": ",", "thousands_mark": ".", "booked_layout": "D.M.YY"
}`

const bankFile = "Ums\xe4tze;\"vom\r\n\r\n" +
	"Konto;Buchung;Valuta;Umsatz;S/H;Saldo;Art;Zweck;Name;IBAN;EREF;KREF\r\n" +
	"DE1 2;29.2.24;1.03.24;1.234,56;H;1.300,00;SEPA;\"RG  1;\r\n bezahlt\";M\xfcller;DE9;NOTPROVIDED;R1\r\n" +
	"DE1 2;1.3.24;;0,5;S;1.299,50;Geb\xfchr;;;;E2;NONREF\r\n" +
	"DE3;1.3.24;;,;H;0,00;;;;;;\r\n"

func TestCSV_IsReadByItsMapping(t *testing.T) {
	t.Parallel()
	file := strings.Replace(bankFile, ";,;", ";12;", 1)
	said, err := transcript(strings.NewReader(file), formats.Options{Mapping: mapping(t, bank)})
	want := []string{
		"4: statement  DE12 EUR opens with 65.44 EUR on 2024-02-29",
		"4: line 1 transfer(SEPA) 1234.56 EUR 2024-02-29 value 2024-03-01 reference=R1 text=RG 1; bezahlt party=Müller of=DE9",
		"6: line 2 fee(Gebühr) -0.50 EUR 2024-03-01 key=E2",
		"line 6: balance holds: 1299.50 EUR",
		"closed with 2 lines, last true, 1299.50 EUR on 2024-03-01",
		"7: statement  DE3 EUR opens with -12.00 EUR on 2024-03-01",
		"7: line 1 transfer() 12.00 EUR 2024-03-01",
		"line 7: balance holds: 0.00 EUR",
		"closed with 1 lines, last true, 0.00 EUR on 2024-03-01",
	}
	if diff := cmp.Diff(want, said); diff != "" || err != nil {
		t.Errorf("error %v, said (-want +got):\n%s", err, diff)
	}
}

func TestCSV_SaysWhatWasConverted(t *testing.T) {
	t.Parallel()
	m := mapping(t, `{"kind": "transfer", "currency": "EUR", "decimal_mark": ",", "separator": ";",
		"columns": {"booked": "d", "debit": "out", "credit": "in", "original_amount": "was", "original_currency": "of"}}`)
	said, err := transcript(strings.NewReader("d;in;out;was;of\n2024-03-01;92,00;;100,00;usd\n2024-03-02;;9,20;10,00;USD\n2024-03-03;5,00;;;\n2024-03-04;5,00;;5,00;EUR\n"),
		formats.Options{Mapping: m})
	want := []string{
		"2: statement   EUR",
		"2: line 1 transfer() 92.00 EUR was 100.00 USD 2024-03-01",
		"3: line 2 transfer() -9.20 EUR was -10.00 USD 2024-03-02",
		"4: line 3 transfer() 5.00 EUR 2024-03-03",
		"5: line 4 transfer() 5.00 EUR 2024-03-04",
		"closed with 4 lines, last true",
	}
	if diff := cmp.Diff(want, said); diff != "" || err != nil {
		t.Errorf("error %v, said (-want +got):\n%s", err, diff)
	}
	if _, err := transcript(strings.NewReader("d;in;out;was;of\n2024-03-01;92,00;;1;XYZ\n"), formats.Options{Name: "f", Mapping: m}); err == nil || !strings.Contains(err.Error(), "f:2: of: unknown currency") {
		t.Errorf("got %v, want the column of the currency", err)
	}
	if _, err := formats.ParseMapping([]byte(`{"kind": "fee", "columns": {"booked": "d", "amount": "a", "original_amount": "o"}}`)); err == nil || !strings.Contains(err.Error(), "original_currency") {
		t.Errorf("got %v, want original_currency to be missing", err)
	}
}

// provider is the mapping of a provider's file: fees, signs as they are.
const provider = `{"kind": "charge", "negative_fees": true, "booked_layout": "YYYY-MM-DDTHH:mm:ssZ", "value_layout": "MM/DD/YYYY",
	"columns": {"id": "Id", "booked": "Time", "value": "Due", "amount": "Gross", "fee": "Fee", "net": "Net", "currency": "Currency",
		"provider_id": "Tx", "parent_id": "Parent", "payout_id": "Batch"}}`

func TestCSV_ProvesNet(t *testing.T) {
	t.Parallel()
	file := "Id,Time,Due,Gross,Fee,Net,Currency,Tx,Parent,Batch\n" +
		"1,2024-03-01T10:11:12Z,03/04/2024,10.00,-0.59,9.41,eur,T1,,B1\n" +
		"2,2024-03-01T10:11:13Z,,-10.00,+0.20,-9.80,,T2,T1,B1\n" +
		"3,2024-03-01T10:11:14Z,,5-,,,usd,T3,,\n" +
		"4,2024-03-01T10:11:15Z,,5,-1,5,USD,T4,,\n"
	said, err := transcript(strings.NewReader(file), formats.Options{Mapping: mapping(t, provider), Currency: "GBP"})
	want := []string{
		"2: statement",
		"2: line 1 charge() 10.00 EUR fee 59 2024-03-01 10:11:12 value 2024-03-04 id=1 provider=T1 payout=B1",
		"3: line 2 charge() -10.00 GBP fee -20 2024-03-01 10:11:13 value 2024-03-01 id=2 provider=T2 parent=T1 payout=B1",
		"4: line 3 charge() -5.00 USD 2024-03-01 10:11:14 value 2024-03-01 id=3 provider=T3",
		"5: line 4 charge() 5.00 USD fee 100 2024-03-01 10:11:15 value 2024-03-01 id=4 provider=T4",
		"line 5: net: the file states 5.00 USD, its lines come to 4.00 USD",
		"line 1: net: the file states 3 rows, its lines come to 2 rows",
		"closed with 4 lines, last true",
	}
	if diff := cmp.Diff(want, said); diff != "" || err != nil {
		t.Errorf("error %v, said (-want +got):\n%s", err, diff)
	}
}

func TestCSV_WithoutAHeadingHasNumberedColumns(t *testing.T) {
	t.Parallel()
	m := mapping(t, `{"separator": "|", "no_heading": true, "kind": "transfer", "currency": "JPY", "columns": {"booked": "1", "debit": "3", "credit": "2", "text": "4"}}`)
	said, err := transcript(strings.NewReader("2024-03-01|5||a\n2024-03-02||7|b|\n2024-03-03|0|8|\n"), formats.Options{Mapping: m})
	want := []string{
		"1: statement   JPY",
		"1: line 1 transfer() 5 JPY 2024-03-01 text=a",
		"2: line 2 transfer() -7 JPY 2024-03-02 text=b",
		"3: line 3 transfer() -8 JPY 2024-03-03",
		"closed with 3 lines, last true",
	}
	if diff := cmp.Diff(want, said); diff != "" || err != nil {
		t.Errorf("error %v, said (-want +got):\n%s", err, diff)
	}
	_, err = transcript(strings.NewReader("2024-03-01|5||\n2024-03-02|x||\n"), formats.Options{Name: "f", Mapping: m})
	if want := `f:2: column 2: malformed amount: "x" is not a number like 12.34`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCSV_ProvesTheBalanceOfEveryRow(t *testing.T) {
	t.Parallel()
	m := mapping(t, `{"kind": "transfer", "currency": "EUR", "columns": {"booked": "d", "amount": "a", "balance": "b"}}`)
	said, err := transcript(strings.NewReader("d,a,b\n2024-03-01,1,10\n2024-03-02,2,13\n2024-03-03,3,16\n2024-03-04,-1,15\n"), formats.Options{Mapping: m})
	want := []string{
		"line 3: balance: the file states 13.00 EUR, its lines come to 12.00 EUR",
		"line 5: balance: the file states 15.00 EUR, its lines come to 14.00 EUR",
	}
	if diff := cmp.Diff(want, failing(said)); diff != "" || err != nil {
		t.Errorf("error %v, proofs that do not hold (-want +got):\n%s", err, diff)
	}
}

func TestCSV_ReadsLongRowsOfAnotherEncoding(t *testing.T) {
	t.Parallel()
	m := mapping(t, `{"encoding": "iso-8859-1", "kind": "fee", "currency": "EUR", "columns": {"booked": "d", "amount": "a", "text": "t"}}`)
	for length := 65_000; length < 66_000; length += 77 {
		file := "d,a,t\n2024-03-01,1," + strings.Repeat("\xe9", length) + "\n2024-03-01,2,\xe9\n"
		said, err := transcript(iotest.HalfReader(strings.NewReader(file)), formats.Options{Mapping: m, Format: formats.CSV})
		if err != nil || len(said) != 4 || !strings.HasSuffix(said[1], " text="+strings.Repeat("é", length)) || !strings.HasSuffix(said[2], " text=é") {
			t.Fatalf("%d characters: error %v, %.100q", length, err, said)
		}
	}
}

func TestCSV_WithoutRowsIsAStatementWithoutLines(t *testing.T) {
	t.Parallel()
	said, err := transcript(strings.NewReader("d,a\n"), formats.Options{Mapping: mapping(t, simple)})
	want := []string{"1: statement   EUR", "closed with 0 lines, last true"}
	if diff := cmp.Diff(want, said); diff != "" || err != nil {
		t.Errorf("error %v, said (-want +got):\n%s", err, diff)
	}
}

// simple is the least that a mapping needs.
const simple = `{"kind": "transfer", "currency": "EUR", "columns": {"booked": "d", "amount": "a"}}`

func TestCSV_NamesLineAndColumnOfWhatItCannotRead(t *testing.T) {
	t.Parallel()
	sides := `{"kind": "transfer", "currency": "EUR", "columns": {"booked": "day", "debit": "out", "credit": "in", "fee": "fee"}}`
	kinds := `{"kinds": {"x": "fee"}, "columns": {"booked": "day", "amount": "a", "kind": "what", "currency": "c", "balance": "b"}}`
	comma := `{"kind": "fee", "currency": "EUR", "decimal_mark": ",", "thousands_mark": ".", "columns": {"booked": "d", "amount": "a"}, "separator": ";"}`
	minor := `{"kind": "fee", "currency": "EUR", "minor_units": true, "thousands_mark": ",", "columns": {"booked": "d", "amount": "a"}, "separator": ";"}`
	for _, test := range []struct{ mapping, file, want string }{
		{simple, "", "f: the file is empty: it needs a heading and rows"},
		{simple, "d,b\n", "f:1: amount=a: there is no such column; the heading is d,b"},
		{simple, "d,a\n2024-03-01\n", "f:2: it has 1 columns, the heading has 2"},
		{simple, "d,a\n2024-03-01,1,000.00\n", "f:2: it has 3 columns, the heading has 2"},
		{simple, "d,a\n2024-03-01,1\n,1\n", "f:3: d: is empty"},
		{simple, "d,a\n2024-3-01,1\n", `f:2: d: "2024-3-01" is no date`},
		{simple, "d,a\n2024-03-01,\n", `f:2: a: malformed amount: "" is not a number like 12.34`},
		{simple, "d,a\n2024-03-01,--1\n", `f:2: a: malformed amount: "--1" is not a number like 12.34`},
		{simple, "d,a\n2024-03-01,1.005\n", `f:2: a: too many decimals: "1.005", but EUR has 2`},
		{simple, "d,a\n2024-03-01,\xff\n", `f:2: a: is not valid UTF-8`},
		{sides, "day,out,in,fee\n2024-03-01,-1,,\n", `f:2: out: "-1" has a sign, but its column says already which way it goes`},
		{sides, "day,out,in,fee\n2024-03-01,,,\n", `f:2: out: is empty`},
		{sides, "day,out,in,fee\n2024-03-01,1,1,\n", `f:2: out: has an amount, and so has the credit`},
		{sides, "day,out,in,fee\n2024-03-01,92233720368547758.07,,1\n", `f:2: fee: amount out of range: -92233720368547758.07 EUR - 1.00 EUR`},
		{kinds, "day,a,what,c,b\n2024-03-01,1,y,EUR,1\n", `f:2: what: "y" is not among the kinds of the mapping`},
		{kinds, "day,a,what,c,b\n2024-03-01,1,x,,1\n", `f:2: c: is nowhere: neither the row nor the mapping names one`},
		{kinds, "day,a,what,c,b\n2024-03-01,1,x,EUR,1\n2024-03-01,1,x,USD,2\n", `f:3: b: currencies differ: "EUR" and "USD"`},
		{kinds, "day,a,what,c,b\n2024-03-01,1,x,EUR,\n", `f:2: b: malformed amount: "" is not a number like 12.34`},
		{comma, "d;a\n2024-03-01;12.50\n", `f:2: a: "12.50" is not in groups of three digits`},
		{comma, "d;a\n2024-03-01;1234.567,00\n", `f:2: a: "1234.567,00" is not in groups of three digits`},
		{comma, "d;a\n2024-03-01;1,5,0\n", `f:2: a: "1,5,0": malformed amount: "1.5,0" is not a number like 12.34`},
		{minor, "d;a\n2024-03-01;1.50\n", `f:2: a: "1.50" is no number of minor units`},
		{minor, "d;a\n2024-03-01;-+150\n", `f:2: a: "-+150" is no number of minor units`},
		{minor, "d;a\n2024-03-01;1,50\n", `f:2: a: "1,50" is not in groups of three digits`},
		{bank, bankFile, `f:7: Umsatz: ",": malformed amount: "." is not a number like 12.34`},
		{bank, strings.Replace(bankFile, ";S;", ";s;", 1), `f:6: S/H: "s" is among neither the debits nor the credits`},
		{bank, strings.Replace(bankFile, ";0,5;", ";;", 1), `f:6: Umsatz: is empty`},
		{bank, "a\nb\n", "f: the file is empty: it needs a heading and rows"},
		{bank, "a\nb\n\"c\n", `f:3: line 3: extraneous or missing " in quoted-field`},
	} {
		_, err := transcript(strings.NewReader(test.file), formats.Options{Name: "f", Format: formats.CSV, Mapping: mapping(t, test.mapping)})
		if _, named := errors.AsType[*formats.Error](err); !named || err.Error() != test.want {
			t.Errorf("%q:\ngot  %v\nwant %s", test.file, err, test.want)
		}
	}
	_, err := transcript(strings.NewReader("d,a\n"), formats.Options{Name: "f", Format: formats.CSV})
	if want := "f: is CSV, and there is no mapping that says what its columns mean"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = transcript(strings.NewReader("d,a\n"), formats.Options{Name: "f", Format: formats.CSV, Mapping: &formats.Mapping{}})
	if want := "f: reading the mapping: columns: booked is missing\ncolumns: it needs amount, perhaps with indicator, or both debit and credit\nkind is missing: there is neither a column for it, nor one for all rows"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The raw export of balance transactions is in minor units, and its kinds are those of the API.
func TestCSV_ReadsAStripeExportInMinorUnits(t *testing.T) {
	t.Parallel()
	m := mapping(t, `{"minor_units": true, "kind": "adjustment", "booked_layout": "YYYY-MM-DD HH:mm:ss",
		"kinds": {"charge": "charge", "payment": "charge", "refund": "refund", "payout": "payout", "stripe_fee": "fee"},
		"columns": {"id": "id", "booked": "created", "value": "available_on", "amount": "amount", "fee": "fee", "net": "net",
			"currency": "currency", "kind": "type", "provider_id": "source", "payout_id": "payout_id", "text": "description"}}`)
	said, err := transcript(bytes.NewReader(sample(t, "stripe", "balance_transaction_data.csv")), formats.Options{Mapping: m})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"2: statement",
		"2: line 1 payout(payout) -187.59 USD 2021-03-15 01:04:36 value 2021-03-16 id=xyz_0IV4rIig6peNXzgDK3XAFbaN provider=po_0IV4rIig6peNXzgD51VFKdaB payout=po_0IV4rIig6peNXzgD51VFKdaB text=f39657a1847db73d9a2abb0bad3d31ae",
		"3: line 2 charge(charge) 20400.00 USD fee 59190 2021-01-25 17:17:15 value 2021-02-01 id=xyz_0IDYgiig6peNXzgDuNvLeoLR provider=ch_0IDYghig6peNXzgDhuOFKdTS payout=po_0IFUKBig6peNXzgDZQM7WPAo text=d267c9d09a2d1e50f12635bd2b56ed29",
	}
	if diff := cmp.Diff(want, said[:3]); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	if proofs := failing(said); len(proofs) > 0 {
		t.Errorf("proofs that do not hold: %q", proofs)
	}
	if got := said[len(said)-2:]; got[0] != "line 1: net holds: 9 rows" {
		t.Errorf("it ends with %q", got)
	}
}
