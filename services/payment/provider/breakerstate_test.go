package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// scripted is a provider without a network, for tests whose time is not real.
type scripted func(*http.Request) (*http.Response, error)

func (f scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
	return f(r)
}

func answered(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: io.NopCloser(strings.NewReader(body))}, nil
}

// hung is an answer that never comes.
func hung(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// diary keeps the changes of a breaker's state.
type diary struct {
	mu      sync.Mutex
	changes []string
}

func (d *diary) note(from, to BreakerState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes = append(d.changes, from.String()+" → "+to.String())
}

func (d *diary) want(t *testing.T, changes ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if diff := cmp.Diff(changes, d.changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	d.changes = nil
}

// scriptedSim makes a connector to a scripted provider, with a timeout of 2 s.
func scriptedSim(t *testing.T, cfg rpc.BreakerConfig, told func(from, to BreakerState), script scripted) *Sim {
	t.Helper()
	return scriptedSimWithin(t, 2*time.Second, cfg, told, script)
}

func scriptedSimWithin(t *testing.T, timeout time.Duration, cfg rpc.BreakerConfig, told func(from, to BreakerState), script scripted) *Sim {
	t.Helper()
	s, err := NewSim(SimConfig{URL: "http://psp.test", Timeout: timeout, Breaker: cfg}, Instruments{
		Log: slog.New(slog.DiscardHandler), Tracer: tracenoop.NewTracerProvider().Tracer("test"), OnBreakerChange: told,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.http.client.Transport = script
	return s
}

// Whenever the provider comes back, a call gets through at most the interval of probes later.
func TestBreaker_RecoversWithinOneIntervalOfProbes(t *testing.T) {
	t.Parallel()
	for _, downFor := range []time.Duration{time.Second, 1990 * time.Millisecond, 5 * time.Second, time.Minute} {
		t.Run(downFor.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var up atomic.Bool
				s := scriptedSim(t, rpc.BreakerConfig{MinimumCalls: 5}, nil, func(*http.Request) (*http.Response, error) {
					if up.Load() {
						return answered(201, chargeJSON)
					}
					return answered(503, "")
				})
				back := time.Now().Add(downFor)
				const tick = 10 * time.Millisecond
				for now := range ticks(t, tick) {
					up.Store(!now.Before(back))
					kind := s.Do(t.Context(), anyCharge).Kind
					switch late := now.Sub(back); {
					case time.Now() != now:
						t.Fatalf("a call took %s", time.Since(now))
					case late < 0 && kind == Succeeded:
						t.Fatal("a provider that is down has answered")
					case late > 2*time.Second+tick && kind != Succeeded:
						t.Fatalf("got %s %s after the provider came back", kind, late)
					case late > 2*time.Second+tick && s.Breaker().State() != BreakerClosed:
						t.Fatalf("it is %s %s after the provider came back", s.Breaker().State(), late)
					case late > 3*time.Second:
						return
					}
				}
			})
		})
	}
}

// ticks yields the time at every tick, until the test is over.
func ticks(t *testing.T, tick time.Duration) func(yield func(time.Time) bool) {
	return func(yield func(time.Time) bool) {
		for t.Context().Err() == nil && yield(time.Now()) {
			<-time.After(tick)
		}
	}
}

func TestBreaker_AnswersAtOnceWhileProbesHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scriptedSim(t, rpc.BreakerConfig{MinimumCalls: 1, OpenFor: time.Second, Probes: 2}, nil, hung)
		if got := s.Do(t.Context(), anyCharge); got.Kind != Unknown {
			t.Fatalf("got %s, want unknown", got.Kind)
		}
		for range 3 {
			<-time.After(time.Second + time.Millisecond)
			if got := s.Breaker().State(); got != BreakerHalfOpen {
				t.Fatalf("got %s, want half-open", got)
			}
			var probes sync.WaitGroup
			for range 2 {
				probes.Go(func() {
					if got := s.Do(t.Context(), anyCharge); got.Kind != Unknown {
						t.Errorf("probe: got %s, want unknown", got.Kind)
					}
				})
			}
			synctest.Wait()
			began := time.Now()
			for range 100 {
				if got := s.Do(t.Context(), anyCharge); got.Kind != NotSent {
					t.Fatalf("got %s while the probes hang, want not sent", got.Kind)
				}
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("it took %s to say that nothing was sent", took)
			}
			probes.Wait()
			if took := time.Since(began); took != 2*time.Second {
				t.Errorf("the probes ended after %s, want the timeout of a call", took)
			}
		}
	})
}

