package paymentfile

import (
	"errors"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rowfile"
)

// What a row holds, by its index in names.
const (
	reference = iota
	customerID
	paymentMethod
	amount
	currency
	description
	cardScheme
	columns
)

var names = [columns]string{"reference", "customer_id", "payment_method", "amount", "currency", "description", "card_scheme"}

var keys = rowfile.Keys{
	All:          names[:],
	Required:     names[:description],
	Literal:      []string{names[paymentMethod], names[currency]},
	CheckLiteral: checkLiteral,
	ByName:       true,
}

// checkLiteral refuses what cannot be the currency or the payment method of all rows, so that a misspelt heading is
// one error and not one for each row.
func checkLiteral(key, value string) error {
	if key == names[currency] {
		if _, err := money.ParseCurrency(value); err != nil {
			return err
		}
		return nil
	}
	if p := checkText(paymentMethod, value); p != nil {
		return errors.New(p.text)
	}
	return nil
}

// Columns are the names of the columns, in the order in which files usually have them.
func Columns() []string { return names[:] }

// ParseMapping reads which headings a CSV file has for the columns: "reference=InvoiceNo,amount=Total". Columns that it
// does not name are called by their own names. For payment_method and currency, what is no heading is the value itself,
// for all rows: "currency=EUR".
func ParseMapping(text string) (rowfile.Mapping, error) { return keys.Parse(text) }
