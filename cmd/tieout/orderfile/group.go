package orderfile

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rowfile"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// grouping puts the rows of each order together.
type grouping struct {
	// last is the line of the last row of each order, by a hash of its name. When two orders share a hash, the one
	// that ends first is held until the end of the file.
	last map[uint64]int
	seed maphash.Seed
	open map[string]*group
}

// group is an order whose last row was not read yet.
type group struct {
	name     string
	rows     []int
	whole    map[string]string // what the first row said of the order as a whole
	lines    []*orderv1.OrderLine
	problems []Problem
}

// orderOf is the order that a row belongs to; false when the row ends before.
func orderOf(r rowfile.Record) (string, bool) {
	name, err := r.Value(keyOrder)
	return strings.TrimSpace(name), err == nil || errors.Is(err, rowfile.ErrNotUTF8)
}

// add takes a row, and gives its order when that was its last one.
func (g *grouping) add(r rowfile.Record) *group {
	name, _ := orderOf(r)
	o := g.open[name]
	if o == nil {
		o = &group{name: strings.Clone(name), whole: map[string]string{}}
		g.open[o.name] = o
	}
	o.add(r)
	if name == "" || g.last[maphash.String(g.seed, name)] == r.Line {
		delete(g.open, name)
		return o
	}
	return nil
}

// rest gives the orders that are still open at the end of the file, by their first row.
func (g *grouping) rest() []*group {
	return slices.SortedFunc(maps.Values(g.open), func(a, b *group) int { return cmp.Compare(a.rows[0], b.rows[0]) })
}

// add makes the row a line of the order, or notes what is wrong with it.
func (o *group) add(r rowfile.Record) {
	o.rows = append(o.rows, r.Line)
	index := len(o.lines)
	problem := func(reason rpcerr.Reason, key, format string, args ...any) {
		field := requestField[key]
		if slices.Contains([]string{keySKU, keyQuantity, keyUnitPrice, keyCurrency}, key) {
			field = fmt.Sprintf("lines[%d].%s", index, field)
		}
		o.problems = append(o.problems, Problem{r.Line, reason, field, fmt.Sprintf(format, args...)})
	}
	line := &orderv1.OrderLine{}
	o.lines = append(o.lines, line)
	if r.Err != nil {
		problem(rpcerr.RequestMalformed, "", "%v", r.Err)
		return
	}
	values := map[string]string{}
	for _, key := range keys.All {
		value, err := r.Value(key)
		switch {
		case errors.Is(err, rowfile.ErrNotUTF8):
			problem(rpcerr.RequestMalformed, key, "%v", err)
		case err != nil:
			problem(rpcerr.RequestInvalid, key, "%v", err)
		default:
			values[key] = strings.Clone(strings.TrimSpace(value))
		}
	}
	if len(o.problems) > 0 && o.problems[len(o.problems)-1].Line == r.Line {
		return
	}
	if values[keyOrder] == "" {
		problem(rpcerr.RequestInvalid, keyOrder, "the row names no order")
	}
	o.agree(values, problem)
	line.Sku = values[keySKU]
	line.Quantity = quantity(values[keyQuantity], problem)
	line.UnitPrice = price(values[keyUnitPrice], values[keyCurrency], problem)
}

type complain func(reason rpcerr.Reason, key, format string, args ...any)

// agree checks that the row says the same of the order as the first one.
func (o *group) agree(values map[string]string, problem complain) {
	if len(o.rows) == 1 || len(o.whole) == 0 {
		for _, key := range orderKeys {
			o.whole[key] = values[key]
		}
		return
	}
	for _, key := range orderKeys {
		if first := o.whole[key]; first != values[key] {
			problem(rpcerr.RequestInvalid, key, "%s is %q, but %q in line %d of the same order", key, values[key], first, o.rows[0])
		}
	}
}

// quantity reads a whole number; whether the order may have it is the server's to say.
func quantity(text string, problem complain) int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange):
		problem(rpcerr.RequestInvalid, keyQuantity, "quantity %.40q is out of range", text)
	case err != nil:
		problem(rpcerr.RequestInvalid, keyQuantity, "quantity %.40q is not a whole number", text)
	}
	return int32(n)
}

// price reads a decimal number of major units by the decimals of its currency.
func price(text, code string, problem complain) *commonv1.Amount {
	currency, err := money.ParseCurrency(code)
	if err != nil {
		problem(rpcerr.CurrencyUnknown, keyCurrency, "%v", err)
		return nil
	}
	amount, err := money.Parse(text, currency)
	switch {
	case errors.Is(err, money.ErrOverflow):
		problem(rpcerr.AmountOverflow, keyUnitPrice, "%v", err)
	case err != nil:
		problem(rpcerr.RequestInvalid, keyUnitPrice, "%v", err)
	}
	return &commonv1.Amount{CurrencyCode: code, MinorUnits: amount.Minor}
}

// finish makes the order, or its refusal.
func (o *group) finish(d Defaults) (*Order, error) {
	if len(o.problems) > 0 {
		return nil, &Refusal{Order: o.name, Problems: o.problems}
	}
	r := &orderv1.PlaceOrderRequest{
		IdempotencyKey: "csv-order/" + o.name,
		CustomerId:     o.whole[keyCustomer],
		Lines:          o.lines,
		PaymentMethod:  o.whole[keyPaymentMethod],
	}
	address := &commonv1.Address{
		Name: o.whole[keyName], Street: o.whole[keyStreet], City: o.whole[keyCity],
		PostalCode: o.whole[keyPostalCode], Country: o.whole[keyCountry],
	}
	if proto.Size(address) > 0 {
		r.ShipTo = address
	}
	d.apply(r)
	return &Order{Line: o.rows[0], Request: r, rows: o.rows}, nil
}
