package resend

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/rpcerr"
)

var lost = status.Error(codes.Unavailable, "connection reset")

func TestDo_AsksAgainUntilThereIsAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := []error{lost, status.Error(codes.DeadlineExceeded, "late"), rpcerr.New(rpcerr.IdempotencyKeyInFlight, "wait"), nil}
		calls := 0
		err := New(time.Minute).Do(t.Context(), func(context.Context) error { calls++; return answers[calls-1] })
		if err != nil || calls != len(answers) {
			t.Errorf("ended after %d calls with %v, want %d calls", calls, err, len(answers))
		}
	})
}

func TestDo_TakesARefusalAtItsWord(t *testing.T) {
	t.Parallel()
	for _, refusal := range []error{
		rpcerr.New(rpcerr.RequestInvalid, "no"), rpcerr.New(rpcerr.IdempotencyKeyReused, "no"),
		rpcerr.New(rpcerr.Internal, "oops"), status.Error(codes.PermissionDenied, "no"),
	} {
		calls := 0
		err := New(time.Minute).Do(t.Context(), func(context.Context) error { calls++; return refusal })
		if !errors.Is(err, refusal) || calls != 1 {
			t.Errorf("%v was asked for %d times and ended as %v", refusal, calls, err)
		}
	}
}

func TestDo_WaitsAsLongAsTheServerAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shed := rpcerr.New(rpcerr.IdempotencyKeyInFlight, "busy")
		shed.RetryAfter = 7 * time.Second
		began, calls := time.Now(), 0
		err := New(time.Minute).Do(t.Context(), func(context.Context) error {
			if calls++; calls == 1 {
				return shed
			}
			return nil
		})
		if waited := time.Since(began); err != nil || waited < 7*time.Second {
			t.Errorf("asked again after %v, and ended as %v", waited, err)
		}
	})
}

func TestDo_SaysWhenTheServerIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := New(time.Minute).Do(t.Context(), func(context.Context) error { return lost })
		if !errors.Is(err, ErrGone) || !errors.Is(err, lost) {
			t.Errorf("ended as %v", err)
		}
		if took := time.Since(began); took < time.Minute || took > 65*time.Second {
			t.Errorf("was patient for %v, not a minute", took)
		}
	})
}

func TestDo_DoesNotCallAServerGoneThatAnswersOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(time.Minute)
		err := r.Do(t.Context(), func(ctx context.Context) error {
			if other := r.Do(ctx, func(context.Context) error { return nil }); other != nil {
				t.Error(other)
			}
			return lost
		})
		if !errors.Is(err, lost) || errors.Is(err, ErrGone) {
			t.Errorf("ended as %v, want the lost answer only", err)
		}
	})
}

func TestDo_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		began := time.Now()
		if err := New(time.Minute).Do(ctx, func(context.Context) error { return lost }); !errors.Is(err, lost) {
			t.Errorf("ended as %v", err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("went on for %v after three seconds", took)
		}
	})
}

// script is a stream that waits before each message, and after the last one breaks.
type script struct {
	waits []time.Duration
}

// Recv implements Stream.
func (s *script) Recv() (int, error) {
	if len(s.waits) == 0 {
		return 0, lost
	}
	<-time.After(s.waits[0]) // in a bubble
	s.waits = s.waits[1:]
	if len(s.waits) == 0 {
		return 0, lost
	}
	return len(s.waits), nil
}

func TestFollow_OutlivesABreakAfterALongSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		streams := []*script{{[]time.Duration{0, time.Hour}}, {[]time.Duration{0, 0, 0}}}
		opened := 0
		err := Follow(t.Context(), New(time.Minute), func(context.Context) (Stream[int], error) {
			opened++
			return streams[opened-1], nil
		}, func(left int) (bool, error) { return opened == 2, nil })
		if err != nil || opened != 2 {
			t.Errorf("ended after %d streams with %v", opened, err)
		}
	})
}

func TestFollow_GivesUpOnStreamsThatTellNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		err := Follow(t.Context(), New(time.Minute), func(context.Context) (Stream[int], error) {
			return &script{}, nil
		}, func(int) (bool, error) { return true, nil })
		if !errors.Is(err, ErrGone) {
			t.Errorf("ended with %v", err)
		}
	})
}
