package provider

import (
	"context"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// Provider is a payment provider. Its methods never return later than Capabilities.CallTimeout, and sooner when
// ctx ends.
type Provider interface {
	// Charge takes money. The same request under the same key takes it once.
	Charge(ctx context.Context, r ChargeRequest) Outcome
	// Refund gives a charge's money back. The same request under the same key gives it once.
	Refund(ctx context.Context, r RefundRequest) Outcome
	// LookupCharge asks what became of a charge, by its key; it changes nothing.
	LookupCharge(ctx context.Context, r ChargeRequest) Outcome
	// LookupRefund asks what became of a refund, by its key; it changes nothing.
	LookupRefund(ctx context.Context, r RefundRequest) Outcome
	// Capabilities says what the provider declares about itself.
	Capabilities() Capabilities
}

// Capabilities are what a provider declares about itself.
type Capabilities struct {
	// CallTimeout is how long one call may take at most.
	CallTimeout time.Duration
	// NotFoundLag is how long a request that reached the provider may still be missing from its lookups.
	NotFoundLag time.Duration
	// KeyLifetime is how long the provider remembers a key, so that sending again has no second effect; zero
	// means for ever. Lookups find a charge for ever.
	KeyLifetime time.Duration
}

// ChargeRequest asks for money.
type ChargeRequest struct {
	// Key is the provider's idempotency key: at most 255 printable ASCII characters.
	Key string
	// Amount is more than zero.
	Amount money.Amount
	// PaymentMethod is what is charged, as the provider knows it.
	PaymentMethod string
	// Reference is what it is for.
	Reference string
}

// RefundRequest asks to give money back.
type RefundRequest struct {
	// Key is the provider's idempotency key, another one than the charge's.
	Key string
	// ChargeID is the provider's id of the charge.
	ChargeID string
	// Amount is more than zero and at most what was charged.
	Amount money.Amount
}

// Kind is what an answer means.
type Kind int

// The kinds of outcomes.
const (
	// Unknown: the request may have left, and what became of it is not known. Of a lookup: there was no answer.
	Unknown Kind = iota
	// Succeeded: the money has moved.
	Succeeded
	// Declined: the provider said no for good, and no money has moved.
	Declined
	// MethodUnknown: declined, because the provider does not know the payment method.
	MethodUnknown
	// NotSent: nothing left for the provider, so nothing happened.
	NotSent
	// NotFound, of a lookup only: at this moment the provider knows of no effect under the key.
	NotFound
)

// Outcome is what became of a request.
type Outcome struct {
	Kind Kind
	// ID is the provider's id of the charge or refund: always with Succeeded, and with Declined if it has one.
	ID string
	// Reason is the provider's code for saying no, always with Declined and MethodUnknown.
	Reason string
	// Err is what went wrong, with Unknown and NotSent; for logs only.
	Err error
}
