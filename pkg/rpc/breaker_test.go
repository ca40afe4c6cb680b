package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

var errDown = status.Error(codes.Unavailable, "connection refused")

func newBreaker(t *testing.T, cfg rpc.BreakerConfig) *rpc.Breaker {
	t.Helper()
	b, err := rpc.NewBreaker("payment", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// try makes a call that ends with outcome, and tells whether the breaker let it through.
func try(t *testing.T, b *rpc.Breaker, outcome error) (sent bool) {
	t.Helper()
	err := b.Do(func() error {
		sent = true
		return outcome
	})
	if sent && err != outcome {
		t.Errorf("got %v, want the call's own outcome %v", err, outcome)
	}
	if !sent {
		rpcerrtest.Want(t, err, rpcerr.DestinationDown)
	}
	return sent
}

func isOpen(t *testing.T, b *rpc.Breaker) bool {
	t.Helper()
	return !try(t, b, nil)
}

// Only an outcome that says that the destination does not answer counts. Declines are its daily work, and callers
// that go away say nothing about it.
func TestBreaker_CountsOnlyWhatSaysDown(t *testing.T) {
	t.Parallel()
	received := func(e *rpcerr.Error) error { return e.GRPCStatus().Err() }
	for name, test := range map[string]struct {
		outcome error
		opens   bool
	}{
		"success":                              {nil, false},
		"connection refused or lost":           {errDown, true},
		"the same, wrapped":                    {fmt.Errorf("charging: %w", errDown), true},
		"no answer in time":                    {status.Error(codes.DeadlineExceeded, "timeout"), true},
		"it says it ran out of time":           {received(rpcerr.New(rpcerr.DeadlineExceeded, "late")), true},
		"it is shutting down":                  {received(rpcerr.New(rpcerr.ShuttingDown, "stopping")), true},
		"the caller came too late":             {received(rpcerr.New(rpcerr.DeadlineTooShort, "late")), false},
		"the caller went away":                 {status.Error(codes.Canceled, "gone"), false},
		"the caller went away, in Go's words":  {context.Canceled, false},
		"declined":                             {received(rpcerr.New(rpcerr.PaymentDeclined, "no")), false},
		"refused":                              {received(rpcerr.New(rpcerr.RequestInvalid, "no")), false},
		"not found":                            {received(rpcerr.New(rpcerr.NotFound, "no")), false},
		"in flight":                            {received(rpcerr.New(rpcerr.IdempotencyKeyInFlight, "wait")), false},
		"its provider's answer was lost":       {received(rpcerr.New(rpcerr.PaymentOutcomeUnknown, "lost")), false},
		"its own destination is down":          {received(rpcerr.New(rpcerr.DestinationDown, "down")), false},
		"an internal error: it does answer":    {received(rpcerr.New(rpcerr.Internal, "bug")), false},
		"overloaded: it does answer":           {status.Error(codes.ResourceExhausted, "busy"), false},
		"not authenticated":                    {status.Error(codes.Unauthenticated, "who?"), false},
		"an error that is no status of anyone": {errors.New("broken"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBreaker(t, rpc.BreakerConfig{MinimumCalls: 5})
			for range 5 {
				try(t, b, test.outcome)
			}
			if got := isOpen(t, b); got != test.opens {
				t.Errorf("open: got %v, want %v", got, test.opens)
			}
		})
	}
}

func TestBreaker_OpensAtTheRatioOnceEnoughCallsEnded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		good, down int // ended calls, the good ones first
		opens      bool
	}{
		"too few to tell":        {0, 19, false},
		"just enough":            {0, 20, true},
		"just below the ratio":   {11, 10, false},
		"at the ratio":           {10, 10, true},
		"a burst in much good":   {100, 20, false},
		"a burst that outweighs": {20, 20, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBreaker(t, rpc.BreakerConfig{})
			for range test.good {
				try(t, b, nil)
			}
			for i := range test.down {
				if !try(t, b, errDown) {
					t.Fatalf("opened after %d", i)
				}
			}
			if got := isOpen(t, b); got != test.opens {
				t.Errorf("open: got %v, want %v", got, test.opens)
			}
		})
	}
}

// A destination that hangs has many calls under way and few that ended: those decide.
func TestBreaker_IsNotFooledByCallsUnderWayOrGivenUp(t *testing.T) {
	t.Parallel()
	b := newBreaker(t, rpc.BreakerConfig{})
	for range 100 {
		try(t, b, context.Canceled)
	}
	var under func(depth int)
	under = func(depth int) {
		_ = b.Do(func() error {
			if depth > 0 {
				under(depth - 1)
				return nil
			}
			for range 20 {
				try(t, b, errDown)
			}
			if !isOpen(t, b) {
				t.Error("closed, though every call that ended found the destination down")
			}
			return nil
		})
	}
	under(100)
}

func TestBreaker_ForgetsWhatIsOlderThanItsWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, rpc.BreakerConfig{Window: 10 * time.Second})
		for range 19 {
			try(t, b, errDown)
		}
		<-time.After(11 * time.Second)
		try(t, b, nil)
		try(t, b, errDown)
		if isOpen(t, b) {
			t.Error("open, for failures that are long past")
		}
	})
}

