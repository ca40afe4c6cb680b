package idem_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestBegin_MakesTheIntentDurableAndFinishTheAnswer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim := f.begin(request())
	if claim.Resource != "1" || claim.Resumed {
		t.Errorf("got claim on %q, resumed %v; want 1, false", claim.Resource, claim.Resumed)
	}
	f.wantEffects("intent")
	made, err := finish(t.Context(), claim)
	if err != nil {
		t.Fatalf("Finish: %v", err)
	}
	ctx, again := f.call()
	none, answer, err := idem.Begin[receipt](ctx, f.pool, request(), time.Hour, f.mustNotIntend)
	if none != nil || err != nil || answer != made {
		t.Errorf("the next Begin: got claim %v, %+v, %v; want none, %+v", none, answer, err, made)
	}
	if !again.replayed() {
		t.Error("no header idempotency-replayed")
	}
	f.wantEffects("intent", "outcome")
}

func TestBegin_WaitsForTheOneInFlight(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim := f.begin(request())
	acquired := f.pool.Stat().AcquireCount()
	type outcome struct {
		claim  *idem.Claim[receipt]
		answer receipt
		err    error
	}
	second := make(chan outcome, 1)
	go func() {
		c, answer, err := idem.Begin[receipt](t.Context(), f.pool, request(), time.Hour, f.mustNotIntend)
		second <- outcome{c, answer, err}
	}()
	waittest.Until(f, "the second looked twice", func() bool { return f.pool.Stat().AcquireCount() >= acquired+2 })
	select {
	case got := <-second:
		t.Fatalf("the second did not wait: %+v", got)
	default:
	}
	made, err := finish(t.Context(), claim)
	if err != nil {
		t.Fatalf("Finish: %v", err)
	}
	if got := <-second; got.claim != nil || got.err != nil || got.answer != made {
		t.Errorf("got %+v, want the answer %+v", got, made)
	}
}

func TestBegin_GivesManyDuplicatesOneIntentAndOneAnswer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const n = 32
	answers := make([]receipt, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			claim, answer, err := idem.Begin[receipt](t.Context(), f.pool, request(), time.Hour, intend)
			if claim != nil {
				answer, err = finish(t.Context(), claim)
			}
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
			answers[i] = answer
		})
	}
	running.Wait()
	for i := range n {
		if answers[i] != answers[0] || answers[i].Note != "finished" {
			t.Errorf("request %d got %+v, request 0 %+v", i, answers[i], answers[0])
		}
	}
	f.wantEffects("intent", "outcome")
}

func TestBegin_SaysInFlightWhenTheDeadlineComesFirst(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim := f.begin(request())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, _, err := idem.Begin[receipt](ctx, f.pool, request(), time.Hour, f.mustNotIntend)
	got := rpcerrtest.Want(f, err, rpcerr.IdempotencyKeyInFlight)
	if got.RetryAfter <= 0 || got.Definite() {
		t.Errorf("got retry after %v, definite %v; want some time, not definite", got.RetryAfter, got.Definite())
	}
	if _, err := finish(t.Context(), claim); err != nil {
		t.Errorf("the one in flight: %v", err)
	}
}

func TestBegin_ResumesWhenTheLeaseHasEnded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	zombie := f.begin(request())
	f.endLeases()
	claim, _, err := idem.Begin[receipt](t.Context(), f.pool, request(), time.Hour, f.mustNotIntend)
	if err != nil || claim == nil {
		t.Fatalf("got claim %v, %v", claim, err)
	}
	if claim.Resource != zombie.Resource || !claim.Resumed {
		t.Errorf("got claim on %q, resumed %v; want %q, true", claim.Resource, claim.Resumed, zombie.Resource)
	}
	if _, err := finish(t.Context(), zombie); !errors.Is(err, idem.ErrClaimLost) {
		t.Errorf("the zombie's Finish: got %v, want ErrClaimLost", err)
	}
	err = zombie.Abandon(t.Context(), func(ctx context.Context, tx *pg.Tx) error {
		_, err := addEffect(ctx, tx, "abandoned")
		return err
	})
	if !errors.Is(err, idem.ErrClaimLost) {
		t.Errorf("the zombie's Abandon: got %v, want ErrClaimLost", err)
	}
	f.wantEffects("intent")
	if _, err := finish(t.Context(), claim); err != nil {
		t.Errorf("Finish: %v", err)
	}
	if _, err := finish(t.Context(), zombie); !errors.Is(err, idem.ErrClaimLost) {
		t.Errorf("the zombie's Finish after the end: got %v, want ErrClaimLost", err)
	}
	f.wantEffects("intent", "outcome")
}

func TestBegin_ResumesAtOnceWhatWasAbandoned(t *testing.T) {
	t.Parallel()
	f := setup(t)
	err := f.begin(request()).Abandon(t.Context(), func(ctx context.Context, tx *pg.Tx) error {
		_, err := addEffect(ctx, tx, "attempt 1 was lost")
		return err
	})
	if err != nil {
		t.Fatalf("Abandon: %v", err)
	}
	claim, _, err := idem.Begin[receipt](t.Context(), f.pool, request(), time.Hour, f.mustNotIntend)
	if err != nil || claim == nil || !claim.Resumed || claim.Resource != "1" {
		t.Errorf("got claim %+v, %v; want one on 1, resumed", claim, err)
	}
	f.wantEffects("intent", "attempt 1 was lost")
}

