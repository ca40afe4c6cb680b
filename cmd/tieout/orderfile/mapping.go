package orderfile

import "github.com/tieout/tieout/pkg/rowfile"

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

// orderKeys say something about an order as a whole: all its rows must agree.
var orderKeys = []string{keyCustomer, keyPaymentMethod, keyName, keyStreet, keyCity, keyPostalCode, keyCountry}

var keys = rowfile.Keys{
	All:      append([]string{keyOrder, keySKU, keyQuantity, keyUnitPrice, keyCurrency}, orderKeys...),
	Required: []string{keyOrder, keySKU, keyQuantity, keyUnitPrice, keyCustomer, keyCurrency},
	Literal:  []string{keyCurrency, keyPaymentMethod, keyCountry},
}

// requestField is where a key's value goes in PlaceOrderRequest; line keys are within lines[i].
var requestField = map[string]string{
	keyOrder: "idempotency_key", keySKU: "sku", keyQuantity: "quantity",
	keyUnitPrice: "unit_price.minor_units", keyCurrency: "unit_price.currency_code",
	keyCustomer: "customer_id", keyPaymentMethod: "payment_method",
	keyName: "ship_to.name", keyStreet: "ship_to.street", keyCity: "ship_to.city",
	keyPostalCode: "ship_to.postal_code", keyCountry: "ship_to.country",
}

// ParseMapping reads which column of a CSV file holds what: "order=InvoiceNo,sku=StockCode,…". All of order, sku,
// quantity, unit_price, customer and currency are needed; payment_method, name, street, city, postal_code and country
// may be there. For currency, payment_method and country, what is no heading is the value itself, for all rows.
func ParseMapping(text string) (rowfile.Mapping, error) { return keys.Parse(text) }