// Who is told that nothing was sent waits longer each time, and a small shop has an order a minute: a destination that is down for all
// of them is found out by few calls, if they take their time.
func TestBreaker_OpensForFewCallsWhenNoneSucceedsForAWindow(t *testing.T) {
	t.Parallel()
	const window = 10 * time.Second
	for name, test := range map[string]struct {
		every    time.Duration
		outcomes []error
		opens    bool
	}{
		"callers that wait longer each time": {2500 * time.Millisecond, []error{errDown, errDown, errDown, errDown, errDown}, true},
		"not yet for a window":               {2400 * time.Millisecond, []error{errDown, errDown, errDown, errDown, errDown}, false},
		"one a minute":                       {time.Minute, []error{errDown, errDown, errDown}, true},
		"two are no row":                     {time.Minute, []error{errDown, errDown}, false},
		"one has succeeded":                  {time.Minute, []error{errDown, errDown, nil, errDown, errDown}, false},
		"as few since one has succeeded":     {time.Minute, []error{errDown, errDown, nil, errDown, errDown, errDown}, true},
		"a caller that went away is nothing": {time.Minute, []error{errDown, context.Canceled, context.Canceled, errDown}, false},
		"nor does it speak for it":           {time.Minute, []error{errDown, context.Canceled, errDown, errDown}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, rpc.BreakerConfig{Window: window})
				for i, outcome := range test.outcomes {
					if i > 0 {
						<-time.After(test.every)
					}
					if !try(t, b, outcome) {
						t.Fatalf("opened after %d", i)
					}
				}
				if got := b.State() == rpc.BreakerOpen; got != test.opens {
					t.Errorf("open: got %v, want %v", got, test.opens)
				}
			})
		})
	}
}

func TestBreaker_ClosesAfterProbesThatSucceed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, rpc.BreakerConfig{MinimumCalls: 2, OpenFor: 2 * time.Second, Probes: 3})
		try(t, b, errDown)
		try(t, b, errDown)
		if !isOpen(t, b) {
			t.Fatal("closed")
		}
		<-time.After(2*time.Second - time.Millisecond)
		if !isOpen(t, b) {
			t.Error("let a call through before its time")
		}
		<-time.After(2 * time.Millisecond)
		for i := range 3 {
			if !try(t, b, nil) {
				t.Errorf("probe %d was held back", i)
			}
		}
		for range 100 {
			if !try(t, b, nil) {
				t.Fatal("still not closed")
			}
		}
	})
}

func TestBreaker_OpensAgainAtAProbeThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, rpc.BreakerConfig{MinimumCalls: 1, OpenFor: time.Second, Probes: 3})
		try(t, b, errDown)
		for range 3 {
			<-time.After(time.Second + time.Millisecond)
			if !try(t, b, nil) || !try(t, b, errDown) {
				t.Error("a probe was held back")
			}
			if !isOpen(t, b) {
				t.Error("not open again")
			}
		}
	})
}

// Probes are few, and one that its caller gave up or that was declined must not use up its place for ever.
func TestBreaker_LetsFewProbesThroughAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, rpc.BreakerConfig{MinimumCalls: 1, OpenFor: time.Second, Probes: 2})
		try(t, b, errDown)
		<-time.After(time.Second + time.Millisecond)
		for range 10 {
			if !try(t, b, context.Canceled) {
				t.Fatal("probes that were given up used up the places")
			}
		}
		first := b.Do(func() error {
			return b.Do(func() error {
				if !isOpen(t, b) {
					t.Error("let a third probe through")
				}
				return nil
			})
		})
		if first != nil {
			t.Errorf("got %v", first)
		}
		if isOpen(t, b) {
			t.Error("two probes succeeded and it is not closed")
		}
	})
}

func TestBreaker_JudgesByItsOwnRuleWhereThereIsOne(t *testing.T) {
	t.Parallel()
	refused := errors.New("dial tcp: refused")
	b := newBreaker(t, rpc.BreakerConfig{MinimumCalls: 1, Down: func(err error) bool { return errors.Is(err, refused) }})
	try(t, b, errDown)
	try(t, b, refused)
	if !isOpen(t, b) {
		t.Error("closed")
	}
}

func TestBreaker_TellsItsState(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	var log bytes.Buffer
	var changes []rpc.BreakerState
	b := newBreaker(t, rpc.BreakerConfig{
		MinimumCalls: 1, Meter: tel.Meters.Meter("test"), Log: slog.New(slog.NewTextHandler(&log, nil)),
		OnChange: func(from, to rpc.BreakerState) { changes = append(changes, from, to) },
	})
	state := func() string {
		w := httptest.NewRecorder()
		tel.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		for line := range strings.Lines(w.Body.String()) {
			if strings.HasPrefix(line, "tieout_breaker_state{") && strings.Contains(line, `destination="payment"`) {
				return strings.TrimSpace(line[strings.LastIndex(line, " "):])
			}
		}
		return "missing"
	}
	if got := state(); got != "0" {
		t.Errorf("closed: got %s, want 0", got)
	}
	try(t, b, errDown)
	if got := state(); got != "2" || b.State() != rpc.BreakerOpen {
		t.Errorf("open: got %s, %d; want 2", got, b.State())
	}
	if want := []rpc.BreakerState{rpc.BreakerClosed, rpc.BreakerOpen}; !slices.Equal(changes, want) {
		t.Errorf("got changes %v, want %v", changes, want)
	}
	if !strings.Contains(log.String(), "destination=payment from=closed to=open") {
		t.Errorf("log: got %q", log.String())
	}
}
