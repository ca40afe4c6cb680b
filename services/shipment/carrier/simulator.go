package carrier

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/tieout/tieout/pkg/failpoint"
)

// unserved is the country that the simulated carrier does not deliver to.
const unserved = "XX"

// Simulator is a carrier that goes everywhere but to the country "XX". What it answers follows from the booking
// alone, so that it keeps its word over a restart without keeping anything else; for the same reason it knows of
// every booking that it could have been asked for.
type Simulator struct {
	// Levels are the service levels that it offers; none for all there are.
	Levels []Level
}

// Capabilities implements Carrier.
func (s Simulator) Capabilities() Capabilities {
	if len(s.Levels) == 0 {
		return Capabilities{Levels: []Level{Standard, Express, Overnight}}
	}
	return Capabilities{Levels: s.Levels}
}

// Book implements Carrier.
func (Simulator) Book(ctx context.Context, b Booking) (string, error) {
	failpoint.Hit(failpoint.Before, "carrier", "Book")
	defer failpoint.Hit(failpoint.Unseen, "carrier", "Book")
	return answer(ctx, b)
}

// answer is what the carrier says of a booking, whenever it is asked.
func answer(ctx context.Context, b Booking) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if b.Address.Country == unserved {
		return "", &RefusedError{Reason: "no delivery to country " + unserved}
	}
	return fmt.Sprintf("SIM%X", sha256.Sum256([]byte(b.Key)))[:19], nil
}

// Lookup implements Carrier.
func (Simulator) Lookup(ctx context.Context, b Booking) (string, bool, error) {
	failpoint.Hit(failpoint.Before, "carrier", "Lookup")
	defer failpoint.Hit(failpoint.Unseen, "carrier", "Lookup")
	tracking, err := answer(ctx, b)
	return tracking, err == nil, err
}

// Cancel implements Carrier.
func (Simulator) Cancel(ctx context.Context, _ Booking) error {
	failpoint.Hit(failpoint.Before, "carrier", "Cancel")
	defer failpoint.Hit(failpoint.Unseen, "carrier", "Cancel")
	return ctx.Err()
}
