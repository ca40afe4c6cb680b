package idem_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

func TestOnce_RunsOnceAndGivesTheStoredAnswerAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, first := f.call()
	made, err := f.pay(ctx, request())
	if err != nil || made.Note != "paid" {
		t.Fatalf("got %+v, %v", made, err)
	}
	if first.replayed() {
		t.Error("the first answer is marked as replayed")
	}
	for range 2 {
		ctx, again := f.call()
		got, err := idem.Once(ctx, f.pool, request(), f.mustNotRun)
		if err != nil || got != made {
			t.Errorf("got %+v, %v; want %+v", got, err, made)
		}
		if !again.replayed() {
			t.Errorf("no header idempotency-replayed: got %v", again.header)
		}
	}
	f.wantEffects("paid")
}

func TestOnce_WorksOutsideAHandler(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for range 2 {
		if got, err := f.pay(t.Context(), request()); err != nil || got.ID != "1" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	f.wantEffects("paid")
}

func TestOnce_StoresADefiniteRefusalAndGivesItAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	refusal := &rpcerr.Error{
		Reason: rpcerr.InsufficientStock, Message: "A1: 2 available, 3 asked for",
		Fields:   []rpcerr.Field{{Path: "A1", Description: "2 available, 3 asked for"}},
		Metadata: map[string]string{"warehouse": "north"}, RetryAfter: time.Second, Resource: "stock/A1",
	}
	ctx, first := f.call()
	_, err := idem.Once(ctx, f.pool, request(), func(ctx context.Context, tx *pg.Tx) (receipt, string, error) {
		if _, err := addEffect(ctx, tx, "half done"); err != nil {
			return receipt{}, "", err
		}
		return receipt{}, "", fmt.Errorf("reserving: %w", refusal)
	})
	if diff := cmp.Diff(refusal, rpcerrtest.Want(f, err, rpcerr.InsufficientStock, "A1")); diff != "" {
		t.Errorf("first refusal (-want +got):\n%s", diff)
	}
	ctx, again := f.call()
	_, err = idem.Once(ctx, f.pool, request(), f.mustNotRun)
	if diff := cmp.Diff(refusal, rpcerrtest.Want(f, err, rpcerr.InsufficientStock, "A1")); diff != "" {
		t.Errorf("replayed refusal (-want +got):\n%s", diff)
	}
	if first.replayed() || !again.replayed() {
		t.Errorf("marked as replayed: first %v, second %v; want false, true", first.replayed(), again.replayed())
	}
	f.wantEffects()
}

func TestOnce_StoresNothingForAnErrorThatMayPass(t *testing.T) {
	t.Parallel()
	for name, passing := range map[string]error{
		"not of the wire":       errors.New("disk full"),
		"outcome unknown":       rpcerr.New(rpcerr.CarrierOutcomeUnknown, "the answer was lost"),
		"not sent":              rpcerr.New(rpcerr.DestinationDown, "nobody is there"),
		"the caller's deadline": context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			_, err := idem.Once(t.Context(), f.pool, request(), func(ctx context.Context, tx *pg.Tx) (receipt, string, error) {
				if _, err := addEffect(ctx, tx, "half done"); err != nil {
					return receipt{}, "", err
				}
				return receipt{}, "", passing
			})
			if err != passing {
				t.Errorf("got error %v, want the use case's own", err)
			}
			if _, err := f.pay(t.Context(), request()); err != nil {
				t.Errorf("the next request: %v", err)
			}
			f.wantEffects("paid")
		})
	}
}

func TestOnce_GivesManyDuplicatesOneEffectAndOneAnswer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const n = 32
	answers := make([]receipt, n)
	errs := make([]error, n)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-start
			answers[i], errs[i] = f.pay(t.Context(), request())
		})
	}
	close(start)
	running.Wait()
	for i := range n {
		if errs[i] != nil || answers[i] != answers[0] {
			t.Errorf("request %d got %+v, %v; request 0 got %+v", i, answers[i], errs[i], answers[0])
		}
	}
	f.wantEffects("paid")
}

