package orderfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
)

const (
	heading = "no,sku,qty,price,cust\n"
	mapText = "order=no,sku=sku,quantity=qty,unit_price=price,customer=cust,currency=GBP"
)

// read gives the orders of a CSV file, what was refused, and the error that ended it.
func read(t *testing.T, file, mapping string) (orders []*Order, refused []string, failed error) {
	t.Helper()
	m, err := ParseMapping(mapping)
	if err != nil {
		t.Fatal(err)
	}
	for o, err := range CSV(strings.NewReader(file), m, Defaults{PaymentMethod: "pm_ok", Country: "GB"}) {
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			refused = append(refused, refusal.Error())
		} else if err != nil {
			failed = err
		} else {
			orders = append(orders, o)
		}
	}
	return orders, refused, failed
}

// told says of each order which of its rows it has: "A:2,4".
func told(orders []*Order) []string {
	var all []string
	for _, o := range orders {
		all = append(all, strings.TrimPrefix(o.Request.GetIdempotencyKey(), "csv-order/")+":"+
			strings.ReplaceAll(strings.Trim(fmt.Sprint(o.rows), "[]"), " ", ","))
	}
	return all
}

func TestCSV_MakesAnOrderOfItsRows(t *testing.T) {
	t.Parallel()
	orders, refused, err := read(t, "\ufeff"+heading+"A1,MUG,2,2.55,c1\r\nA1,\"POT,BIG\",1,10,c1\n", mapText)
	if err != nil || refused != nil || len(orders) != 1 {
		t.Fatalf("got %d orders, refused %q, error %v", len(orders), refused, err)
	}
	want := &orderv1.PlaceOrderRequest{
		IdempotencyKey: "csv-order/A1", CustomerId: "c1", PaymentMethod: "pm_ok", ShipTo: &commonv1.Address{Country: "GB"},
		Lines: []*orderv1.OrderLine{
			{Sku: "MUG", Quantity: 2, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 255}},
			{Sku: "POT,BIG", Quantity: 1, UnitPrice: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 1000}},
		},
	}
	if diff := cmp.Diff(want, orders[0].Request, protocmp.Transform()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if line := orders[0].LineOf("lines[1].sku"); line != 3 {
		t.Errorf("lines[1].sku comes from line %d, want 3", line)
	}
	if line := orders[0].LineOf("customer_id"); line != 2 {
		t.Errorf("customer_id comes from line %d, want 2", line)
	}
}

func TestCSV_GroupsRowsWhereverTheyStand(t *testing.T) {
	t.Parallel()
	orders, refused, err := read(t, heading+"A,x,1,1,c\nB,x,1,1,c\nA,x,1,1,c\nC,x,1,1,c\nB,x,1,1,c\nA,x,1,1,c\n", mapText)
	if err != nil || refused != nil {
		t.Fatalf("refused %q, error %v", refused, err)
	}
	if diff := cmp.Diff([]string{"C:5", "B:3,6", "A:2,4,7"}, told(orders)); diff != "" {
		t.Errorf("orders as they end (-want +got):\n%s", diff)
	}
}

