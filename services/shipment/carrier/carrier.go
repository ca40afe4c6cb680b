package carrier

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Carrier brings parcels. All calls are idempotent by key: asked again, it does nothing more and answers the same.
type Carrier interface {
	// Capabilities tells what the carrier can do; always the same.
	Capabilities() Capabilities
	// Book asks the carrier to come for a parcel and gives its tracking number. A *RefusedError means that
	// nothing was booked and never will be under the key; with any other error the outcome is not known.
	Book(ctx context.Context, b Booking) (tracking string, err error)
	// Lookup tells what became of a Book without booking anything: the tracking number, a *RefusedError when it was
	// refused, or that the carrier knows of none. That does not keep a Book which is still on its way from arriving.
	// With any other error the outcome is not known.
	Lookup(ctx context.Context, b Booking) (tracking string, found bool, err error)
	// Cancel undoes what was booked, if anything was. A *HandedOverError means that the carrier has the parcel and brings
	// it; with any other error the outcome is not known.
	Cancel(ctx context.Context, b Booking) error
	// Track tells all that has become of what was booked so far, the oldest first.
	Track(ctx context.Context, b Booking) ([]Event, error)
}

// Booking is what a carrier is asked to bring.
type Booking struct {
	// Key names the intent; the same at every attempt.
	Key string
	// Reference is the sender's name for the parcel: the order's id.
	Reference string
	// Address is where it goes.
	Address Address
	// Level is how fast it travels, one that the carrier offers.
	Level Level
	// BookedAt is when the sender first meant to ask; the same at every attempt.
	BookedAt time.Time
}

// Capabilities are what a carrier declares of itself.
type Capabilities struct {
	// Levels are the service levels that it offers.
	Levels []Level
}

// Offers tells whether parcels can travel at a level.
func (c Capabilities) Offers(l Level) bool { return slices.Contains(c.Levels, l) }

// Level is how fast a parcel travels, as in the proto and in the database.
type Level int16

// The levels.
const (
	Standard  Level = 1
	Express   Level = 2
	Overnight Level = 3
)

// String gives the level as people say it.
func (l Level) String() string {
	switch l {
	case Standard:
		return "standard"
	case Express:
		return "express"
	case Overnight:
		return "overnight"
	}
	return strconv.Itoa(int(l))
}

// Directory is the carriers that there are, by name.
type Directory struct {
	// Default is the name of the one that brings what names none.
	Default string
	// Carriers has at least the default.
	Carriers map[string]Carrier
}

// Names gives the names of all, in order.
func (d Directory) Names() []string { return slices.Sorted(maps.Keys(d.Carriers)) }

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

// HandedOverError says that the carrier has a parcel, which cannot be cancelled any more.
type HandedOverError struct {
	// Tracking is the parcel's number.
	Tracking string
}

// Error says so.
func (e *HandedOverError) Error() string { return "the carrier has it already, as " + e.Tracking }
