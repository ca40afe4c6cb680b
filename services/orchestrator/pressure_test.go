package orchestrator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/metric/noop"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// What finishes or undoes an order goes before what takes another one forward, along the whole path.
func TestCalls_SayWhatTheyAreWorth(t *testing.T) {
	f := setup(t, func(call, key string, nth int, applied bool) error {
		if call == callSchedule && nth == 1 && !applied { // the pivot is looked up
			return rpcerr.New(rpcerr.Internal, "lost")
		}
		return nil
	})
	f.end(f.place("order-0001").GetOrderId())
	want := map[string]int{
		callReserve + " step": 1, callAuthorize + " step": 1, callSchedule + " step": 2, callLookUp + " finish": 1,
		callCapture + " finish": 1, callCommit + " finish": 1,
	}
	f.participants.mu.Lock()
	defer f.participants.mu.Unlock()
	if diff := cmp.Diff(want, f.participants.classes); diff != "" {
		t.Errorf("calls by class (-want +got):\n%s", diff)
	}
}

func TestRecurring_ChargesAreWorthLess(t *testing.T) {
	f := setupRecurring(t, nil)
	f.start("itm_1")
	waittest.Until(t, "the charge came", func() bool {
		f.participants.mu.Lock()
		defer f.participants.mu.Unlock()
		return f.participants.classes[callCharge+" batch"] == 1
	})
}

// The orders under way are those that are being driven: not those that wait for a time, or for somebody who is away.
func TestUnderWay_CountsWhatIsBeingDriven(t *testing.T) {
	asked, release := make(chan struct{}, 100), make(chan struct{})
	c := setupCluster(t, func(call, _ string, nth int, applied bool) error {
		switch {
		case applied:
		case call == callReserve:
			if nth == 1 { // one that takes long is asked again
				asked <- struct{}{}
			}
			<-release
		case call == callAuthorize:
			return rpcerr.New(rpcerr.DestinationDown, "away")
		}
		return nil
	})
	p, o := c.start(orderV2)
	placed := c.placeMany(0, 20)
	for range placed {
		<-asked
	}
	waittest.Until(t, "all are under way", func() bool { return o.engine.underWay() == len(placed) })
	close(release)
	waittest.Until(t, "none is, as all wait for the authorization", func() bool {
		waiting, _ := o.engine.lanes[callAuthorize].waits()
		return o.engine.underWay() == 0 && waiting == len(placed)
	})
	o.engine.lanes[callAuthorize].mu.Lock()
	o.engine.lanes[callAuthorize].pushedBack = true
	o.engine.lanes[callAuthorize].mu.Unlock()
	if n := o.engine.underWay(); n != len(placed) {
		t.Errorf("%d orders are under way while the participant has too much to do, want %d", n, len(placed))
	}
	c.stop(p)
}

// While the orders under way are too many, new ones are refused, and nothing of them is kept; those under way end.
func TestPlaceOrder_IsRefusedWhileTooManyAreUnderWay(t *testing.T) {
	release := make(chan struct{})
	c := setupCluster(t, func(call, _ string, _ int, applied bool) error {
		if call == callReserve && !applied {
			<-release
		}
		return nil
	})
	p, o := c.start(orderV2)
	told := 0
	waittest.Until(t, "the limit is at its least", func() bool { // steps take too long, while there are hardly any
		o.engine.backlog.Waited(time.Hour)
		told++
		return told > 50
	})
	var placed []string
	var refusal error
	for refusal == nil && len(placed) < 2000 {
		answer, err := c.orders.PlaceOrder(t.Context(), placeRequest(fmt.Sprintf("order-%04d", len(placed))))
		if refusal = err; err == nil {
			placed = append(placed, answer.GetOrder().GetOrderId())
		}
	}
	if e := rpcerrtest.Want(t, refusal, rpcerr.Overloaded); e.RetryAfter <= 0 {
		t.Error("the client is not told when to come back")
	}
	if len(placed) < 512 {
		t.Errorf("refused with %d orders under way, want 512 at least", len(placed))
	}
	read := func() error {
		_, err := c.orders.GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: placed[0]})
		return err
	}
	rpcerrtest.Want(t, read(), rpcerr.Overloaded)
	var orders int
	if err := c.pool().QueryRow(t.Context(), `SELECT count(*) FROM orders`).Scan(&orders); err != nil || orders != len(placed) {
		t.Errorf("%d orders are kept (%v), want the %d that were acknowledged", orders, err, len(placed))
	}
	close(release)
	waittest.Until(t, "clients may read again", func() bool { return read() == nil })
	c.wantCompleted(placed[0], placed[len(placed)-1])
	c.stop(p)
}

// What was left unknown is asked again only as far as the budget allows; the rest comes back later.
func TestLane_HoldsRetriesToTheirBudget(t *testing.T) {
	t.Parallel()
	m, err := newEngineMetrics(noop.Meter{})
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{metrics: m}
	e.prepare(map[string]action{callReserve: nil})
	lane := e.lanes[callReserve]
	saga0 := func(op saga.Op, attempts, back int) waiting {
		l := &live{}
		l.state.Steps = []saga.StepState{{Attempts: attempts, BackAttempts: back}}
		return waiting{live: l, command: saga.Command{Op: op}}
	}
	first := slices.Repeat([]waiting{saga0(saga.Execute, 0, 0)}, 300)
	if kept := lane.budgeted(first); len(kept) != len(first) {
		t.Errorf("%d first attempts of %d were sent", len(kept), len(first))
	}
	var again []waiting
	for range 50 {
		again = append(again, saga0(saga.Execute, 1, 0), saga0(saga.Compensate, 3, 2))
	}
	kept := lane.budgeted(again) // a tenth of 300, and what a moment brings
	if len(kept) < 30 || len(kept) > 40 {
		t.Errorf("%d retries of %d were sent, want about 30", len(kept), len(again))
	}
	if e.asleep != len(again)-len(kept) {
		t.Errorf("%d come back later, want the other %d", e.asleep, len(again)-len(kept))
	}
	if kept := lane.budgeted([]waiting{saga0(saga.Compensate, 3, 0)}); len(kept) != 1 {
		t.Error("a first compensation is no retry of what was executed before")
	}
}