func TestCSV_MapsWhatIsNoColumnAsTheValueForAllRows(t *testing.T) {
	t.Parallel()
	orders, _, err := read(t, "no,sku,qty,price,cust,cur,land\nA,x,1,100,c,JPY,FR\n",
		"order=no,sku=sku,quantity=qty,unit_price=price,customer=cust,currency=cur,payment_method=pm_slow,country=land")
	if err != nil || len(orders) != 1 {
		t.Fatalf("got %d orders, error %v", len(orders), err)
	}
	r := orders[0].Request
	got := []any{r.GetPaymentMethod(), r.GetShipTo().GetCountry(), r.GetLines()[0].GetUnitPrice().GetCurrencyCode(), r.GetLines()[0].GetUnitPrice().GetMinorUnits()}
	if diff := cmp.Diff([]any{"pm_slow", "FR", "JPY", int64(100)}, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestCSV_RefusesOneOrderAndReadsOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ rows, want string }{
		"quantity is no number":     {"A,x,two,1,c", `line 2: REQUEST_INVALID: quantity "two" is not a whole number (field lines[0].quantity)`},
		"quantity is a fraction":    {"A,x,1.5,1,c", `line 2: REQUEST_INVALID: quantity "1.5" is not a whole number (field lines[0].quantity)`},
		"quantity is out of range":  {"A,x,3000000000,1,c", `line 2: REQUEST_INVALID: quantity "3000000000" is out of range (field lines[0].quantity)`},
		"price has too many places": {"A,x,1,1.005,c", `line 2: REQUEST_INVALID: too many decimals: "1.005", but GBP has 2 (field lines[0].unit_price.minor_units)`},
		"price is no number":        {"A,x,1,1e3,c", `line 2: REQUEST_INVALID: malformed amount: "1e3" is not a number like 12.34 (field lines[0].unit_price.minor_units)`},
		"price overflows":           {"A,x,1,99999999999999999999,c", `line 2: AMOUNT_OVERFLOW: amount out of range: "99999999999999999999" GBP (field lines[0].unit_price.minor_units)`},
		"row is short":              {"A,x,1", "line 2: REQUEST_INVALID: the row has 3 columns, unit_price is in column 4 (field lines[0].unit_price.minor_units)\nline 2: REQUEST_INVALID: the row has 3 columns, customer is in column 5 (field customer_id)"},
		"second row is wrong":       {"A,x,1,1,c\nA,y,-,1,c", `line 3: REQUEST_INVALID: quantity "-" is not a whole number (field lines[1].quantity)`},
		"customers differ":          {"A,x,1,1,c\nA,y,1,1,d", `line 3: REQUEST_INVALID: customer is "d", but "c" in line 2 of the same order (field customer_id)`},
		"row names no order":        {",x,1,1,c", "line 2: REQUEST_INVALID: the row names no order (field idempotency_key)"},
		"not UTF-8":                 {"A,x\xff,1,1,c", "line 2: REQUEST_MALFORMED: sku is not valid UTF-8 (field lines[0].sku)"},
		"quoting is broken":         {"A,x\"y,1,1,c", `line 2: REQUEST_MALFORMED: bare " in non-quoted-field`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orders, refused, err := read(t, heading+test.rows+"\nZ,x,1,1,c\n", mapText)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{test.want}, refused); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
			if len(orders) != 1 || orders[0].Request.GetIdempotencyKey() != "csv-order/Z" {
				t.Errorf("the order behind it was not read: %v", told(orders))
			}
		})
	}
}

func TestCSV_LeavesToTheServerWhatTheContractCanSay(t *testing.T) {
	t.Parallel()
	orders, refused, err := read(t, heading+"A,,-4,-1.50,\nB,x,0,0.00,c\n", mapText)
	if err != nil || refused != nil || len(orders) != 2 {
		t.Fatalf("got %d orders, refused %q, error %v", len(orders), refused, err)
	}
	if l := orders[0].Request.GetLines()[0]; l.GetQuantity() != -4 || l.GetUnitPrice().GetMinorUnits() != -150 {
		t.Errorf("got quantity %d and price %d, want -4 and -150", l.GetQuantity(), l.GetUnitPrice().GetMinorUnits())
	}
}

func TestCSV_PlacesNothingWhenAnOrderCouldLackARow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, want string }{
		"empty file":              {"", "empty"},
		"column is not there":     {"no,sku,qty,price\nA,x,1,1\n", "no such column"},
		"column is there twice":   {"no,sku,qty,price,cust,qty\nA,x,1,1,c,2\n", "ambiguous"},
		"order is not readable":   {heading + "B,x,1,1,c\n\"A\"A,x,1,1,c\n", "which order"},
		"quotes swallow an order": {heading + "A,\"x,1,1,c\nB,\"y\",1,1,c\n", "parse error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orders, _, err := read(t, test.file, mapText)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if len(orders) > 0 {
				t.Errorf("orders were given all the same: %v", told(orders))
			}
		})
	}
}

func TestMapping_RefusesWhatCannotBeMapped(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"order=no":               "lacks sku=…, quantity=…, unit_price=…, customer=…, currency=…",
		mapText + ",colour=red":  `"colour" is none of`,
		mapText + ",order=other": "twice",
		mapText + ",city":        "not like",
		mapText + ",city=":       "not like",
	} {
		if _, err := ParseMapping(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %v, want an error with %q", text, err, want)
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add(heading + "A,x,1,1,c\nB,\"y\",2,2.50,d\nA,x,1,1,c\n")
	f.Add(heading + "A,x\"y,1,1,c\n,,,\n")
	f.Fuzz(func(t *testing.T, file string) {
		m, err := ParseMapping(mapText)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int]bool{}
		for o, err := range CSV(strings.NewReader(file), m, Defaults{}) {
			if err != nil {
				continue
			}
			if len(o.rows) != len(o.Request.GetLines()) {
				t.Fatalf("%d rows made %d lines", len(o.rows), len(o.Request.GetLines()))
			}
			for _, row := range o.rows {
				if seen[row] {
					t.Fatalf("row %d is in two orders", row)
				}
				seen[row] = true
			}
		}
	})
}
