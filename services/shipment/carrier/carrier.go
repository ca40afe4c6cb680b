package carrier

import "context"

// Carrier brings parcels. All calls are idempotent by key: asked again, it does nothing more and answers the same.
type Carrier interface {
	// Book asks the carrier to come for a parcel and gives its tracking number. A *RefusedError means that
	// nothing was booked and never will be under the key; with any other error the outcome is not known.
	Book(ctx context.Context, b Booking) (tracking string, err error)
	// Lookup tells what became of a Book without booking anything: the tracking number, a *RefusedError when it was
	// refused, or that the carrier knows of none. That does not keep a Book which is still on its way from arriving.
	// With any other error the outcome is not known.
	Lookup(ctx context.Context, b Booking) (tracking string, found bool, err error)
	// Cancel undoes what was booked under the key, if anything was. With an error the outcome is not known.
	Cancel(ctx context.Context, key string) error
}

// Booking is what a carrier is asked to bring.
type Booking struct {
	// Key names the intent; the same at every attempt.
	Key string
	// Reference is the sender's name for the parcel: the order's id.
	Reference string
	// Address is where it goes.
	Address Address
}

// Address is a postal address. Its JSON is how it is stored.
type Address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postal_code"`
	// Country is the ISO 3166-1 alpha-2 code, in capitals: "GB".
	Country string `json:"country"`
}

// RefusedError says that the carrier does not take a parcel.
type RefusedError struct {
	// Reason is the carrier's, never empty.
	Reason string
}

// Error gives the reason.
func (e *RefusedError) Error() string { return "carrier refused: " + e.Reason }
