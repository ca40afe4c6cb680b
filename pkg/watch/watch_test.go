package watch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/rpcerr"
)

func TestFollow_LooksAtOnceAtEachChangeAndFromTimeToTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, id, looks := New(nil), uuid.New(), 0
		done := make(chan error)
		go func() {
			done <- w.Follow(t.Context(), id, func() (bool, error) { looks++; return looks == 4, nil })
		}()
		synctest.Wait()
		w.Notify(uuid.New()) // somebody else's
		synctest.Wait()
		if looks != 1 {
			t.Errorf("at the beginning: got %d looks, want 1", looks)
		}
		for range 3 {
			w.Notify(id)
			w.Notify(id)
		}
		synctest.Wait()
		if looks < 2 || looks > 3 {
			t.Errorf("changes that come together: got %d looks, want 2 or 3", looks)
		}
		before := looks
		<-time.After(lookAgain + time.Second)
		synctest.Wait()
		if looks != before+1 {
			t.Errorf("untold: got %d looks, want %d", looks, before+1)
		}
		w.Notify(id)
		synctest.Wait()
		if looks < 4 {
			w.Notify(id)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(w.byID) != 0 {
			t.Errorf("%d are still watched", len(w.byID))
		}
	})
}

func TestFollow_EndsWithItsCallItsErrorAndTheProcess(t *testing.T) {
	t.Parallel()
	never := func() (bool, error) { return false, nil }
	broken := errors.New("broken")
	if err := New(nil).Follow(t.Context(), uuid.New(), func() (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the look", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(nil).Follow(ctx, uuid.New(), never); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the call", err)
	}
	stopping := make(chan struct{})
	close(stopping)
	if err := New(stopping).Follow(t.Context(), uuid.New(), never); !rpcerr.Is(err, rpcerr.ShuttingDown) {
		t.Errorf("got %v, want SHUTTING_DOWN", err)
	}
}

func TestFollowProgress_SendsAgainWhatDoesNotGoOn(t *testing.T) {
	t.Parallel()
	for again, want := range map[time.Duration]int{0: 1, 15 * time.Second: 5} { // a minute and some: at 0, 15, 30, 45 and 60 s
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 65*time.Second)
			defer cancel()
			sent := 0
			err := FollowProgress(ctx, New(nil), uuid.New(), Progress[int, int]{
				Read: func() (int, error) { return 7, nil }, Of: func(n int) int { return n }, Ended: func(int) bool { return false },
				Send: func(int) error { sent++; return nil }, Again: again,
			})
			if !errors.Is(err, context.DeadlineExceeded) || sent != want {
				t.Errorf("again after %s: sent %d times in 65 s, want %d; ended with %v", again, sent, want, err)
			}
		})
	}
}
