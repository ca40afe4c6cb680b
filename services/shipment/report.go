package shipment

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// report is what a carrier has told of a parcel.
type report struct {
	*parcel
	events []carrier.Event
}

// stages are the states that a parcel's stages bring its shipment to.
var stages = map[carrier.Stage]shipmentState{
	carrier.StageScheduled: scheduled, carrier.StageHandedOver: handedOver, carrier.StageInTransit: inTransit,
	carrier.StageDelivered: delivered, carrier.StageReturned: returned, carrier.StageLost: lost,
}

// takeDown writes what is new in reports: each event once, the shipments' states, and what that means to others.
func (s *shipments) takeDown(ctx context.Context, tx *pg.Tx, batch []report) ([]groupcommit.Result[struct{}], error) {
	st := newStore(tx)
	parcels := make([]*parcel, len(batch))
	for i, r := range batch {
		parcels[i] = r.parcel
	}
	known, err := st.holdTracking(ctx, parcels)
	if err != nil {
		return nil, err
	}
	var news []trackingEvent
	var steps []progress
	for _, r := range batch {
		k := known[r.id.UUID()]
		for _, e := range slices.SortedStableFunc(slices.Values(r.events), func(a, b carrier.Event) int { return a.At.Compare(b.At) }) {
			if k.seen[e.ID] {
				continue
			}
			to := stages[e.Stage]
			k.seen[e.ID], k.last, k.news = true, k.last+1, true
			news = append(news, trackingEvent{shipment: r.id, Seq: k.last, carrier: r.carrier, ID: e.ID, State: to, Detail: e.Detail, At: e.At})
			switch {
			case k.state.follow(to):
				k.state = to
				steps = append(steps, progress{r.id, to})
			case to.left() && k.state == cancelled:
				s.log.ErrorContext(ctx, "the carrier has what it has cancelled", slog.String("shipment_id", r.id.String()), slog.String("event", e.ID))
			}
		}
	}
	return make([]groupcommit.Result[struct{}], len(batch)), s.tell(ctx, tx, known, news, steps)
}

// tell writes what was told, and an event for each step that a shipment has made.
func (s *shipments) tell(ctx context.Context, tx *pg.Tx, known map[uuid.UUID]*tracking, news []trackingEvent, steps []progress) error {
	if len(news) == 0 {
		return nil
	}
	now, err := newStore(tx).putTracking(ctx, known, news)
	if err != nil {
		return err
	}
	events := make([]bus.Event, len(steps))
	for i, p := range steps {
		sh := now[p.shipment]
		sh.State = p.to
		events[i] = eventOf(sh)
	}
	return s.outbox.Write(ctx, tx, events...)
}

// progress is a step that a shipment has made.
type progress struct {
	shipment shipmentID
	to       shipmentState
}

// trackingEvent is what was told of a shipment, at its place among the rest.
type trackingEvent struct {
	shipment  shipmentID
	Seq       int32
	carrier   string
	ID        string
	State     shipmentState
	Detail    string
	At        time.Time
	CreatedAt time.Time
}

// tracking is what is known of how far a shipment is.
type tracking struct {
	state shipmentState
	seen  map[string]bool // the carrier's events
	last  int32           // place
	news  bool
}
