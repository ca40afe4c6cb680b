package orderfile

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readLines gives the keys of the orders of a JSON Lines file, and what was refused.
func readLines(t *testing.T, file string, d Defaults) (orders []*Order, refused []string) {
	t.Helper()
	for o, err := range JSONLines(strings.NewReader(file), d) {
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			refused = append(refused, refusal.Error())
		} else if err != nil {
			t.Fatal(err)
		} else {
			orders = append(orders, o)
		}
	}
	return orders, refused
}

func TestJSONLines_ReadsOneOrderALine(t *testing.T) {
	t.Parallel()
	file := "\ufeff" + `{"idempotency_key":"k1","lines":[{"sku":"x","quantity":2,"unit_price":{"currency_code":"GBP","minor_units":"255"}}]}` +
		"\r\n\n  \n" + `{"idempotencyKey":"k2","payment_method":"pm_slow","ship_to":{"country":"FR"}}`
	orders, refused := readLines(t, file, Defaults{PaymentMethod: "pm_ok", Country: "GB"})
	if refused != nil || len(orders) != 2 {
		t.Fatalf("got %d orders, refused %q", len(orders), refused)
	}
	var got []any
	for _, o := range orders {
		got = append(got, o.Line, o.Request.GetIdempotencyKey(), o.Request.GetPaymentMethod(), o.Request.GetShipTo().GetCountry())
	}
	if diff := cmp.Diff([]any{1, "k1", "pm_ok", "GB", 4, "k2", "pm_slow", "FR"}, got); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	if price := orders[0].Request.GetLines()[0].GetUnitPrice().GetMinorUnits(); price != 255 {
		t.Errorf("price is %d, want 255", price)
	}
}

func TestJSONLines_AddsNothingOfItsOwn(t *testing.T) {
	t.Parallel()
	orders, _ := readLines(t, "{}", Defaults{})
	if r := orders[0].Request; r.GetIdempotencyKey() != "" || r.GetPaymentMethod() != "" || r.GetShipTo() != nil {
		t.Errorf("an empty order became %v", r)
	}
}

func TestJSONLines_RefusesOneLineAndReadsOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ line, want string }{
		"unknown field":       {`{"colour":"red"}`, `line 1: REQUEST_MALFORMED: unknown field "colour", column 2 (field colour)`},
		"unknown field below": {`{"lines":[{"color-code":1}]}`, `line 1: REQUEST_MALFORMED: unknown field "color-code", column 12 (field color-code)`},
		"wrong type":          {`{"lines":[{"quantity":1.5}]}`, `line 1: REQUEST_MALFORMED: invalid value for int32 field quantity: 1.5, column 23 (field quantity)`},
		"field twice":         {`{"customer_id":"a","customer_id":"b"}`, `line 1: REQUEST_MALFORMED: duplicate field "customer_id", column 20 (field customer_id)`},
		"not JSON":            {`order 17`, `line 1: REQUEST_MALFORMED: invalid value order, column 1`},
		"cut off":             {`{"customer_id":"a"`, `line 1: REQUEST_MALFORMED: unexpected EOF`},
		"not an object":       {`["a"]`, `line 1: REQUEST_MALFORMED: unexpected token [, column 1`},
		"not UTF-8":           {"{\"lines\":[{\"sku\":\"ok\"},{\"sku\":\"a\xffb\"}]}", `line 1: REQUEST_MALFORMED: is not valid UTF-8 (field lines[1].sku)`},
		"nor JSON":            {"\xff\xfe", `line 1: REQUEST_MALFORMED: is not valid UTF-8`},
		"too long":            {`{"customer_id":"` + strings.Repeat("a", maxLine) + `"}`, `line 1: REQUEST_MALFORMED: the line is longer than 4194304 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orders, refused := readLines(t, test.line+"\n"+`{"idempotency_key":"next"}`+"\n", Defaults{})
			if len(refused) != 1 || !strings.HasPrefix(refused[0], test.want) {
				t.Errorf("refused %q, want %q", refused, test.want)
			}
			if len(orders) != 1 || orders[0].Line != 2 {
				t.Errorf("the line behind it was not read: %v", orders)
			}
		})
	}
}

func TestJSONLines_OfAnEmptyFileAreNone(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"", "\n\n", "\ufeff"} {
		if orders, refused := readLines(t, file, Defaults{}); orders != nil || refused != nil {
			t.Errorf("%q gave %v, refused %q", file, orders, refused)
		}
	}
}

func FuzzJSONLines(f *testing.F) {
	f.Add(`{"idempotency_key":"k"}` + "\n" + `{"lines":[{"quantity":1.5}]}`)
	f.Add("{\"lines\":[{\"sku\":\"a\xffb\"}]}\n\n[")
	f.Fuzz(func(t *testing.T, file string) {
		last := 0
		for o, err := range JSONLines(strings.NewReader(file), Defaults{}) {
			line := 0
			if refusal, ok := errors.AsType[*Refusal](err); ok {
				line = refusal.Problems[0].Line
			} else if err != nil {
				t.Fatal(err)
			} else {
				line = o.Line
			}
			if line <= last {
				t.Fatalf("line %d came after line %d", line, last)
			}
			last = line
		}
	})
}
