package shipment

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/shipment/carrier"
)

func TestSimulator_LosesOutcomesThatAreFoundAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.NewSimulator(carrier.SimulatorConfig{}))
	for saga, country := range []string{"XA", "XB"} {
		_, err := b.Schedule(t.Context(), toSchedule(shipKey(saga), country))
		rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
		if _, err := b.Schedule(t.Context(), toSchedule(shipKey(saga), country)); err != nil {
			t.Errorf("%s: asked again: %v", country, err)
		}
		_, err = b.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: shipKey(saga)})
		rpcerrtest.Want(t, err, rpcerr.CarrierOutcomeUnknown)
		b.mustCancel(t, shipKey(saga))
	}
	if diff := cmp.Diff(map[string]int64{"scheduled": 2, "cancelled": 2}, counts(b.events(t))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSimulator_HandsOverByTimeWhetherItWasAskedOrNot(t *testing.T) {
	t.Parallel()
	b := setup(t, carrier.NewSimulator(carrier.SimulatorConfig{HandOverAfter: time.Nanosecond}))
	b.mustSchedule(t, key)
	b.mustSchedule(t, shipKey(2))
	_, err := b.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: key})
	rpcerrtest.Want(t, err, rpcerr.ShipmentHandedOver)
	b.look(t)
	if diff := cmp.Diff([]string{"7", "7"}, b.states(t)); diff != "" { // its legs take no time
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
	if got := counts(b.events(t)); got["handed_over"] != 2 || got["delivered"] != 2 || got["cancelled"] != 0 {
		t.Errorf("got events %v, want each handed over and delivered", got)
	}
}
