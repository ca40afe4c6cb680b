package shipment

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// world is a service whose next COMMITs, or calls to its carrier, go wrong.
type world struct {
	bundle
	by  *ledger
	cut func() // at the carrier's next answer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{by: newLedger(t)}
	w.bundle = setup(t, cutting{w.by, func() {
		if w.cut != nil {
			w.cut()
		}
	}})
	return w
}

// mishaps are all that can go wrong with a request, each not applied and applied.
func mishaps() map[string]func(*world) {
	all := map[string]func(*world){
		"the call, not applied": func(w *world) { w.by.calls.Store(1) },
		"the call, applied":     func(w *world) { w.by.answers.Store(1) },
	}
	for name, fault := range pgtest.Faults() {
		all["the intent, "+name] = func(w *world) { w.faults.SetOnce(fault) }
		all["the outcome, "+name] = func(w *world) {
			w.cut = func() {
				w.cut = nil
				w.faults.SetOnce(fault)
			}
		}
	}
	return all
}

// holds fails the test when an invariant does not.
func (w *world) holds(t *testing.T) {
	t.Helper()
	for _, broken := range pgtest.Violations(t, w.db) {
		t.Error(broken)
	}
	got := counts(w.events(t))
	for name, n := range got {
		if n > 1 {
			t.Errorf("event %s was told %d times", name, n)
		}
	}
	if states := w.states(t); len(states) > 1 {
		t.Errorf("got shipments in states %v, want one", states)
	}
}

func (w *world) schedule(ctx context.Context) error {
	_, err := w.Schedule(ctx, toSchedule(key, "GB"))
	return err
}

func TestFaults_OfAScheduleHealByEachRecovery(t *testing.T) {
	t.Parallel()
	recoveries := map[string]struct {
		recover func(t *testing.T, w *world)
		state   string // in which the shipment is at last
	}{
		"the same request": {func(t *testing.T, w *world) { w.mustSchedule(t, key) }, "2"},
		"the resolver, then the same request": {func(t *testing.T, w *world) {
			w.look(t)
			w.mustSchedule(t, key)
		}, "2"},
		"a new process": {func(t *testing.T, w *world) {
			var next bundle
			next.start(t, w.db.Config().ConnString(), w.by)
			next.look(t)
			next.mustSchedule(t, key)
		}, "2"},
		"the compensation first": {func(t *testing.T, w *world) {
			w.mustCancel(t, key)
			if err := w.schedule(t.Context()); !rpcerr.Is(err, rpcerr.StepTombstoned) {
				t.Errorf("scheduled after its compensation: %v", err)
			}
		}, "4"},
	}
	for mishap, happens := range mishaps() {
		for name, r := range recoveries {
			t.Run(mishap+"; "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				happens(w)
				_ = w.schedule(t.Context()) // whatever it is answered
				r.recover(t, w)
				w.holds(t)
				if diff := cmp.Diff([]string{r.state}, w.states(t)); diff != "" {
					t.Errorf("shipments (-want +got):\n%s", diff)
				}
				w.by.wantKnown(map[string]int{"2": 1, "4": 0}[r.state])
			})
		}
	}
}

func TestFaults_OfACancellationHealByEachRecovery(t *testing.T) {
	t.Parallel()
	asks := map[string]func(t *testing.T, w *world, shipmentID string) error{
		"Cancel": func(t *testing.T, w *world, _ string) error {
			_, err := w.Cancel(t.Context(), &shipmentv1.CancelRequest{IdempotencyKey: key})
			return err
		},
		"CancelShipment": func(t *testing.T, w *world, shipmentID string) error {
			_, err := w.CancelShipment(t.Context(), toCancel("cancel/1", shipmentID))
			return err
		},
	}
	for mishap, happens := range mishaps() {
		for method, ask := range asks {
			for _, recovery := range []string{"the same request", "the resolver", "a new process"} {
				t.Run(method+"; "+mishap+"; "+recovery, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					made := w.mustSchedule(t, key).GetShipmentId()
					happens(w)
					_ = ask(t, w, made)
					switch recovery {
					case "the same request":
						if err := ask(t, w, made); err != nil {
							t.Error(err)
						}
					case "the resolver":
						w.look(t)
					case "a new process":
						var next bundle
						next.start(t, w.db.Config().ConnString(), w.by)
						next.look(t)
					}
					w.holds(t)
					if diff := cmp.Diff([]string{"4"}, w.states(t)); diff != "" {
						t.Errorf("shipments (-want +got):\n%s", diff)
					}
					w.by.wantKnown(0)
					if n := len(w.actions(t)); method == "CancelShipment" && n != 1 || method == "Cancel" && n != 0 {
						t.Errorf("got %d audit rows", n)
					}
				})
			}
		}
	}
}
