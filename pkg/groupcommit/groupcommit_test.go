package groupcommit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestDo_WritesWhatGatheredMeanwhileInOneTransaction(t *testing.T) {
	t.Parallel()
	f, gate := setup(t), newGate()
	g := f.group(groupcommit.Config[string, string]{Writers: 1, Apply: gate.apply})
	f.run(g)
	do, done := f.callers(g)
	do("first")
	<-gate.begun
	keys := []string{"first"}
	for i := range 100 {
		keys = append(keys, fmt.Sprintf("key-%d", i))
		do(keys[i+1])
	}
	f.awaitWaiting(100)
	close(gate.open)
	done()
	// The last caller may have been on its way yet.
	if got := f.applied(); len(got) > 3 || got[0] != 1 || got[1] < 90 {
		t.Errorf("sizes of the batches: got %v, want 1 and then 100", got)
	}
	f.wantEffects(keys...)
}

func TestDo_BeginsASecondTransactionWhenABatchIsFull(t *testing.T) {
	t.Parallel()
	f, gate := setup(t), newGate()
	g := f.group(groupcommit.Config[string, string]{MaxBatch: 4, Apply: gate.apply})
	f.run(g)
	do, done := f.callers(g)
	do("first")
	<-gate.begun
	for _, key := range []string{"k1", "k2", "k3"} {
		do(key)
	}
	f.awaitWaiting(3)
	if diff := cmp.Diff([]int{1}, f.applied()); diff != "" {
		t.Errorf("what is no batch yet did not wait for the first (-want +got):\n%s", diff)
	}
	do("k4")
	waittest.Until(t, "a second transaction runs", func() bool { return slices.Equal(f.applied(), []int{1, 4}) })
	close(gate.open)
	done()
	f.wantEffects("first", "k1", "k2", "k3", "k4")
}

func TestDo_GathersForTheGapUnlessABatchIsFull(t *testing.T) {
	t.Parallel()
	f := setup(t)
	g := f.group(groupcommit.Config[string, string]{MaxBatch: 4, Writers: 1, Gap: time.Hour})
	f.run(g)
	do, done := f.callers(g)
	do("first")
	waittest.Until(t, "what comes after a pause is written", func() bool { return slices.Equal(f.applied(), []int{1}) })
	for _, key := range []string{"k1", "k2", "k3"} {
		do(key)
	}
	f.awaitWaiting(3)
	if diff := cmp.Diff([]int{1}, f.applied()); diff != "" {
		t.Errorf("what is no batch yet did not wait for the gap (-want +got):\n%s", diff)
	}
	do("k4")
	done()
	if diff := cmp.Diff([]int{1, 4}, f.applied()); diff != "" {
		t.Errorf("sizes of the batches (-want +got):\n%s", diff)
	}
	f.wantEffects("first", "k1", "k2", "k3", "k4")
}

