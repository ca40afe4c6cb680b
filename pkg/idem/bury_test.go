package idem_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

// wantBuried says that the request is refused for ever, under Once and under BeginAll.
func (f fixture) wantBuried(r idem.Request) {
	f.Helper()
	_, err := idem.Once(f.Context(), f.pool, r, f.mustNotRun)
	rpcerrtest.Want(f, err, rpcerr.StepTombstoned)
	rpcerrtest.Want(f, f.ask(r).Err, rpcerr.StepTombstoned)
}

// eachBurial runs a test for each way to undo a request. MustBury fails it unless the request had made a resource.
func eachBurial(t *testing.T, test func(f fixture, mustBury func(r idem.Request, made string))) {
	for name, bury := range burials {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			test(f, func(r idem.Request, made string) {
				f.Helper()
				if got, err := bury(f, r); err != nil || got != made {
					f.Errorf("got %q, %v; want %q", got, err, made)
				}
			})
		})
	}
}

func TestUndo_RefusesARequestThatWasNeverSeen(t *testing.T) {
	t.Parallel()
	eachBurial(t, func(f fixture, mustBury func(idem.Request, string)) {
		for range 2 {
			mustBury(request(), "")
			f.wantBuried(request(idem.Field{Name: "amount", Value: "1"}))
		}
	})
}

func TestUndo_GivesTheResourceOfOneThatWasDone(t *testing.T) {
	t.Parallel()
	eachBurial(t, func(f fixture, mustBury func(idem.Request, string)) {
		made, err := f.pay(f.Context(), request())
		if err != nil {
			f.Fatal(err)
		}
		for range 2 {
			mustBury(request(), made.ID)
			f.wantBuried(request())
		}
		f.wantEffects("paid")
	})
}

func TestUndo_OfARefusedRequestHasNothingToUndo(t *testing.T) {
	t.Parallel()
	eachBurial(t, func(f fixture, mustBury func(idem.Request, string)) {
		all := f.mustPayAll(map[string]error{request().Key: rpcerr.New(rpcerr.InsufficientStock, "none left")}, request())
		rpcerrtest.Want(f, all[0].Err, rpcerr.InsufficientStock)
		for range 2 {
			mustBury(request(), "")
			f.wantBuried(request())
		}
	})
}

func TestUndo_LeavesARequestAloneThatIsWorkedOn(t *testing.T) {
	t.Parallel()
	for name, bury := range burials {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			claim := f.begin(request())
			_, err := bury(f, request())
			if got := rpcerrtest.Want(f, err, rpcerr.IdempotencyKeyInFlight); got.RetryAfter <= 0 {
				t.Error("does not say when to ask again")
			}
			if _, err := f.finish(claim); err != nil {
				t.Error(err)
			}
			if made, err := bury(f, request()); err != nil || made != claim.Resource {
				t.Errorf("got %q, %v; want %q", made, err, claim.Resource)
			}
		})
	}
}

func TestUndo_TakesARequestWhoseLeaseHasEnded(t *testing.T) {
	t.Parallel()
	eachBurial(t, func(f fixture, mustBury func(idem.Request, string)) {
		zombie := f.begin(request())
		f.endLeases()
		mustBury(request(), zombie.Resource)
		if _, err := f.finish(zombie); !errors.Is(err, idem.ErrClaimLost) {
			f.Errorf("the end of the zombie: got %v, want ErrClaimLost", err)
		}
		f.wantBuried(request())
		f.wantEffects("intent of order-0001")
	})
}

func TestUndo_OutlivesTheTimeOfTheKey(t *testing.T) {
	t.Parallel()
	eachBurial(t, func(f fixture, mustBury func(idem.Request, string)) {
		r := request()
		r.TTL = time.Hour
		if _, err := f.pay(f.Context(), r); err != nil {
			f.Fatal(err)
		}
		f.expireKeys()
		mustBury(r, "1")
		f.wantBuried(r)
	})
}

