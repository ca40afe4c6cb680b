package idem_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

// wantBuried says that the request is refused for ever, under Once and under Begin.
func (f fixture) wantBuried(r idem.Request) {
	f.Helper()
	_, err := idem.Once(f.Context(), f.pool, r, f.mustNotRun)
	rpcerrtest.Want(f, err, rpcerr.StepTombstoned)
	_, _, err = idem.Begin[receipt](f.Context(), f.pool, r, time.Hour, f.mustNotIntend)
	rpcerrtest.Want(f, err, rpcerr.StepTombstoned)
}

func TestBury_RefusesARequestThatWasNeverSeen(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for range 2 {
		f.mustBury(request(), "", false)
		f.wantBuried(request(idem.Field{Name: "amount", Value: "1"}))
	}
}

func TestBury_GivesTheResourceOfOneThatWasDone(t *testing.T) {
	t.Parallel()
	f := setup(t)
	made, err := f.pay(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f.mustBury(request(), made.ID, true)
		f.wantBuried(request())
	}
	f.wantEffects("paid")
}

func TestBury_TellsARefusedRequestFromOneNeverSeen(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, err := idem.Once(t.Context(), f.pool, request(), func(context.Context, *pg.Tx) (receipt, string, error) {
		return receipt{}, "", rpcerr.New(rpcerr.InsufficientStock, "none left")
	})
	rpcerrtest.Want(f, err, rpcerr.InsufficientStock)
	for range 2 {
		f.mustBury(request(), "", true)
		f.wantBuried(request())
	}
}

func TestBury_LeavesARequestAloneThatIsWorkedOn(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim := f.begin(request())
	_, _, err := f.bury(request())
	if got := rpcerrtest.Want(f, err, rpcerr.IdempotencyKeyInFlight); got.RetryAfter <= 0 {
		t.Error("does not say when to ask again")
	}
	if _, err := finish(t.Context(), claim); err != nil {
		t.Errorf("Finish: %v", err)
	}
	f.mustBury(request(), claim.Resource, true)
}

func TestBury_TakesARequestWhoseLeaseHasEnded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	zombie := f.begin(request())
	f.endLeases()
	f.mustBury(request(), zombie.Resource, true)
	if _, err := finish(t.Context(), zombie); !errors.Is(err, idem.ErrClaimLost) {
		t.Errorf("the zombie's Finish: got %v, want ErrClaimLost", err)
	}
	f.wantBuried(request())
	f.wantEffects("intent")
}

func TestBury_OutlivesTheTimeOfTheKey(t *testing.T) {
	t.Parallel()
	f := setup(t)
	r := request()
	r.TTL = time.Hour
	if _, err := f.pay(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	f.expireKeys()
	f.mustBury(r, "1", true)
	f.wantBuried(r)
}

func TestBury_LeavesNothingWhenItsTransactionIsRolledBack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	broken := errors.New("broken")
	err := pg.InTx(t.Context(), f.pool, func(tx *pg.Tx) error {
		if _, _, err := idem.Bury(t.Context(), tx, request()); err != nil {
			return err
		}
		return broken
	})
	if err != broken {
		t.Fatal(err)
	}
	if _, err := f.pay(t.Context(), request()); err != nil {
		t.Errorf("Once: %v", err)
	}
}

// The compensation comes while the step runs, and is first to write.
func TestOnceAgainstBury_BuryFirst(t *testing.T) {
	t.Parallel()
	t.Run("committed before the step is written", func(t *testing.T) {
		t.Parallel()
		f := setup(t)
		_, err := idem.Once(t.Context(), f.pool, request(), func(ctx context.Context, tx *pg.Tx) (receipt, string, error) {
			f.mustBury(request(), "", false)
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
				if _, seen, err := idem.Bury(t.Context(), tx, request()); seen || err != nil {
					t.Errorf("Bury: seen %v, %v", seen, err)
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
func TestOnceAgainstBury_OnceFirst(t *testing.T) {
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
		resource, seen, err := f.bury(request())
		if resource != "1" || !seen || err != nil {
			t.Errorf("Bury: got %q, %v, %v; want 1, true", resource, seen, err)
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