func TestDoAll_GivesEachItsOwnResultInOrder(t *testing.T) {
	t.Parallel()
	f := setup(t)
	g := f.group(groupcommit.Config[string, string]{})
	f.run(g)
	got := g.DoAll(t.Context(), []string{"a1", "no1", "a2", "no2"})
	want := []groupcommit.Result[string]{{Value: "a1"}, {Err: errRefused}, {Value: "a2"}, {Err: errRefused}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if diff := cmp.Diff([]int{4}, f.applied()); diff != "" {
		t.Errorf("what was handed in together was parted (-want +got):\n%s", diff)
	}
	f.wantEffects("a1", "a2")
}

func TestDoAll_PartsWhatIsMoreThanABatch(t *testing.T) {
	t.Parallel()
	f := setup(t)
	g := f.group(groupcommit.Config[string, string]{MaxBatch: 2})
	f.run(g)
	for i, r := range g.DoAll(t.Context(), []string{"a0", "a1", "a2", "a3", "a4"}) {
		if want := fmt.Sprintf("a%d", i); r.Value != want || r.Err != nil {
			t.Errorf("%d: got %v", i, r)
		}
	}
	if diff := cmp.Diff([]int{2, 2, 1}, f.applied()); diff != "" {
		t.Errorf("sizes of the batches (-want +got):\n%s", diff)
	}
	if got := g.DoAll(t.Context(), nil); len(got) != 0 {
		t.Errorf("nothing handed in: got %v", got)
	}
}

func TestDo_DeadlineBeforeItIsTakenMeansNothingIsDone(t *testing.T) {
	t.Parallel()
	f, gate := setup(t), newGate()
	g := f.group(groupcommit.Config[string, string]{Writers: 1, Apply: gate.apply})
	stop := f.run(g)
	var callers sync.WaitGroup
	callers.Go(func() {
		if _, err := g.Do(t.Context(), "first"); err != nil {
			t.Errorf("the one before: %v", err)
		}
	})
	<-gate.begun
	ctx, cancel := context.WithCancel(t.Context())
	callers.Go(func() {
		_, err := g.Do(ctx, "late")
		if !errors.Is(err, context.Canceled) || errors.Is(err, groupcommit.ErrUnknown) {
			t.Errorf("got %v, want the context's error and nothing unknown", err)
		}
	})
	f.awaitWaiting(1)
	cancel()
	f.awaitWaiting(0)
	close(gate.open)
	callers.Wait()
	stop()
	f.wantEffects("first")
}

func TestDo_DeadlineAfterItIsTakenIsUnknownAndTheWriteGoesOn(t *testing.T) {
	t.Parallel()
	f, gate := setup(t), newGate()
	g := f.group(groupcommit.Config[string, string]{Apply: gate.apply})
	stop := f.run(g)
	ctx, cancel := context.WithCancel(t.Context())
	outcome := make(chan error)
	go func() {
		_, err := g.Do(ctx, "taken")
		outcome <- err
	}()
	<-gate.begun
	cancel()
	err := <-outcome
	if !errors.Is(err, groupcommit.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want ErrUnknown for the context's sake", err)
	}
	close(gate.open)
	stop()
	f.wantEffects("taken")
}

func TestRun_FinishesWhatWasTakenAndTurnsAwayTheRest(t *testing.T) {
	t.Parallel()
	f, gate := setup(t), newGate()
	g := f.group(groupcommit.Config[string, string]{Writers: 1, Apply: gate.apply})
	ctx, stop := context.WithCancel(t.Context())
	wait := f.runUntil(ctx, g)
	var callers sync.WaitGroup
	callers.Go(func() {
		if _, err := g.Do(t.Context(), "taken"); err != nil {
			t.Errorf("taken: %v", err)
		}
	})
	<-gate.begun
	callers.Go(func() {
		if _, err := g.Do(t.Context(), "waiting"); !errors.Is(err, groupcommit.ErrStopped) {
			t.Errorf("waiting: got %v, want ErrStopped", err)
		}
	})
	f.awaitWaiting(1)
	stop()
	close(gate.open)
	callers.Wait()
	wait()
	_, err := g.Do(t.Context(), "too late")
	if !errors.Is(err, groupcommit.ErrStopped) || !rpcerr.Is(rpcerr.ToStatus(err).Err(), rpcerr.ShuttingDown) {
		t.Errorf("after the end: got %v, want ErrStopped, for clients SHUTTING_DOWN", err)
	}
	f.wantEffects("taken")
}

func TestGroup_CountsWritesPerTransactionAndTheWait(t *testing.T) {
	t.Parallel()
	f := setup(t)
	g := f.group(groupcommit.Config[string, string]{})
	f.run(g)
	g.DoAll(t.Context(), []string{"a1", "a2", "no1"})
	if _, err := g.Do(t.Context(), "a3"); err != nil {
		t.Fatal(err)
	}
	if writes, transactions := f.measured("tieout.groupcommit.batch.size"); writes != 4 || transactions != 2 {
		t.Errorf("got %v writes in %d transactions, want 4 in 2", writes, transactions)
	}
	if seconds, callers := f.measured("tieout.groupcommit.wait"); seconds <= 0 || callers != 2 {
		t.Errorf("got %v s for %d callers, want more than none for 2", seconds, callers)
	}
	if waiting, _ := f.measured("tieout.groupcommit.waiting"); waiting != 0 {
		t.Errorf("got %v waiting, want none", waiting)
	}
}
