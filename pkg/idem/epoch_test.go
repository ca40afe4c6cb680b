package idem_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

func at(epoch int64, r idem.Request) idem.Request {
	r.Epoch = epoch
	return r
}

// wantEpochs fails the test unless these are the epochs seen, by method and key.
func (f fixture) wantEpochs(want map[string]int64) {
	f.Helper()
	got := map[string]int64{}
	for _, r := range pgtest.Rows[struct {
		Name  string
		Epoch int64
	}](f, f.pool, `SELECT method || ' ' || key, epoch FROM idem`) {
		got[r.Name] = r.Epoch
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("epochs (-want +got):\n%s", diff)
	}
}

func TestEpoch_OnlyRisesAndRefusesWhatIsStale(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.mustPayAll(nil, at(5, keyed("order-0001")), at(5, keyed("order-0002")))
	all := f.mustPayAll(nil, at(4, keyed("order-0001")), at(7, keyed("order-0002")), at(3, keyed("order-0003")))
	stale := rpcerrtest.Want(f, all[0].Err, rpcerr.EpochStale)
	if stale.Definite() || all[0].Value.Replayed {
		t.Errorf("got %+v, want an error that is neither definite nor a replay", all[0])
	}
	f.wantAnswer(all[1], "order-0002", true)
	f.wantAnswer(all[2], "order-0003", false)
	f.wantEpochs(map[string]int64{"Pay order-0001": 5, "Pay order-0002": 7, "Pay order-0003": 3})
	for _, epoch := range []int64{0, 5, 6} { // none, the same, and a higher one
		f.wantAnswer(f.mustPayAll(nil, at(epoch, keyed("order-0001")))[0], "order-0001", true)
	}
	rpcerrtest.Want(f, f.mustPayAll(nil, at(5, keyed("order-0001")))[0].Err, rpcerr.EpochStale)
	_, err := idem.Once(t.Context(), f.pool, at(5, keyed("order-0001")), f.mustNotRun)
	rpcerrtest.Want(f, err, rpcerr.EpochStale)
	f.wantEffects("order-0001", "order-0002", "order-0003")
}

// The requests of two owners may share a batch.
func TestEpoch_IsTheHighestOfTwins(t *testing.T) {
	t.Parallel()
	f := setup(t)
	all := f.mustPayAll(nil, at(5, keyed("order-0001")), at(6, keyed("order-0001")), at(5, keyed("order-0001")))
	f.wantAnswer(all[0], "order-0001", false)
	f.wantAnswer(all[1], "order-0001", true)
	rpcerrtest.Want(f, all[2].Err, rpcerr.EpochStale)
	begun := f.mustBeginAll(nil, opening(at(6, keyed("order-0002"))), opening(at(5, keyed("order-0002"))))
	f.wantClaim(begun[0], "2", false)
	rpcerrtest.Want(f, begun[1].Err, rpcerr.EpochStale)
	f.wantEpochs(map[string]int64{"Pay order-0001": 6, "Pay order-0002": 6})
}

func TestEpoch_OfARequestInFlight(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim := f.begin(at(5, request()))
	f.wantBusy(f.ask(at(6, request())))
	rpcerrtest.Want(f, f.ask(at(5, request())).Err, rpcerr.EpochStale)
	if _, err := f.finish(claim); err != nil { // what was called for is known, whoever asked for it
		t.Error(err)
	}
	f.endLeases()
	got := f.ask(at(6, request()))
	if got.Err != nil || !got.Value.Replayed {
		t.Errorf("got %+v, want the answer as a replay", got)
	}
}

func TestEpoch_IsCheckedBeforeALeaseThatEndedIsTaken(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.begin(at(5, request()))
	f.endLeases()
	rpcerrtest.Want(f, f.ask(at(4, request())).Err, rpcerr.EpochStale)
	f.wantClaim(f.ask(at(6, request())), "1", true)
	f.wantEpochs(map[string]int64{"Pay order-0001": 6})
}

func TestEpoch_HoldsBetweenAStepAndItsUndoing(t *testing.T) {
	t.Parallel()
	for name, bury := range burials {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.mustPayAll(nil, at(5, request()))
			_, err := bury(f, at(4, request()))
			rpcerrtest.Want(f, err, rpcerr.EpochStale)
			f.wantAnswer(f.mustPayAll(nil, at(5, request()))[0], request().Key, true)
			for _, r := range []idem.Request{request(), keyed("order-0009")} { // seen, and never seen
				if _, err := bury(f, at(6, r)); err != nil {
					t.Fatal(err)
				}
				rpcerrtest.Want(f, f.mustPayAll(nil, at(5, r))[0].Err, rpcerr.EpochStale)
				rpcerrtest.Want(f, f.mustPayAll(nil, at(6, r))[0].Err, rpcerr.StepTombstoned)
				_, err = bury(f, at(5, r))
				rpcerrtest.Want(f, err, rpcerr.EpochStale)
			}
		})
	}
}

// A step that asks with a higher epoch and its undoing lock the step's row before what the service keeps, so that
// neither waits for the other in a circle.
func TestEpoch_RisesBeforeWhatTheServiceKeepsIsLocked(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.mustPayAll(nil, at(5, request()))
	f.exec(`INSERT INTO effect (name) VALUES ('shared')`)
	lockShared := func(tx *pg.Tx) error {
		_, err := tx.Exec(t.Context(), `SELECT id FROM effect WHERE name = 'shared' FOR UPDATE`)
		return err
	}
	undone := make(chan error, 1)
	err := f.inTx(func(tx *pg.Tx) error {
		requests := []idem.Request{at(6, request()), keyed("order-0002")}
		_, err := idem.OnceAll(t.Context(), tx, requests, func(context.Context, *pg.Tx, []int) ([]idem.Outcome[receipt], error) {
			undo := idem.Undo{Request: at(6, undoing(request())), Of: request()}
			go func() {
				undone <- f.inTx(func(tx *pg.Tx) error {
					_, err := idem.UndoAll(t.Context(), tx, []idem.Undo{undo},
						func(_ context.Context, tx *pg.Tx, _ []int, _ []string) ([]idem.Outcome[receipt], error) {
							return make([]idem.Outcome[receipt], 1), lockShared(tx)
						})
					return err
				})
			}()
			f.awaitBlocked(1)
			return make([]idem.Outcome[receipt], 1), lockShared(tx)
		})
		return err
	})
	if err != nil {
		t.Errorf("the step: %v", err)
	}
	select {
	case err := <-undone:
		if err != nil {
			t.Errorf("its undoing: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("its undoing waits")
	}
}