func TestAbandon_GivesTheWritersErrorAndKeepsTheClaim(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim := f.begin(request())
	broken := errors.New("broken")
	if err := claim.Abandon(t.Context(), func(context.Context, *pg.Tx) error { return broken }); err != broken {
		t.Errorf("got %v, want the writer's error", err)
	}
	if _, err := finish(t.Context(), claim); err != nil {
		t.Errorf("Finish: %v", err)
	}
}

func TestFinish_KeepsWhatWasWrittenWithARefusal(t *testing.T) {
	t.Parallel()
	f := setup(t)
	declined := rpcerr.New(rpcerr.PaymentDeclined, "card expired").With("declineCode", "expired_card")
	_, err := f.begin(request()).Finish(t.Context(), func(ctx context.Context, tx *pg.Tx) (receipt, *rpcerr.Error, error) {
		_, err := addEffect(ctx, tx, "declined")
		return receipt{}, declined, err
	})
	rpcerrtest.Want(f, err, rpcerr.PaymentDeclined)
	_, _, err = idem.Begin[receipt](t.Context(), f.pool, request(), time.Hour, f.mustNotIntend)
	if got := rpcerrtest.Want(f, err, rpcerr.PaymentDeclined); got.Metadata["declineCode"] != "expired_card" {
		t.Errorf("got metadata %v, want the stored one", got.Metadata)
	}
	f.wantEffects("intent", "declined")
}

func TestFinish_WritesNothingWhenTheWriterFails(t *testing.T) {
	t.Parallel()
	f := setup(t)
	claim := f.begin(request())
	broken := errors.New("broken")
	_, err := claim.Finish(t.Context(), func(ctx context.Context, tx *pg.Tx) (receipt, *rpcerr.Error, error) {
		if _, err := addEffect(ctx, tx, "half done"); err != nil {
			return receipt{}, nil, err
		}
		return receipt{}, nil, broken
	})
	if err != broken {
		t.Errorf("got %v, want the writer's error", err)
	}
	f.wantEffects("intent")
	if _, err := finish(t.Context(), claim); err != nil {
		t.Errorf("Finish again: %v", err)
	}
}

func TestBegin_StoresADefiniteRefusalOfTheIntent(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, _, err := idem.Begin[receipt](t.Context(), f.pool, request(), time.Hour, func(ctx context.Context, tx *pg.Tx) (string, error) {
		if _, err := addEffect(ctx, tx, "half done"); err != nil {
			return "", err
		}
		return "", rpcerr.New(rpcerr.NotFound, "no such payment")
	})
	rpcerrtest.Want(f, err, rpcerr.NotFound)
	_, _, err = idem.Begin[receipt](t.Context(), f.pool, request(), time.Hour, f.mustNotIntend)
	rpcerrtest.Want(f, err, rpcerr.NotFound)
	f.wantEffects()
}

func TestBegin_StoresNothingWhenTheIntentFails(t *testing.T) {
	t.Parallel()
	f := setup(t)
	broken := errors.New("broken")
	claim, _, err := idem.Begin[receipt](t.Context(), f.pool, request(), time.Hour, func(ctx context.Context, tx *pg.Tx) (string, error) {
		if _, err := addEffect(ctx, tx, "half done"); err != nil {
			return "", err
		}
		return "", broken
	})
	if err != broken || claim != nil {
		t.Errorf("got claim %v, %v; want the intent's error", claim, err)
	}
	f.wantEffects()
	if claim := f.begin(request()); claim.Resumed {
		t.Error("the next claim is resumed")
	}
}

// Neither a misuse of the key nor its end waits for the one in flight: what comes of that changes nothing.
func TestBegin_RefusesWithoutWaiting(t *testing.T) {
	t.Parallel()
	t.Run("another request", func(t *testing.T) {
		t.Parallel()
		f := setup(t)
		f.begin(request(idem.Field{Name: "amount", Value: "1"}))
		other := request(idem.Field{Name: "amount", Value: "2"})
		_, _, err := idem.Begin[receipt](t.Context(), f.pool, other, time.Hour, f.mustNotIntend)
		rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "amount")
	})
	t.Run("a key past its time", func(t *testing.T) {
		t.Parallel()
		f := setup(t)
		r := request()
		r.TTL = time.Hour
		claim := f.begin(r)
		f.expireKeys()
		_, _, err := idem.Begin[receipt](t.Context(), f.pool, r, time.Hour, f.mustNotIntend)
		if got := rpcerrtest.Want(f, err, rpcerr.IdempotencyKeyExpired); got.Resource != claim.Resource {
			t.Errorf("got resource %q, want %q", got.Resource, claim.Resource)
		}
		f.endLeases()
		_, _, err = idem.Begin[receipt](t.Context(), f.pool, r, time.Hour, f.mustNotIntend)
		rpcerrtest.Want(f, err, rpcerr.IdempotencyKeyExpired)
		if _, err := finish(t.Context(), claim); err != nil {
			t.Errorf("the one that began in time: %v", err)
		}
	})
}
