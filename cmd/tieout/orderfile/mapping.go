package orderfile

import (
	"fmt"
	"slices"
	"strings"
)

// The keys of a mapping: what an order is made of.
const (
	keyOrder         = "order"
	keySKU           = "sku"
	keyQuantity      = "quantity"
	keyUnitPrice     = "unit_price"
	keyCustomer      = "customer"
	keyCurrency      = "currency"
	keyPaymentMethod = "payment_method"
	keyName          = "name"
	keyStreet        = "street"
	keyCity          = "city"
	keyPostalCode    = "postal_code"
	keyCountry       = "country"
)

var (
	requiredKeys = []string{keyOrder, keySKU, keyQuantity, keyUnitPrice, keyCustomer, keyCurrency}
	// orderKeys say something about an order as a whole: all its rows must agree.
	orderKeys = []string{keyCustomer, keyPaymentMethod, keyName, keyStreet, keyCity, keyPostalCode, keyCountry}
	// literalKeys may be the same for the whole file instead of a column.
	literalKeys = []string{keyCurrency, keyPaymentMethod, keyCountry}
	allKeys     = append([]string{keyOrder, keySKU, keyQuantity, keyUnitPrice, keyCurrency}, orderKeys...)
)

// requestField is where a key's value goes in PlaceOrderRequest; line keys are within lines[i].
var requestField = map[string]string{
	keyOrder: "idempotency_key", keySKU: "sku", keyQuantity: "quantity",
	keyUnitPrice: "unit_price.minor_units", keyCurrency: "unit_price.currency_code",
	keyCustomer: "customer_id", keyPaymentMethod: "payment_method",
	keyName: "ship_to.name", keyStreet: "ship_to.street", keyCity: "ship_to.city",
	keyPostalCode: "ship_to.postal_code", keyCountry: "ship_to.country",
}

// Mapping says which column of a CSV file holds what: key → the column's heading. For currency, payment_method and
// country, what is no heading is the value itself, for all rows.
type Mapping map[string]string

// ParseMapping reads "order=InvoiceNo,sku=StockCode,…". All of order, sku, quantity, unit_price, customer and
// currency are needed; payment_method, name, street, city, postal_code and country may be there.
func ParseMapping(text string) (Mapping, error) {
	m := Mapping{}
	for pair := range strings.SplitSeq(text, ",") {
		key, column, ok := strings.Cut(pair, "=")
		key, column = strings.TrimSpace(key), strings.TrimSpace(column)
		switch {
		case !ok || column == "":
			return nil, fmt.Errorf("%q is not like order=InvoiceNo", pair)
		case !slices.Contains(allKeys, key):
			return nil, fmt.Errorf("%q is none of %s", key, strings.Join(allKeys, ", "))
		case m[key] != "":
			return nil, fmt.Errorf("%s is there twice", key)
		}
		m[key] = column
	}
	var missing []string
	for _, key := range requiredKeys {
		if m[key] == "" {
			missing = append(missing, key+"=…")
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("it lacks %s", strings.Join(missing, ", "))
	}
	return m, nil
}

// source is where the value of a key comes from: a column, or the same for all rows.
type source struct {
	column  int
	literal string
}

// resolve finds the columns in a file's heading.
func (m Mapping) resolve(heading []string) (map[string]source, error) {
	sources := map[string]source{}
	for _, key := range allKeys {
		want, mapped := m[key]
		if !mapped {
			continue
		}
		at := slices.Index(heading, want)
		switch {
		case at >= 0 && slices.Contains(heading[at+1:], want):
			return nil, fmt.Errorf("the heading has %q twice, so %s=%s is ambiguous", want, key, want)
		case at >= 0:
			sources[key] = source{column: at}
		case slices.Contains(literalKeys, key):
			sources[key] = source{column: -1, literal: want}
		default:
			return nil, fmt.Errorf("%s=%s: there is no such column; the heading is %s", key, want, strings.Join(heading, ","))
		}
	}
	return sources, nil
}
