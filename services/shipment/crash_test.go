package shipment

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// cutting is a carrier at whose answers the connection to the database is lost, at the next COMMIT.
type cutting struct {
	*ledger
	cut func()
}

func (c cutting) Book(ctx context.Context, b carrier.Booking) (string, error) {
	defer c.cut()
	return c.ledger.Book(ctx, b)
}

func (c cutting) Cancel(ctx context.Context, b carrier.Booking) error {
	defer c.cut()
	return c.ledger.Cancel(ctx, b)
}

// Each COMMIT of a schedule and of its cancellation is lost, before or after it has happened.
func TestCrash_AtACommitLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	for name, fault := range pgtest.Faults() {
		for _, at := range []string{"intent", "outcome"} {
			t.Run(name+", "+at, func(t *testing.T) {
				t.Parallel()
				by := newLedger(t)
				var b bundle
				cut := func(here string) {
					if here == at {
						b.faults.SetOnce(fault)
					}
				}
				b = setup(t, cutting{by, func() { cut("outcome") }})
				cut("intent")
				requests := []*shipmentv1.ScheduleRequest{toSchedule(shipKey(1), "GB"), toSchedule(shipKey(2), "XX"), toSchedule(shipKey(3), "GB")}
				for i, r := range b.scheduleBatch(t, requests...) {
					if i != 1 && r.GetResponse().GetShipment().GetTrackingNumber() == "" {
						t.Errorf("request %d: got %v, want it scheduled", i, r)
					}
				}
				by.wantKnown(2)
				cut("intent")
				got := b.cancelBatch(t, &shipmentv1.CancelRequest{IdempotencyKey: shipKey(1)}, &shipmentv1.CancelRequest{IdempotencyKey: shipKey(2)})
				for i, r := range got {
					if r.GetStatus() != nil || (r.GetResponse().GetShipment() == nil) != (i == 1) {
						t.Errorf("cancelling %d: got %v", i, r)
					}
				}
				by.wantKnown(1)
				if booked, undone := by.booked.Load(), by.undone.Load(); booked != 3 || undone != 1 {
					t.Errorf("the carrier was asked %d times to book and %d times to cancel, want 3 and 1", booked, undone)
				}
				if diff := cmp.Diff(map[string]int64{"scheduled": 2, "refused": 1, "cancelled": 1}, counts(b.events(t))); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(map[string]int64{"2": 1, "3": 1, "4": 1}, counts(b.states(t))); diff != "" {
					t.Errorf("shipments by state (-want +got):\n%s", diff)
				}
			})
		}
	}
}
