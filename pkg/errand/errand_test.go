package errand_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/waittest"
)

// patient is for batches that wait for all.
var patient = options{hands: 8, limit: time.Minute, patience: time.Minute}

// hasty is for batches that wait for nothing that is held up.
var hasty = options{hands: 8, limit: time.Minute, patience: 20 * time.Millisecond}

func atOnce(context.Context, string) error { return nil }

func TestDoAll_EndsTogetherWhatBeganTogether(t *testing.T) {
	t.Parallel()
	b := setup(t, patient, atOnce)
	for i, got := range b.DoAll(t.Context(), to("1", "2", "3")) {
		wantDone(t, got, fmt.Sprint(i+1), false)
	}
	again := b.DoAll(t.Context(), to("3", "4", "4"))
	wantDone(t, again[0], "3", true)
	wantDone(t, again[1], "4", false)
	rpcerrtest.Want(t, again[2].Err, rpcerr.IdempotencyKeyInFlight)
	ended := b.ended()
	for _, keys := range ended {
		slices.Sort(keys)
	}
	if diff := cmp.Diff([][]string{{"errand-1", "errand-2", "errand-3"}, {"errand-4"}}, ended); diff != "" {
		t.Errorf("ended together (-want +got):\n%s", diff)
	}
}

func TestDoAll_DoesNotWaitForTheSlowest(t *testing.T) {
	t.Parallel()
	slow := newGate()
	b := setup(t, hasty, func(ctx context.Context, key string) error {
		if key == "errand-slow" {
			return slow.pass(ctx)
		}
		return nil
	})
	all := b.DoAll(t.Context(), to("quick", "slow"))
	if got := rpcerrtest.Want(t, all[1].Err, rpcerr.IdempotencyKeyInFlight); got.RetryAfter <= 0 {
		t.Error("does not say when to ask again")
	}
	b.awaitReplay(t, "quick") // it is written though the other one still works
	rpcerrtest.Want(t, b.DoAll(t.Context(), to("slow"))[0].Err, rpcerr.IdempotencyKeyInFlight)
	close(slow.open)
	b.awaitReplay(t, "slow")
	if len(slow.reached) != 1 {
		t.Errorf("the slow one was worked on %d times", len(slow.reached))
	}
}

func TestDoAll_GoesOnWhenTheCallerLeaves(t *testing.T) {
	t.Parallel()
	slow := newGate()
	b := setup(t, patient, func(ctx context.Context, key string) error {
		if key == "errand-slow" {
			return slow.pass(ctx)
		}
		return nil
	})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-slow.reached
		leave()
	}()
	for _, r := range b.DoAll(ctx, to("slow", "quick")) {
		if r.Err != nil { // the quick one may have been written
			rpcerrtest.Want(t, r.Err, rpcerr.IdempotencyKeyInFlight)
		}
	}
	b.awaitReplay(t, "quick")
	close(slow.open)
	wantDone(t, b.Do(t.Context(), to("slow")[0]), "slow", true)
}

func TestDo_WaitsForAnotherOneUnderTheKey(t *testing.T) {
	t.Parallel()
	slow := newGate()
	b := setup(t, hasty, func(ctx context.Context, _ string) error { return slow.pass(ctx) })
	first, second := make(chan result, 1), make(chan result, 1)
	go func() { first <- b.Do(t.Context(), to("slow")[0]) }()
	<-slow.reached
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	if e := rpcerrtest.Want(t, b.Do(ctx, to("slow")[0]).Err, rpcerr.IdempotencyKeyInFlight); ctx.Err() == nil || e.RetryAfter <= 0 {
		t.Errorf("answered before its time was up (%v), or not told when to ask again (%v)", ctx.Err(), e.RetryAfter)
	}
	looks := b.looks.Load()
	go func() { second <- b.Do(t.Context(), to("slow")[0]) }()
	waittest.Until(t, "the second looked twice", func() bool { return b.looks.Load() >= looks+2 })
	close(slow.open)
	wantDone(t, <-first, "slow", false)
	wantDone(t, <-second, "slow", true)
}