// undos begin and end like any request; what they undo is told again to the one that resumes.
func TestBeginUndoAll_IsResumedWithWhatTheStepHadMade(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.begin(request())
	f.endLeases()
	o := opening(request())
	o.Method, o.Of = "Refund", request()
	ask := func() begun {
		t.Helper()
		var all []begun
		o.Token = uuid.New()
		err := f.inTx(func(tx *pg.Tx) (err error) {
			all, err = idem.BeginUndoAll[receipt](t.Context(), tx, []idem.Opening{o}, time.Hour)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all[0]
	}
	f.wantClaim(ask(), "1", false)
	f.wantBusy(ask())
	f.endLeases()
	resumed := ask()
	f.wantClaim(resumed, "1", true)
	if _, err := f.finish(resumed.Value.Claim); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got.Err != nil || !got.Value.Replayed || got.Value.Value.ID != "1" {
		t.Errorf("got %+v, want the answer as a replay", got)
	}
}

// The compensation comes while the step runs, and is first to write.
func TestOnceAgainstUndo_UndoFirst(t *testing.T) {
	t.Parallel()
	t.Run("committed before the step is written", func(t *testing.T) {
		t.Parallel()
		f := setup(t)
		_, err := idem.Once(t.Context(), f.pool, request(), func(ctx context.Context, tx *pg.Tx) (receipt, string, error) {
			if made, err := burials["at once"](f, request()); err != nil || made != "" {
				t.Errorf("got %q, %v; want nothing to undo", made, err)
			}
			id, err := addEffect(ctx, tx, "paid")
			return receipt{ID: id}, id, err
		})
		rpcerrtest.Want(f, err, rpcerr.StepTombstoned)
		f.wantEffects()
	})
	for name, test := range map[string]struct {
		end    error // of the compensation's transaction
		reason rpcerr.Reason
		effect []string
	}{
		"committed while the step waits to be written":   {nil, rpcerr.StepTombstoned, nil},
		"rolled back while the step waits to be written": {errors.New("broken"), "", []string{"paid"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			outcome := make(chan error, 1)
			err := pg.InTx(t.Context(), f.pool, func(tx *pg.Tx) error {
				_, err := idem.UndoAll(t.Context(), tx, []idem.Undo{{Request: undoing(request()), Of: request()}},
					func(context.Context, *pg.Tx, []int, []string) ([]idem.Outcome[receipt], error) {
						return make([]idem.Outcome[receipt], 1), nil
					})
				if err != nil {
					t.Error(err)
				}
				if _, err := tx.Exec(t.Context(), `SELECT`); err != nil { // so that what was left for later is written
					t.Error(err)
				}
				go func() {
					_, err := f.pay(t.Context(), request())
					outcome <- err
				}()
				f.awaitBlocked(1)
				return test.end
			})
			if err != test.end {
				t.Fatal(err)
			}
			err = <-outcome
			if test.reason != "" {
				rpcerrtest.Want(f, err, test.reason)
			} else if err != nil {
				t.Errorf("Once: %v", err)
			}
			f.wantEffects(test.effect...)
		})
	}
}

// The step is written but not committed when the compensation comes: it waits, and knows what to undo.
func TestOnceAgainstUndo_OnceFirst(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(`
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON effect DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION hold()`)
	gate, err := f.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Release()
	if _, err := gate.Exec(t.Context(), `SELECT pg_advisory_lock(1)`); err != nil {
		t.Fatal(err)
	}

	paid := make(chan error, 1)
	go func() {
		_, err := f.pay(t.Context(), request())
		paid <- err
	}()
	f.awaitBlocked(1) // at its COMMIT
	buried := make(chan struct{})
	go func() {
		defer close(buried)
		if made, err := burials["at once"](f, request()); err != nil || made != "1" {
			t.Errorf("got %q, %v; want 1", made, err)
		}
	}()
	f.awaitBlocked(2)
	if _, err := gate.Exec(t.Context(), `SELECT pg_advisory_unlock(1)`); err != nil {
		t.Fatal(err)
	}
	if err := <-paid; err != nil {
		t.Errorf("Once: %v", err)
	}
	<-buried
	f.wantBuried(request())
	f.wantEffects("paid")
}
