package paymentfile_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rowfile"
	"github.com/tieout/tieout/services/billing/paymentfile"
)

const heading = "reference,customer_id,payment_method,amount,currency,description,card_scheme\n"

// outcome is what became of a file.
type outcome struct {
	payments   []paymentfile.Payment
	rejections []paymentfile.Rejection
	err        error
}

func read(r io.Reader, o paymentfile.Options) outcome {
	var got outcome
	for row, err := range paymentfile.Read(r, o) {
		switch {
		case err != nil:
			got.err = err
		case row.Rejection != nil:
			got.rejections = append(got.rejections, *row.Rejection)
		default:
			got.payments = append(got.payments, row.Payment)
		}
	}
	return got
}

// mapped gives the options of a mapping.
func mapped(t *testing.T, text string) paymentfile.Options {
	t.Helper()
	m, err := paymentfile.ParseMapping(text)
	if err != nil {
		t.Fatal(err)
	}
	return paymentfile.Options{Mapping: m}
}

func TestRead_GivesThePaymentsOfAFile(t *testing.T) {
	t.Parallel()
	want := []paymentfile.Payment{
		{
			Line: 2, Reference: "inv-1", CustomerID: "Müller & Co", PaymentMethod: "pm_1",
			Amount: money.Amount{Currency: "EUR", Minor: 1250}, Description: "June, \"Basic\"", CardScheme: "visa",
		},
		{Line: 3, Reference: "inv-2", CustomerID: "c2", PaymentMethod: "pm_2", Amount: money.Amount{Currency: "JPY", Minor: 900}},
		{Line: 4, Reference: "inv-3", CustomerID: "c3", PaymentMethod: "pm_3", Amount: money.Amount{Currency: "KWD", Minor: 1005}},
	}
	for name, test := range map[string]struct {
		file    string
		options paymentfile.Options
	}{
		"CSV": {heading + "inv-1,Müller & Co,pm_1,12.50,EUR,\"June, \"\"Basic\"\"\",visa\ninv-2,c2,pm_2,900,JPY,,\ninv-3,c3,pm_3,1.005,KWD,,\n", paymentfile.Options{}},
		"CSV from Windows, columns elsewhere": {
			"\ufeffcurrency, amount ,note,card_scheme,reference,customer_id,payment_method,description\r\n" +
				"EUR,12.5,\"x\",visa,inv-1,Müller & Co,pm_1,\"June, \"\"Basic\"\"\"\r\n" +
				"JPY,900,x,,inv-2,c2,pm_2,\r\nKWD,1.005,x,,inv-3,c3,pm_3,", paymentfile.Options{Format: paymentfile.CSV},
		},
		"CSV with other headings": {
			"No,Who,How,Total,Cur,Text,Scheme\ninv-1,Müller & Co,pm_1,12.50,EUR,\"June, \"\"Basic\"\"\",visa\ninv-2,c2,pm_2,900,JPY,,\ninv-3,c3,pm_3,1.005,KWD,,\n",
			mapped(t, "reference=No,customer_id=Who,payment_method=How,amount=Total,currency=Cur,description=Text,card_scheme=Scheme"),
		},
		"JSON Lines": {
			"\n" + `{"reference":"inv-1","customer_id":"M\u00fcller & Co","payment_method":"pm_1","amount":"12.50","currency":"EUR","description":"June, \"Basic\"","card_scheme":"visa"}` + "\r\n" +
				`{"amount":"900","currency":"JPY","description":null,"reference":"inv-2","customer_id":"c2","payment_method":"pm_2"}` + "\n" +
				`{"amount":"1.005","currency":"KWD","card_scheme":"","reference":"inv-3","customer_id":"c3","payment_method":"pm_3"}`, paymentfile.Options{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, stream := range []io.Reader{strings.NewReader(test.file), iotest.OneByteReader(strings.NewReader(test.file))} {
				got := read(stream, test.options)
				if diff := cmp.Diff(want, got.payments); diff != "" || got.rejections != nil || got.err != nil {
					t.Errorf("rejections %v, error %v, payments (-want +got):\n%s", got.rejections, got.err, diff)
				}
			}
		})
	}
}

func TestRead_TakesWhatIsTheSameForAllRowsFromTheMapping(t *testing.T) {
	t.Parallel()
	file := "reference,customer_id,amount\ninv-1,c1,12.50\n"
	got := read(strings.NewReader(file), mapped(t, "currency=EUR,payment_method=pm_shared"))
	want := []paymentfile.Payment{{
		Line: 2, Reference: "inv-1", CustomerID: "c1", PaymentMethod: "pm_shared", Amount: money.Amount{Currency: "EUR", Minor: 1250},
	}}
	if diff := cmp.Diff(want, got.payments); diff != "" || got.err != nil {
		t.Errorf("error %v, payments (-want +got):\n%s", got.err, diff)
	}
}

func TestRead_NumbersRowsByTheLineTheyBeginOn(t *testing.T) {
	t.Parallel()
	file := "reference,customer_id,payment_method,amount,currency,note\na,c,p,1,EUR,\"over\ntwo lines\"\n\nb,c,p,1,EUR,x\nc,c,p,-,EUR,\"again\n\"\nd,c,p,1,EUR,x\n"
	got := read(strings.NewReader(file), paymentfile.Options{})
	var lines []string
	for _, p := range got.payments {
		lines = append(lines, fmt.Sprintf("%s:%d", p.Reference, p.Line))
	}
	if diff := cmp.Diff([]string{"a:2", "b:5", "d:8"}, lines); diff != "" || len(got.rejections) != 1 || got.rejections[0].Line != 6 {
		t.Errorf("rejections %v, payments (-want +got):\n%s", got.rejections, diff)
	}
}

