package payment

import (
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/payment/provider"
)

// method is an RPC by its short name, under which its idempotency rows are kept.
type method string

const (
	methodCharge        method = "Charge"
	methodRefund        method = "Refund" // of the Charge of the same key
	methodAuthorize     method = "Authorize"
	methodVoid          method = "Void" // of the Authorize of the same key
	methodCapture       method = "Capture"
	methodRefundPayment method = "RefundPayment"
	methodVoidPayment   method = "VoidPayment"
)

// undoes gives the method whose request is undone under the same key.
var undoes = map[method]method{methodRefund: methodCharge, methodVoid: methodAuthorize}

// opens gives what the provider is asked by a method that makes a payment.
var opens = map[method]provider.Op{methodCharge: provider.Charge, methodAuthorize: provider.Authorize}

// command is what is asked for, once per key.
type command struct {
	request
	method method
	// amount of a capture or a refund is zero for all there is.
	amount money.Amount

	// Of what makes a payment.
	paymentMethod, customerID, reference string

	// Of what is done to a payment: by its id, or by the key under which the provider knows its authorization; for an
	// operator, why.
	paymentID      string
	authorizedWith string // the key of the caller's Authorize
	reason         string

	// Of the transaction that begins the request, until it has answered; then of the work on it.

	// payment is what it is about; nil for what undoes something that was never seen.
	payment *payment
	// begun is before the operation was marked as sent: it says that it may leave from then on. Zero unless this
	// request is the one that sends it.
	begun time.Time
}

// opening is the request as it is kept: the fields in an order that never changes.
func (c *command) opening() idem.Opening {
	o := idem.Opening{Token: c.token, Request: idem.Request{Caller: c.caller, Method: string(c.method), Key: c.key, Epoch: c.epoch}}
	amount := fmt.Sprintf("%d %s", c.amount.Minor, c.amount.Currency)
	if c.amount == (money.Amount{}) {
		amount = "all"
	}
	switch c.method {
	case methodCharge, methodAuthorize:
		o.Fields = []idem.Field{
			{Name: "amount", Value: amount}, {Name: "payment_method", Value: c.paymentMethod},
			{Name: "customer_id", Value: c.customerID}, {Name: "reference", Value: c.reference},
		}
	case methodCapture:
		o.Fields = []idem.Field{
			{Name: "payment_id", Value: c.paymentID}, {Name: "authorization_key", Value: c.authorizedWith}, {Name: "amount", Value: amount},
		}
	case methodRefundPayment:
		o.Fields = []idem.Field{{Name: "payment_id", Value: c.paymentID}, {Name: "amount", Value: amount}}
	case methodVoidPayment:
		o.Fields = []idem.Field{{Name: "payment_id", Value: c.paymentID}}
	case methodRefund, methodVoid:
		o.Of = idem.Request{Caller: c.caller, Method: string(undoes[c.method]), Key: c.key}
	}
	return o
}

// openings are commands as they are kept.
func openings(batch []*command) []idem.Opening {
	all := make([]idem.Opening, len(batch))
	for i, c := range batch {
		all[i] = c.opening()
	}
	return all
}

// fields are the names of a method's fields, in the order of their fingerprint.
func (m method) fields() []string {
	c := command{method: m}
	var names []string
	for _, f := range c.opening().Fields {
		names = append(names, f.Name)
	}
	return names
}

// providerKey is the key under which the provider knows what the command asks for; that of what undoes a payment is the
// payment's own, with what is done. A charge's has no method in it, for it was so from the beginning.
func (c *command) providerKey(o provider.Op) string {
	switch {
	case undoes[c.method] != "":
		return c.payment.ProviderKey + "/" + string(o)
	case c.method == methodCharge:
		return derived(c.caller, c.key)
	}
	return derived(c.caller, string(c.method), c.key)
}

// keyFor is providerKey for an amount. What refunds all there is, and did not happen, may come back to less, as a part was
// refunded meanwhile: that is another request to the provider, which may know the key of the first one.
func (c *command) keyFor(o provider.Op, amount money.Amount) string {
	key := c.providerKey(o)
	if o == provider.Refund && c.amount == (money.Amount{}) && amount.Minor != c.payment.Captured {
		key = fmt.Sprintf("%s/%d", key, amount.Minor)
	}
	return key
}

// asked tells whether an operation is what this command has asked for; one that was given up is nobody's.
func (c *command) asked(o operation) bool {
	return o.State != opAbandoned && o.Key == c.keyFor(o.Op, o.Amount)
}

// byOperator: a person asks, and has said why.
func (c *command) byOperator() bool { return c.reason != "" }