func TestOnce_NamesTheFieldsInWhichAReusedKeyDiffers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	fields := func(customer, amount, note string) []idem.Field {
		return []idem.Field{{Name: "customer_id", Value: customer}, {Name: "amount", Value: amount}, {Name: "note", Value: note}}
	}
	if _, err := f.pay(t.Context(), request(fields("ada", "12.00 GBP", "")...)); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		fields []idem.Field
		want   []string
	}{
		"one":                 {fields("ada", "12.01 GBP", ""), []string{"amount"}},
		"two":                 {fields("bob", "12.00 GBP", "gift"), []string{"customer_id", "note"}},
		"all":                 {fields("bob", "1", "gift"), []string{"customer_id", "amount", "note"}},
		"swapped values":      {fields("12.00 GBP", "ada", ""), []string{"customer_id", "amount"}},
		"shifted by a letter": {fields("ad", "a12.00 GBP", ""), []string{"customer_id", "amount"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := fixture{t, f.pool}
			_, err := idem.Once(t.Context(), f.pool, request(test.fields...), f.mustNotRun)
			rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, test.want...)
		})
	}
}

// A client that was upgraded between a request and its retry sends a field that the first one did not know.
func TestOnce_TakesARequestFromBeforeAFieldWasAddedForTheSame(t *testing.T) {
	t.Parallel()
	f := setup(t)
	before := []idem.Field{{Name: "amount", Value: "12.00 GBP"}}
	if _, err := f.pay(t.Context(), request(before...)); err != nil {
		t.Fatal(err)
	}
	unset := request(append(before, idem.Field{Name: "note"})...)
	if got, err := idem.Once(t.Context(), f.pool, unset, f.mustNotRun); err != nil || got.ID != "1" {
		t.Errorf("field added and empty: got %+v, %v", got, err)
	}
	set := request(append(before, idem.Field{Name: "note", Value: "gift"})...)
	_, err := idem.Once(t.Context(), f.pool, set, f.mustNotRun)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "note")
}

func TestOnce_KeepsKeysOfCallersAndMethodsApart(t *testing.T) {
	t.Parallel()
	f := setup(t)
	seen := map[string]bool{}
	for _, change := range []func(*idem.Request){
		func(*idem.Request) {},
		func(r *idem.Request) { r.Caller = "other shop" },
		func(r *idem.Request) { r.Method = "Refund" },
		func(r *idem.Request) { r.Key = "order-0002" },
	} {
		r := request()
		change(&r)
		got, err := f.pay(t.Context(), r)
		if err != nil || seen[got.ID] {
			t.Errorf("%+v: got %+v, %v; want an effect of its own", r, got, err)
		}
		seen[got.ID] = true
	}
	f.wantEffects("paid", "paid", "paid", "paid")
}

func TestOnce_RefusesAKeyPastItsTimeAndNamesWhatItMade(t *testing.T) {
	t.Parallel()
	f := setup(t)
	r := request()
	r.TTL = time.Hour
	made, err := f.pay(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := idem.Once(t.Context(), f.pool, r, f.mustNotRun); err != nil {
		t.Errorf("before its time: %v", err)
	}
	f.expireKeys()
	for range 2 {
		_, err = idem.Once(t.Context(), f.pool, r, f.mustNotRun)
		if got := rpcerrtest.Want(f, err, rpcerr.IdempotencyKeyExpired); got.Resource != made.ID {
			t.Errorf("got resource %q, want %q", got.Resource, made.ID)
		}
	}
	f.wantEffects("paid")
}

func TestOnce_NeverForgetsAKeyWithoutATime(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if _, err := f.pay(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	var bounded bool
	if err := f.pool.QueryRow(t.Context(), `SELECT expires_at IS NOT NULL FROM idem`).Scan(&bounded); err != nil || bounded {
		t.Errorf("has a time: %v, %v; want none", bounded, err)
	}
}

func TestOnce_RunsAfterCommitOnlyForTheFirst(t *testing.T) {
	t.Parallel()
	f := setup(t)
	woken := 0
	for range 2 {
		_, err := idem.Once(t.Context(), f.pool, request(), func(_ context.Context, tx *pg.Tx) (receipt, string, error) {
			tx.AfterCommit(func() { woken++ })
			return receipt{}, "", nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if woken != 1 {
		t.Errorf("woken %d times, want 1", woken)
	}
}

// An answer that cannot be stored is a mistake in the program; the effect must not stay without it.
func TestOnce_RollsBackWhatItCannotStore(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, err := idem.Once(t.Context(), f.pool, request(), func(ctx context.Context, tx *pg.Tx) (func(), string, error) {
		_, err := addEffect(ctx, tx, "unanswerable")
		return func() {}, "", err
	})
	if err == nil {
		t.Error("got no error")
	}
	f.wantEffects()
}
