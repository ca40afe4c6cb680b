package shed_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/shed"
)

// fixed is a limit that does not move.
func fixed(n int) shed.LimitConfig { return shed.LimitConfig{Min: n, Initial: n, Max: n} }

func newGate(t *testing.T, limit shed.LimitConfig) *shed.Gate {
	t.Helper()
	g, err := shed.NewGate(shed.Config{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func enter(t *testing.T, g *shed.Gate, c shed.Class) (leave func()) {
	t.Helper()
	if err := g.Knock(t.Context(), c); err != nil {
		t.Fatalf("a call of class %s: %v", c, err)
	}
	leave, err := g.Enter(t.Context(), shed.Call{Class: c})
	if err != nil {
		t.Fatalf("a call of class %s: %v", c, err)
	}
	return leave
}

func TestGate_LeavesRoomToWhatIsWorthMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, fixed(100))
		for class, room := range map[shed.Class]int{shed.Batch: 50, shed.Read: 90, shed.New: 100, shed.Step: 256, shed.Finish: 512} {
			var leaves []func()
			for range room {
				leaves = append(leaves, enter(t, g, class))
			}
			_, err := g.Enter(t.Context(), shed.Call{Class: class})
			if e := rpcerrtest.Want(t, err, rpcerr.Overloaded); e.RetryAfter < 250*time.Millisecond || e.RetryAfter > time.Second {
				t.Errorf("%s: told to come back after %v, want 250ms to 1s", class, e.RetryAfter)
			}
			if class > shed.Finish {
				enter(t, g, class-1)()
			}
			for _, leave := range leaves {
				leave()
			}
		}
	})
}

func TestGate_LetsTheMostImportantInFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, fixed(2))
		first, second := enter(t, g, shed.New), enter(t, g, shed.New)
		var mu sync.Mutex
		var order []shed.Class
		var waiting sync.WaitGroup
		for _, c := range []shed.Class{shed.Batch, shed.Read, shed.New} {
			waiting.Go(func() {
				leave, err := g.Enter(t.Context(), shed.Call{Class: c})
				if err != nil {
					t.Errorf("%s: %v", c, err)
					return
				}
				mu.Lock()
				order = append(order, c)
				mu.Unlock()
				<-time.After(time.Millisecond)
				leave()
			})
			synctest.Wait()
		}
		first()
		second()
		waiting.Wait()
		if len(order) != 3 || order[0] != shed.New || order[1] != shed.Read || order[2] != shed.Batch {
			t.Errorf("got in in the order %v, want new, read, batch", order)
		}
	})
}

func TestGate_ForgetsWhoGaveUpWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, fixed(2))
		first, second := enter(t, g, shed.New), enter(t, g, shed.New)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := g.Enter(ctx, shed.Call{Class: shed.New}); !rpcerr.Is(err, rpcerr.Overloaded) {
			t.Errorf("got %v, want OVERLOADED", err)
		}
		if waited := time.Since(began); waited != 10*time.Millisecond {
			t.Errorf("waited %v, want as long as the caller does", waited)
		}
		first()
		second()
		for range 5 { // the room is all there, and there again
			a, b := enter(t, g, shed.New), enter(t, g, shed.New)
			a()
			b()
		}
	})
}

// crowd is what came of calls of one class.
type crowd struct {
	mu               sync.Mutex
	done, refused    int
	longestToRefusal time.Duration
}

// TestGate_HoldsUnderACrowd has ten times as many calls come as can be done, for ten seconds: four at a time, of 10 ms each.
func TestGate_HoldsUnderACrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, shed.LimitConfig{Min: 4})
		workers := make(chan struct{}, 4)
		come := map[shed.Class]*crowd{shed.Finish: {}, shed.Step: {}, shed.New: {}, shed.Read: {}, shed.Batch: {}}
		do := func(c shed.Class) {
			of, asked := come[c], time.Now()
			leave, err := g.Enter(t.Context(), shed.Call{Class: c, Should: 100 * time.Millisecond})
			if err != nil {
				of.mu.Lock()
				defer of.mu.Unlock()
				of.refused++
				of.longestToRefusal = max(of.longestToRefusal, time.Since(asked))
				return
			}
			workers <- struct{}{}
			<-time.After(10 * time.Millisecond)
			<-workers
			leave()
			of.mu.Lock()
			defer of.mu.Unlock()
			of.done++
		}
		var calls sync.WaitGroup
		for i := range 40_000 {
			<-time.After(time.Second / 4000)
			class := []shed.Class{shed.New, shed.Read, shed.Batch}[i%3]
			switch i % 100 {
			case 0:
				class = shed.Finish
			case 1:
				class = shed.Step
			}
			calls.Go(func() { do(class) })
		}
		calls.Wait()
		all := 0
		for c, of := range come {
			all += of.done
			t.Logf("%s: %d done, %d refused, the slowest after %v", c, of.done, of.refused, of.longestToRefusal)
			if of.longestToRefusal > 20*time.Millisecond {
				t.Errorf("%s: refused after %v, want 20ms at most", c, of.longestToRefusal)
			}
		}
		if all < 4000*85/100 {
			t.Errorf("%d calls were done of 4000 that could be", all)
		}
		if come[shed.Finish].refused+come[shed.Step].refused > 0 {
			t.Errorf("work that was started was refused %d and %d times", come[shed.Finish].refused, come[shed.Step].refused)
		}
		if come[shed.New].done < 3*come[shed.Read].done || come[shed.Read].done < come[shed.Batch].done {
			t.Error("what is worth less was not refused first")
		}
	})
}

// turnedAway wants a call of each class to be refused at the door.
func turnedAway(t *testing.T, g *shed.Gate, all ...shed.Class) {
	t.Helper()
	for _, c := range all {
		rpcerrtest.Want(t, g.Knock(t.Context(), c), rpcerr.Overloaded)
	}
}

func TestBacklog_RefusesNewWorkWhileItIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, underWay := newGate(t, shed.LimitConfig{}), 0
		b := shed.NewBacklog(shed.BacklogConfig{
			Name: "orders", UnderWay: func() int { return underWay }, Target: 100 * time.Millisecond, Limit: fixed(10),
		})
		g.Before(b)
		for range 10 { // those that come between two counts are counted too
			enter(t, g, shed.New)()
		}
		turnedAway(t, g, shed.New, shed.Read, shed.Batch)
		for _, c := range []shed.Class{shed.Finish, shed.Step} {
			enter(t, g, c)()
		}
		underWay = 9
		<-time.After(10 * time.Millisecond)
		turnedAway(t, g, shed.Read, shed.Batch)
		enter(t, g, shed.New)()
		underWay = 5
		<-time.After(10 * time.Millisecond)
		turnedAway(t, g, shed.Batch)
		for range 10 { // they bring nothing that lasts
			enter(t, g, shed.Read)()
		}
	})
}

func TestBacklog_HasALimitThatFollowsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, shed.LimitConfig{})
		b := shed.NewBacklog(shed.BacklogConfig{
			Name: "orders", UnderWay: func() int { return 100 }, Target: 100 * time.Millisecond,
			Limit: shed.LimitConfig{Min: 50, Initial: 200, Max: 400},
		})
		g.Before(b)
		waited := func(d time.Duration) {
			for range 1000 {
				<-time.After(20 * time.Millisecond)
				b.Waited(d)
			}
		}
		waited(200 * time.Millisecond)
		turnedAway(t, g, shed.New)
		waited(50 * time.Millisecond)
		enter(t, g, shed.New)()
	})
}
