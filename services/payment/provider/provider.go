package provider

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// Provider is a payment provider. Do and LookUp never return later than Capabilities.CallTimeout, and sooner when
// ctx ends.
type Provider interface {
	// Do carries an operation out. The same request under the same key is carried out once, for as long as the
	// provider remembers the key.
	Do(ctx context.Context, r Request) Outcome
	// LookUp asks what became of a request, by its key; it changes nothing.
	LookUp(ctx context.Context, r Request) Outcome
	// VerifyWebhook reads what the provider has sent of its own accord: ErrForged when it is not the provider's,
	// ErrStale when it is too old, another error when it cannot be read.
	VerifyWebhook(header http.Header, body []byte, now time.Time) (Event, error)
	// Capabilities says what the provider declares about itself.
	Capabilities() Capabilities
}

// Op is what a provider can be asked to do.
type Op string

// The operations.
const (
	// Charge takes money.
	Charge Op = "charge"
	// Authorize sets money aside, to be captured or voided.
	Authorize Op = "authorize"
	// Capture takes what was authorized, or a part of it; what is left is released. An authorization is captured once.
	Capture Op = "capture"
	// Void releases what was authorized and not captured.
	Void Op = "void"
	// Refund gives back what was charged or captured, or a part of it.
	Refund Op = "refund"
)

// Follows says whether the operation is about an earlier charge or authorization.
func (o Op) Follows() bool { return o == Capture || o == Void || o == Refund }

// Request asks a provider for something.
type Request struct {
	Op Op
	// Key is the provider's idempotency key: at most 255 printable ASCII characters, another one for each request.
	Key string
	// Amount is more than zero, and of Void all that was authorized.
	Amount money.Amount
	// PaymentMethod is what is charged, as the provider knows it. With Charge and Authorize only.
	PaymentMethod string
	// Reference is what it is for. With Charge and Authorize only.
	Reference string
	// ChargeID is the provider's id of the charge or authorization that is captured, voided or refunded.
	ChargeID string
}

// Capabilities are what a provider declares about itself.
type Capabilities struct {
	// Operations are those that it can be asked for; another one is an Outcome of kind NotSent.
	Operations []Op
	// LookUpByKey says that LookUp can find an effect that nobody knows the id of. Without it the LookUp of a charge
	// or an authorization is always Unknown.
	LookUpByKey bool
	// PartialCaptures and PartialRefunds say that less than all can be captured or refunded.
	PartialCaptures, PartialRefunds bool
	// CallTimeout is how long one call may take at most.
	CallTimeout time.Duration
	// NotFoundLag is how long a request that reached the provider may still be missing from its lookups.
	NotFoundLag time.Duration
	// KeyLifetime is how long the provider remembers a key, so that sending again has no second effect; zero
	// means for ever. Lookups find a charge for ever.
	KeyLifetime time.Duration
}

// Can says whether the provider can be asked for an operation.
func (c Capabilities) Can(o Op) bool { return slices.Contains(c.Operations, o) }

// Kind is what an answer means.
type Kind int

// The kinds of outcomes.
const (
	// Unknown: the request may have left, and what became of it is not known. Of a lookup: there was no answer.
	Unknown Kind = iota
	// Succeeded: what was asked for has happened.
	Succeeded
	// Declined: the provider said no for good, and nothing has happened.
	Declined
	// MethodUnknown: declined, because the provider does not know the payment method.
	MethodUnknown
	// NotSent: nothing left for the provider, so nothing happened.
	NotSent
	// NotFound, of a lookup only: at this moment the provider knows of no effect under the key.
	NotFound
)

// String names the kind.
func (k Kind) String() string {
	names := [...]string{"unknown", "succeeded", "declined", "method unknown", "not sent", "not found"}
	if k < 0 || int(k) >= len(names) {
		return "no kind of outcome"
	}
	return names[k]
}

// Outcome is what became of a request.
type Outcome struct {
	Kind Kind
	// ID is the provider's id of the charge, authorization, capture, void or refund: always with Succeeded, and
	// with Declined if it has one.
	ID string
	// Reason is the provider's code for saying no, always with Declined and MethodUnknown.
	Reason string
	// Err is what went wrong, with Unknown and NotSent; for logs only.
	Err error
}