func TestBreaker_TellsEveryChangeInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		var d diary
		s := scriptedSim(t, rpc.BreakerConfig{MinimumCalls: 1, OpenFor: time.Second, Probes: 1}, d.note, func(*http.Request) (*http.Response, error) {
			if up.Load() {
				return answered(201, chargeJSON)
			}
			return answered(503, "")
		})
		b := s.Breaker()
		s.Do(t.Context(), anyCharge)
		d.want(t, "closed → open")
		<-time.After(time.Second + time.Millisecond)
		s.Do(t.Context(), anyCharge)
		d.want(t, "open → half-open", "half-open → open")
		<-time.After(time.Second + time.Millisecond)
		up.Store(true)
		s.Do(t.Context(), anyCharge)
		d.want(t, "open → half-open", "half-open → closed")
		b.Force(true)
		b.Force(true)
		d.want(t, "closed → forced open")
		if got := s.Do(t.Context(), anyCharge); got.Kind != NotSent || b.State() != BreakerForcedOpen {
			t.Errorf("got %s while it is %s", got.Kind, b.State())
		}
		b.Force(false)
		d.want(t, "forced open → closed")

		up.Store(false)
		s.Do(t.Context(), anyCharge)
		b.Force(true)
		<-time.After(time.Hour)
		d.want(t, "closed → open", "open → forced open")
		b.Force(false)
		if got := b.State(); got != BreakerHalfOpen {
			t.Errorf("got %s an hour after it opened, want half-open", got)
		}
		synctest.Wait()
		if last := d.changes[len(d.changes)-1]; !strings.HasSuffix(last, "→ half-open") {
			t.Errorf("the last change that was told is %s", last)
		}
	})
}

func TestBreaker_DoesNotWaitForWhoIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d diary
		read := make(chan struct{})
		var s *Sim
		s = scriptedSim(t, rpc.BreakerConfig{MinimumCalls: 1}, func(from, to BreakerState) {
			<-read
			s.Breaker().State() // it may ask the breaker
			d.note(from, to)
		}, func(*http.Request) (*http.Response, error) { return answered(503, "") })
		began := time.Now()
		s.Do(t.Context(), anyCharge)
		s.Breaker().Force(true)
		s.Breaker().Force(false)
		if got := s.Do(t.Context(), anyCharge); got.Kind != NotSent || time.Since(began) != 0 {
			t.Errorf("got %s after %s, want not sent, at once", got.Kind, time.Since(began))
		}
		close(read)
		d.want(t, "closed → open", "open → forced open", "forced open → open")
	})
}

// A caller's deadline that is about the provider's own time is how most notice that it hangs.
func TestBreaker_CountsACallersDeadlineOnlyIfItWasLongEnough(t *testing.T) {
	t.Parallel()
	for deadline, want := range map[time.Duration]BreakerState{
		time.Millisecond: BreakerClosed, 999 * time.Millisecond: BreakerClosed, time.Second: BreakerOpen, 1999 * time.Millisecond: BreakerOpen, time.Minute: BreakerOpen,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := scriptedSim(t, rpc.BreakerConfig{MinimumCalls: 3}, nil, hung)
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				if got := s.Do(ctx, anyCharge); got.Kind != Unknown || !errors.Is(got.Err, context.DeadlineExceeded) {
					t.Errorf("got %s, error %v; want unknown, for the deadline", got.Kind, got.Err)
				}
				cancel()
			}
			if got := s.Breaker().State(); got != want {
				t.Errorf("%s: got %s, want %s", deadline, got, want)
			}
		})
	}
}

// However long a call may take, a provider that hangs is found out.
func TestBreaker_OpensBeforeAProviderThatHangs(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{time.Second, 10 * time.Second, 20 * time.Second, 2 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := scriptedSimWithin(t, timeout, rpc.BreakerConfig{}, nil, hung)
			for range 2 {
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() { s.Do(t.Context(), anyCharge) })
				}
				all.Wait()
			}
			if got := s.Breaker().State(); got != BreakerOpen {
				t.Errorf("with a timeout of %s: got %s after 20 calls that hung, want open", timeout, got)
			}
		})
	}
}

// A saga whose payment could not be sent waits longer each time, up to some seconds, and the others wait behind it: a provider that
// refuses all connections is asked four times in ten seconds, whatever the load was.
func TestBreaker_OpensBeforeAProviderThatIsSeldomAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refuse := func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }
		s := scriptedSim(t, rpc.BreakerConfig{}, nil, refuse)
		begun := time.Now()
		for s.Do(t.Context(), anyCharge); s.Breaker().State() == BreakerClosed; s.Do(t.Context(), anyCharge) {
			if time.Since(begun) > 15*time.Second {
				t.Fatalf("it is closed, %s after the provider went down", time.Since(begun))
			}
			<-time.After(2500 * time.Millisecond)
		}
	})
}

func TestBreaker_NoDeclinedCardEverOpensIt(t *testing.T) {
	t.Parallel()
	psp, err := pspsim.Start(t.Context(), pspsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var changes atomic.Int32
	in := quiet()
	in.OnBreakerChange = func(BreakerState, BreakerState) { changes.Add(1) }
	s, err := NewSim(SimConfig{URL: psp.URL(), Timeout: time.Minute, Breaker: rpc.BreakerConfig{MinimumCalls: 1, FailureRatio: 0.001}}, in)
	if err != nil {
		t.Fatal(err)
	}
	methods := []string{"pm_declined", "pm_lost_card", "pm_expired_card", "pm_none"}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 100 {
				r := anyCharge
				r.Key, r.PaymentMethod = fmt.Sprintf("%d/%d", worker, i), methods[i%len(methods)]
				if got := s.Do(t.Context(), r); got.Kind != Declined && got.Kind != MethodUnknown {
					t.Errorf("%s: got %s, error %v", r.PaymentMethod, got.Kind, got.Err)
				}
			}
		})
	}
	all.Wait()
	if got := s.Breaker().State(); got != BreakerClosed || changes.Load() != 0 {
		t.Errorf("it is %s, after %d changes; want that declines never open it", got, changes.Load())
	}
}
