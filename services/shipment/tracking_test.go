package shipment

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// travelling is a carrier that tells of its parcels what it is told.
type travelling struct {
	*ledger
	mu     sync.Mutex
	stages []carrier.Stage
	asked  int
	fails  error
}

func (c *travelling) Track(_ context.Context, b carrier.Booking) ([]carrier.Event, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	var events []carrier.Event
	for i, stage := range c.stages {
		events = append(events, carrier.Event{ID: fmt.Sprint(b.Key, i), Stage: stage, At: b.BookedAt.Add(time.Duration(i) * time.Hour)})
	}
	return events, c.fails
}

func (c *travelling) at(fails error, stages ...carrier.Stage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stages, c.fails = stages, fails
}

// look does a round of the duty that asks carriers, when the time of all shipments has come.
func (b bundle) look(t *testing.T) {
	t.Helper()
	if _, err := b.db.Exec(t.Context(), `UPDATE shipment SET look_at = now() WHERE look_at IS NOT NULL`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.duties.lookOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (b bundle) trackingEvents(t *testing.T) []string {
	t.Helper()
	return b.rows(t, `SELECT seq, state FROM tracking_event ORDER BY shipment_id, seq`)
}

var journey = []carrier.Stage{carrier.StageScheduled, carrier.StageHandedOver, carrier.StageInTransit, carrier.StageDelivered}

func TestTracker_TakesEachEventDownOnceAndTells(t *testing.T) {
	t.Parallel()
	by := &travelling{ledger: newLedger(t)}
	b := setup(t, by)
	b.mustSchedule(t, key)
	for told := range len(journey) + 1 {
		by.at(nil, journey[:told]...)
		for range 2 { // nothing is new the second time
			b.look(t)
		}
	}
	if diff := cmp.Diff([]string{"1 2", "2 5", "3 6", "4 7"}, b.trackingEvents(t)); diff != "" {
		t.Errorf("tracking events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"scheduled", "handed_over", "in_transit", "delivered"}, b.events(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := b.rows(t, `SELECT state, look_at IS NULL FROM shipment`); !cmp.Equal(got, []string{"7 true"}) {
		t.Errorf("got %v, want it delivered and left alone", got)
	}
	if want := 2*len(journey) + 1; by.asked != want {
		t.Errorf("the carrier was asked %d times, want %d: not after the end", by.asked, want)
	}
}

func TestTracker_TakesDownTheWholeJourneyAtOnceAndItsOtherEnds(t *testing.T) {
	t.Parallel()
	for end, want := range map[carrier.Stage]string{carrier.StageReturned: "returned", carrier.StageLost: "lost"} {
		by := &travelling{ledger: newLedger(t)}
		b := setup(t, by)
		b.mustSchedule(t, key)
		by.at(nil, append(slices.Clone(journey[:3]), end)...)
		b.look(t)
		if diff := cmp.Diff([]string{"scheduled", "handed_over", "in_transit", want}, b.events(t)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		_, err := b.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: key})
		rpcerrtest.Want(t, err, rpcerr.ShipmentHandedOver)
	}
}

func TestTracker_AsksLessAndLessOftenUntilSomethingIsNew(t *testing.T) {
	t.Parallel()
	by := &travelling{ledger: newLedger(t)}
	b := setup(t, by)
	b.mustSchedule(t, key)
	next := func() string {
		return b.rows(t, `SELECT (round(extract(epoch FROM look_at - now()) / 60))::text FROM shipment`)[0]
	}
	var got []string
	for i := range len(trackWaits) + 2 {
		by.at(nil)
		if i == len(trackWaits)+1 {
			by.at(nil, carrier.StageScheduled)
		}
		b.look(t)
		got = append(got, next())
	}
	if diff := cmp.Diff([]string{"1", "5", "15", "60", "60", "1"}, got); diff != "" {
		t.Errorf("minutes until the next time (-want +got):\n%s", diff)
	}
}

func TestTracker_AtALostCommitTakesNothingDownTwice(t *testing.T) {
	t.Parallel()
	for name, fault := range pgtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			by := &travelling{ledger: newLedger(t)}
			b := setup(t, by)
			made := b.mustSchedule(t, key)
			by.at(nil, journey...)
			b.faults.SetOnce(fault)
			for range 3 {
				if got, err := b.TrackShipment(t.Context(), &shipmentv1.TrackShipmentRequest{ShipmentId: made.GetShipmentId()}); err == nil &&
					got.GetShipment().GetState() != shipmentv1.ShipmentState_SHIPMENT_STATE_DELIVERED {
					t.Errorf("got %v, want it delivered", got)
				}
			}
			if diff := cmp.Diff([]string{"1 2", "2 5", "3 6", "4 7"}, b.trackingEvents(t)); diff != "" {
				t.Errorf("tracking events (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"scheduled", "handed_over", "in_transit", "delivered"}, b.events(t)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTrackShipment_WithoutAnAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	by := &travelling{ledger: newLedger(t)}
	b := setup(t, by)
	made := b.mustSchedule(t, key)
	request := &shipmentv1.TrackShipmentRequest{ShipmentId: made.GetShipmentId()}
	by.at(errLost, journey...)
	_, err := b.TrackShipment(t.Context(), request)
	rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
	b.look(t)
	if states, events := b.states(t), b.trackingEvents(t); !cmp.Equal(states, []string{"2"}) || len(events) != 0 {
		t.Errorf("got states %v and events %v, want it scheduled and none", states, events)
	}
	by.at(nil, journey[:2]...)
	got, err := b.TrackShipment(t.Context(), request)
	if err != nil || got.GetShipment().GetState() != shipmentv1.ShipmentState_SHIPMENT_STATE_HANDED_OVER {
		t.Errorf("got %v and %v, want it handed over", got, err)
	}
}

func TestListTrackingEvents_PagesInOrder(t *testing.T) {
	t.Parallel()
	by := &travelling{ledger: newLedger(t)}
	b := setup(t, by)
	made := b.mustSchedule(t, key)
	by.at(nil, journey...)
	b.look(t)
	var got []shipmentv1.ShipmentState
	for token, more := "", true; more; more = token != "" {
		page, err := b.ListTrackingEvents(t.Context(), &shipmentv1.ListTrackingEventsRequest{ShipmentId: made.GetShipmentId(), PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetTrackingEvents() {
			got = append(got, e.GetState())
			if e.GetEventId() == "" || e.GetEventTime().AsTime().IsZero() || e.GetCreateTime().AsTime().IsZero() {
				t.Errorf("got %v, want it whole", e)
			}
		}
		token = page.GetNextPageToken()
	}
	if diff := cmp.Diff([]shipmentv1.ShipmentState{2, 5, 6, 7}, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	_, err := b.ListTrackingEvents(t.Context(), &shipmentv1.ListTrackingEventsRequest{ShipmentId: made.GetShipmentId(), PageToken: "c2hw"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
}

func TestTracking_RefusesAnUnknownShipment(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.Simulator{})
	for _, shipmentID := range []string{id.New[shipmentKind]().String(), "ord_1"} {
		_, err := b.TrackShipment(t.Context(), &shipmentv1.TrackShipmentRequest{ShipmentId: shipmentID})
		rpcerrtest.Want(t, err, rpcerr.NotFound, "shipment_id")
		_, err = b.ListTrackingEvents(t.Context(), &shipmentv1.ListTrackingEventsRequest{ShipmentId: shipmentID})
		rpcerrtest.Want(t, err, rpcerr.NotFound, "shipment_id")
	}
}

func TestTrackingEvent_IsNeverChanged(t *testing.T) {
	t.Parallel()
	by := &travelling{ledger: newLedger(t)}
	b := setup(t, by)
	b.mustSchedule(t, key)
	by.at(nil, journey[0])
	b.look(t)
	for _, change := range []string{`UPDATE tracking_event SET detail = 'x'`, `DELETE FROM tracking_event`, `TRUNCATE tracking_event`} {
		if _, err := b.db.Exec(t.Context(), change); err == nil {
			t.Errorf("%s was accepted", change)
		}
	}
}

func TestMadeAt_IsInTheID(t *testing.T) {
	t.Parallel()
	sid := shipmentID(uuid.Must(uuid.NewV7()))
	if age := time.Since(madeAt(sid)); age < -time.Second || age > time.Minute {
		t.Errorf("a shipment made now is %v old by its id", age)
	}
}
