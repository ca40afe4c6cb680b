package orderfile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// Order is one order of a file.
type Order struct {
	// Line is where it begins, from 1.
	Line int
	// Request is the order as it is to be placed.
	Request *orderv1.PlaceOrderRequest
	// rows are the lines of the file that the request's lines come from; nil when all come from one.
	rows []int
}

var lineOf = regexp.MustCompile(`^lines\[(\d+)\]`)

// LineOf gives the line of the file that a field of the request comes from, for example "lines[2].sku".
func (o *Order) LineOf(field string) int {
	if m := lineOf.FindStringSubmatch(field); m != nil {
		if i, err := strconv.Atoi(m[1]); err == nil && i < len(o.rows) {
			return o.rows[i]
		}
	}
	return o.Line
}

// Problem is one thing that is wrong with an order of a file.
type Problem struct {
	// Line is where it stands, from 1.
	Line int
	// Reason is the registered reason of the refusal.
	Reason rpcerr.Reason
	// Field is the field of PlaceOrderRequest that it is about; empty for the order as a whole.
	Field string
	// Message says what is wrong.
	Message string
}

// String gives the problem as it is reported: "line 12: REASON: message (field …)".
func (p Problem) String() string {
	field := ""
	if p.Field != "" {
		field = " (field " + p.Field + ")"
	}
	return fmt.Sprintf("line %d: %s: %s%s", p.Line, p.Reason, p.Message, field)
}

// Refusal is the error for one order that cannot be placed; reading goes on behind it.
type Refusal struct {
	// Order is the order's name in the file, when there is one.
	Order string
	// Problems are what is wrong with it, at least one.
	Problems []Problem
}

// Error implements error.
func (r *Refusal) Error() string {
	lines := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Defaults are what an order gets that the file does not say. Empty ones are not set.
type Defaults struct {
	// PaymentMethod is what orders are paid with: "pm_ok".
	PaymentMethod string
	// Country is where orders are shipped to, ISO 3166-1 alpha-2: "GB".
	Country string
}

func (d Defaults) apply(r *orderv1.PlaceOrderRequest) {
	if r.PaymentMethod == "" {
		r.PaymentMethod = d.PaymentMethod
	}
	if d.Country == "" {
		return
	}
	if r.ShipTo == nil {
		r.ShipTo = &commonv1.Address{}
	}
	if r.ShipTo.Country == "" {
		r.ShipTo.Country = d.Country
	}
}