func TestRead_RefusesAFileThatIsWrongAsAWhole(t *testing.T) {
	t.Parallel()
	row := "a,c,p,1,EUR\n"
	for name, test := range map[string]struct {
		file    string
		options paymentfile.Options
		want    string
	}{
		"empty":           {"", paymentfile.Options{}, "the file is empty: it needs a heading and rows"},
		"columns missing": {"reference,customer_id,Amount,x,currency\n" + row, paymentfile.Options{}, "payment_method=payment_method: there is no such column; amount=amount: there is no such column; the heading is reference,customer_id,Amount,x,currency"},
		"columns twice":   {"amount,reference,amount,reference,customer_id\n" + row, mapped(t, "currency=EUR,payment_method=pm"), `the heading has "reference" twice, so reference=reference is ambiguous; the heading has "amount" twice, so amount=amount is ambiguous`},
		"mapped to none":  {"reference,customer_id,payment_method,amount,currency\n" + row, mapped(t, "description=Text"), "description=Text: there is no such column; the heading is reference,customer_id,payment_method,amount,currency"},
		"currency misspelt": {
			"reference,customer_id,payment_method,amount,cur\n" + row, mapped(t, "currency=Cur"),
			`currency=Cur: there is no such column, and for all rows it cannot be: unknown currency: "Cur" is not an ISO 4217 code; the heading is reference,customer_id,payment_method,amount,cur`,
		},
		"method not printable": {"reference,customer_id,amount,currency,x\n" + row, paymentfile.Options{Mapping: rowfile.Mapping{"payment_method": "p\u0007"}}, "payment_method=p\u0007: there is no such column, and for all rows it cannot be: payment_method has U+0007 as its character 2, which cannot be seen; the heading is reference,customer_id,amount,currency,x"},
		"no comma":             {"reference;customer_id\n1;2\n", mapped(t, "currency=EUR,payment_method=pm,amount=customer_id"), "reference=reference: there is no such column; customer_id=customer_id: there is no such column; amount=customer_id: there is no such column; the heading is reference;customer_id"},
		"mapping for JSON":     {"{}", mapped(t, "reference=No"), "the file is JSON Lines, which name their fields: a mapping is for CSV"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := read(strings.NewReader(test.file), test.options)
			if _, ok := errors.AsType[*rowfile.FileError](got.err); !ok || got.err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", got.err, test.want)
			}
			if len(got.payments)+len(got.rejections) > 0 {
				t.Errorf("rows were given all the same: %v, %v", got.payments, got.rejections)
			}
		})
	}
}

func TestRead_GivesTheRowsBeforeTheOneThatEndsTheFile(t *testing.T) {
	t.Parallel()
	file := heading + "a,c,p,1,EUR,,\nb,c,p,1,EUR,\"," + strings.Repeat("\nx,c,p,1,EUR,,", paymentfile.MaxRow/10)
	got := read(strings.NewReader(file), paymentfile.Options{})
	broken, ok := errors.AsType[*rowfile.FileError](got.err)
	if !ok || broken.Line != 3 || !strings.Contains(got.err.Error(), "the row that begins on line 3 is longer than 1048576 bytes; a quote may not be closed") {
		t.Errorf("error %v, want a FileError on line 3", got.err)
	}
	if len(got.payments) != 1 || len(got.rejections) != 0 {
		t.Errorf("got %d payments and %d rejections, want the one payment before it", len(got.payments), len(got.rejections))
	}
}

func TestRead_LeavesTheStreamsErrorToTheStream(t *testing.T) {
	t.Parallel()
	cut := errors.New("connection lost")
	for _, begin := range []string{"", heading, heading + "a,c", `{"reference":`} {
		got := read(io.MultiReader(strings.NewReader(begin), iotest.ErrReader(cut)), paymentfile.Options{})
		if _, ofFile := errors.AsType[*rowfile.FileError](got.err); ofFile || !errors.Is(got.err, cut) {
			t.Errorf("%q: got %v, want the stream's error", begin, got.err)
		}
	}
}

func TestRead_StopsWhenNobodyReadsOn(t *testing.T) {
	t.Parallel()
	for _, begin := range []string{heading + "a,c,p,1,EUR,,\n", heading + "a\n", "{}\n"} {
		rows := 0
		for range paymentfile.Read(io.MultiReader(strings.NewReader(begin), iotest.ErrReader(errors.New("read too far"))), paymentfile.Options{}) {
			rows++
			break
		}
		if rows != 1 {
			t.Errorf("%q gave %d rows", begin, rows)
		}
	}
}

func TestParseMapping_RefusesWhatIsNoColumn(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"order=No":                     `"order" is none of reference, customer_id, payment_method, amount, currency, description, card_scheme`,
		"reference":                    `"reference" is not like reference=InvoiceNo`,
		"amount=Total,amount=Subtotal": "amount is there twice",
	} {
		if _, err := paymentfile.ParseMapping(text); err == nil || err.Error() != want {
			t.Errorf("%q gave %v, want %q", text, err, want)
		}
	}
}