func TestCrew_WorksOnSoManyAtOnce(t *testing.T) {
	t.Parallel()
	var working, most atomic.Int32
	full := newGate()
	o := patient
	o.hands = 3
	b := setup(t, o, func(ctx context.Context, _ string) error {
		n := working.Add(1)
		defer working.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return full.pass(ctx)
	})
	go func() {
		for range o.hands {
			<-full.reached
		}
		close(full.open)
	}()
	for i, r := range b.DoAll(t.Context(), to("0", "1", "2", "3", "4", "5", "6", "7")) {
		wantDone(t, r, fmt.Sprint(i), false)
	}
	if most.Load() != 3 {
		t.Errorf("%d were worked on at once, want 3", most.Load())
	}
}

func TestCrew_DoesNotBeginWhatHasNoTimeLeft(t *testing.T) {
	t.Parallel()
	o := patient
	o.hands, o.limit = 1, time.Second
	overslept := newGate()
	b := setup(t, o, func(context.Context, string) error { return overslept.pass(context.WithoutCancel(t.Context())) })
	first := make(chan result, 1)
	go func() { first <- b.Do(t.Context(), to("first")[0]) }()
	<-overslept.reached
	rpcerrtest.Want(t, b.Do(t.Context(), to("second")[0]).Err, rpcerr.IdempotencyKeyInFlight)
	close(overslept.open)
	wantDone(t, <-first, "first", false)
	b.stop()
	if n := len(overslept.reached); n != 0 {
		t.Errorf("%d more were begun", n)
	}
}

func TestCrew_EndsWhatItBeganBeforeItStops(t *testing.T) {
	t.Parallel()
	slow := newGate()
	b := setup(t, hasty, func(ctx context.Context, _ string) error { return slow.pass(ctx) })
	held := make(chan result, 1)
	go func() { held <- b.Do(t.Context(), to("slow")[0]) }()
	<-slow.reached
	stopped := make(chan struct{})
	go func() { b.stop(); close(stopped) }()
	for refused := false; !refused; { // from some moment on
		r := b.DoAll(t.Context(), to("slow"))[0]
		refused = rpcerr.Is(r.Err, rpcerr.ShuttingDown)
	}
	select {
	case <-stopped:
		t.Error("the crew left an errand behind")
	default:
	}
	close(slow.open)
	wantDone(t, <-held, "slow", false)
	<-stopped
	rpcerrtest.Want(t, b.DoAll(t.Context(), to("late"))[0].Err, rpcerr.ShuttingDown)
}

func TestCrew_CutsWorkThatOutlastsTheStop(t *testing.T) {
	t.Parallel()
	slow := newGate()
	b := setup(t, hasty, func(ctx context.Context, _ string) error {
		if err := slow.pass(ctx); err == nil {
			t.Error("the gate was open")
		}
		return nil // the answer is lost, and that is written
	})
	held := make(chan result, 1)
	go func() { held <- b.Do(t.Context(), to("slow")[0]) }()
	<-slow.reached
	b.stop()
	wantDone(t, <-held, "slow", false)
}

func TestErrand_ThatFailsEndsNothingAndIsLogged(t *testing.T) {
	t.Parallel()
	var logged logtest.Book
	o := patient
	o.log = slog.New(slog.NewTextHandler(&logged, nil))
	b := setup(t, o, func(_ context.Context, key string) error {
		switch key {
		case "errand-panic":
			panic("out of cheese")
		case "errand-broken":
			return errors.New("broken")
		case "errand-told":
			return rpcerr.New(rpcerr.DestinationDown, "nobody is there")
		}
		return nil
	})
	all := b.DoAll(t.Context(), to("panic", "broken", "told", "fine"))
	for i, want := range []string{"panic: out of cheese", "broken", "DESTINATION_DOWN"} {
		if all[i].Err == nil || !strings.Contains(all[i].Err.Error(), want) {
			t.Errorf("got %v, want %s", all[i].Err, want)
		}
	}
	wantDone(t, all[3], "fine", false)
	for _, r := range b.DoAll(t.Context(), to("panic", "broken", "told")) {
		rpcerrtest.Want(t, r.Err, rpcerr.IdempotencyKeyInFlight) // until its lease ends
	}
	text := logged.String()
	if !strings.Contains(text, "out of cheese") || !strings.Contains(text, "broken") || strings.Contains(text, "DESTINATION_DOWN") {
		t.Errorf("logged: %s", text)
	}
}
