package carrier

import (
	"context"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/failpoint"
)

// Event is something that a carrier tells of a parcel.
type Event struct {
	// ID is the carrier's; it has one for each event, which it tells again whenever it is asked.
	ID string
	// Stage is where the parcel was then.
	Stage Stage
	// Detail is what the carrier says besides; it may be empty.
	Detail string
	// At is when it happened.
	At time.Time
}

// Stage is how far a parcel is.
type Stage int

// The stages. The last three are its end.
const (
	StageScheduled Stage = iota + 1
	StageHandedOver
	StageInTransit
	StageDelivered
	StageReturned
	StageLost
)

// The countries in which parcels of the simulated carrier end otherwise than they should.
const (
	returns = "XR"
	loses   = "XL"
)

// Track implements Carrier. A parcel is handed over in its time, and then takes two legs.
func (s Simulator) Track(ctx context.Context, b Booking) (events []Event, err error) {
	failpoint.Hit(failpoint.Before, "carrier", "Track")
	defer failpoint.Hit(failpoint.Unseen, "carrier", "Track")
	err = s.faulty(ctx, b, "track", func() error {
		events = s.journey(b, time.Now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}

// journey is what has become of a booking until now.
func (s Simulator) journey(b Booking, now time.Time) []Event {
	number, err := answer(b)
	if err != nil {
		return nil
	}
	end := StageDelivered
	switch b.Address.Country {
	case returns:
		end = StageReturned
	case loses:
		end = StageLost
	}
	var events []Event
	at := b.BookedAt
	for i, stage := range []Stage{StageScheduled, StageHandedOver, StageInTransit, end} {
		switch {
		case i == 1:
			at = at.Add(s.config.HandOverAfter)
		case i > 1:
			at = at.Add(s.config.LegTime)
		}
		if i > 0 && !s.handedOver(b, now) || at.After(now) {
			break
		}
		events = append(events, Event{ID: fmt.Sprintf("%s/%d", number, i+1), Stage: stage, At: at})
	}
	return events
}
