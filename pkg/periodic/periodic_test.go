package periodic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/periodic"
)

// round is what a duty under test does in one round.
type round func(ctx context.Context) (again bool, err error)

func idle(context.Context) (bool, error) { return false, nil }

func failing(message string) round {
	return func(context.Context) (bool, error) { return false, errors.New(message) }
}

// probe runs a duty in a synctest bubble and records when its rounds start.
type probe struct {
	periodic.Duty
	rounds chan time.Time // start of each round
	log    bytes.Buffer   // read it after stop
	cancel context.CancelFunc
	done   chan error
}

// start runs a duty whose first rounds are the given ones and whose further rounds are the last of them.
func start(t *testing.T, duty periodic.Duty, rounds ...round) *probe {
	t.Helper()
	p := &probe{Duty: duty, rounds: make(chan time.Time, 1000), done: make(chan error, 1)}
	p.Name = "sweep"
	p.Log = slog.New(slog.NewJSONHandler(&p.log, nil))
	p.RunOnce = func(ctx context.Context) (bool, error) {
		p.rounds <- time.Now()
		next := rounds[0]
		if len(rounds) > 1 {
			rounds = rounds[1:]
		}
		return next(ctx)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p.cancel = cancel
	go func() { p.done <- p.Run(ctx) }()
	return p
}

// stop ends the duty and requires that it ends without error and without delay.
func (p *probe) stop(t *testing.T) {
	t.Helper()
	before := time.Now()
	p.cancel()
	if err := <-p.done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if took := time.Since(before); took != 0 {
		t.Errorf("Run returned %v after its context ended", took)
	}
}

// intervals waits for n+1 rounds and returns the times between them.
func (p *probe) intervals(n int) []time.Duration {
	var gaps []time.Duration
	last := <-p.rounds
	for range n {
		next := <-p.rounds
		gaps = append(gaps, next.Sub(last))
		last = next
	}
	return gaps
}

// near tells whether d is want give or take the 10 % of jitter.
func near(d, want time.Duration) bool {
	return d >= want*9/10 && d <= want*11/10
}

type line struct {
	Level, Msg, Duty, Error, Stack string
	FailedRounds                   int `json:"failed_rounds"`
}

func (p *probe) lines(t *testing.T) []line {
	t.Helper()
	var lines []line
	for dec := json.NewDecoder(&p.log); dec.More(); {
		var l line
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestRun_StartsAtOnceAndThenEveryPeriodWithJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := start(t, periodic.Duty{Every: time.Minute}, idle)
		if first := <-p.rounds; first != began {
			t.Errorf("the first round came after %v, want at once", first.Sub(began))
		}
		different := map[time.Duration]bool{}
		for _, gap := range p.intervals(200) {
			if !near(gap, time.Minute) {
				t.Errorf("interval %v, want 1m ±10 %%", gap)
			}
			different[gap] = true
		}
		if len(different) < 100 {
			t.Errorf("200 intervals have only %d different lengths", len(different))
		}
		p.stop(t)
	})
}

func TestRun_GoesOnWithoutWaitingWhileThereIsMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		more := func(context.Context) (bool, error) { return true, nil }
		p := start(t, periodic.Duty{Every: time.Minute}, more, more, idle)
		gaps := p.intervals(3)
		if gaps[0] != 0 || gaps[1] != 0 || !near(gaps[2], time.Minute) {
			t.Errorf("intervals %v, want 0, 0 and about 1m", gaps)
		}
		p.stop(t)
	})
}

func TestRun_StopsThoughThereIsAlwaysMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		rounds := 0
		err := periodic.Duty{Every: time.Minute, RunOnce: func(context.Context) (bool, error) {
			if rounds++; rounds == 3 {
				cancel()
			}
			return true, nil
		}}.Run(ctx)
		if err != nil || rounds != 3 {
			t.Errorf("Run = %v after %d rounds; want nil after 3", err, rounds)
		}
	})
}

func TestRun_WakesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		p := start(t, periodic.Duty{Every: time.Hour, Wake: wake}, idle)
		<-p.rounds
		synctest.Wait()
		sent := time.Now()
		wake <- struct{}{}
		if woken := <-p.rounds; woken != sent {
			t.Errorf("the round came %v after the wake-up, want at once", woken.Sub(sent))
		}
		if next := <-p.rounds; !near(next.Sub(sent), time.Hour) {
			t.Errorf("the round after it came after %v, want about 1h", next.Sub(sent))
		}
		p.stop(t)
	})
}

func TestRun_KeepsAWakeUpThatComesDuringARound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		p := start(t, periodic.Duty{Every: time.Hour, Wake: wake}, func(context.Context) (bool, error) {
			wake <- struct{}{}
			return false, nil
		}, idle)
		if gap := p.intervals(1)[0]; gap != 0 {
			t.Errorf("the next round came after %v, want at once", gap)
		}
		p.stop(t)
	})
}

func TestRun_DoesTogetherWhatComesWithinTheGap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bell := periodic.NewBell()
		p := start(t, periodic.Duty{Every: time.Hour, Wake: bell, Gap: 10 * time.Millisecond}, func(context.Context) (bool, error) {
			bell.Ring()
			return false, nil
		}, idle)
		first := <-p.rounds
		synctest.Wait()
		bell.Ring() // before the round that the first ring was for
		second := <-p.rounds
		if gap := second.Sub(first); gap != 10*time.Millisecond {
			t.Errorf("the next round came after %v, want 10ms", gap)
		}
		third := <-p.rounds
		if gap := third.Sub(second); !near(gap, time.Hour) {
			t.Errorf("one more round came after %v, want about 1h: one is for both rings", gap)
		}
		p.stop(t)
	})
}

func TestRun_DoesNotSpinOnAClosedWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{})
		close(wake)
		p := start(t, periodic.Duty{Every: time.Minute, Wake: wake}, idle)
		gaps := p.intervals(3)
		if !near(gaps[1], time.Minute) || !near(gaps[2], time.Minute) {
			t.Errorf("intervals %v, want about 1m once the channel is seen to be closed", gaps)
		}
		p.stop(t)
	})
}

func TestRun_BacksOffWhileRoundsFail(t *testing.T) {
	t.Parallel()
	const ms, sec = time.Millisecond, time.Second
	tests := []struct {
		every time.Duration
		want  []time.Duration // the last one is after a good round
	}{
		{100 * ms, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 800 * ms, 800 * ms, 800 * ms, 100 * ms}},
		{sec, []time.Duration{sec, 2 * sec, 4 * sec, 8 * sec, 8 * sec, 8 * sec, 8 * sec, sec}},
		{10 * sec, []time.Duration{sec, 2 * sec, 4 * sec, 8 * sec, 16 * sec, 30 * sec, 30 * sec, 10 * sec}},
		{time.Hour, []time.Duration{sec, 2 * sec, 4 * sec, 8 * sec, 16 * sec, 30 * sec, 30 * sec, time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.every.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fail := failing("no route to host")
				p := start(t, periodic.Duty{Every: tt.every}, fail, fail, fail, fail, fail, fail, fail, idle)
				for i, gap := range p.intervals(len(tt.want)) {
					if !near(gap, tt.want[i]) {
						t.Errorf("wait %d = %v, want about %v", i+1, gap, tt.want[i])
					}
				}
				p.stop(t)
			})
		})
	}
}

func TestRun_DoesNotLetWakeShortenTheBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		wake <- struct{}{}
		p := start(t, periodic.Duty{Every: time.Minute, Wake: wake}, failing("down"), idle)
		gaps := p.intervals(2)
		if !near(gaps[0], time.Second) || gaps[1] != 0 {
			t.Errorf("intervals %v, want about 1s, then the wake-up that was kept", gaps)
		}
		p.stop(t)
	})
}

func TestRun_LogsAnErrorOncePerChangeOfMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, periodic.Duty{Every: time.Second},
			failing("down"), failing("down"), failing("denied"), failing("denied"), idle, idle, failing("down"), idle)
		p.intervals(8)
		p.stop(t)
		want := []line{
			{Level: "ERROR", Msg: "duty failed", Duty: "sweep", Error: "down"},
			{Level: "ERROR", Msg: "duty failed", Duty: "sweep", Error: "denied"},
			{Level: "INFO", Msg: "duty recovered", Duty: "sweep", FailedRounds: 4},
			{Level: "ERROR", Msg: "duty failed", Duty: "sweep", Error: "down"},
			{Level: "INFO", Msg: "duty recovered", Duty: "sweep", FailedRounds: 1},
		}
		if diff := cmp.Diff(want, p.lines(t)); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func brokenRound(context.Context) (bool, error) { panic("index out of range") }

func TestRun_SurvivesAPanicAndLogsItsStack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, periodic.Duty{Every: time.Second}, brokenRound, brokenRound, idle)
		gaps := p.intervals(2)
		if !near(gaps[0], time.Second) || !near(gaps[1], 2*time.Second) {
			t.Errorf("intervals %v, want the backoff of an error", gaps)
		}
		p.stop(t)
		lines := p.lines(t)
		if len(lines) != 2 || lines[0].Error != "panic: index out of range" {
			t.Fatalf("log %+v, want one panic and one recovery", lines)
		}
		if !bytes.Contains([]byte(lines[0].Stack), []byte("brokenRound")) {
			t.Errorf("the stack does not name the function that panicked:\n%s", lines[0].Stack)
		}
	})
}

func TestRun_WaitsForTheRoundUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan struct{})
		p := start(t, periodic.Duty{Every: time.Minute}, func(context.Context) (bool, error) {
			<-finish
			return true, nil
		})
		<-p.rounds
		p.cancel()
		synctest.Wait()
		select {
		case <-p.done:
			t.Fatal("Run returned before its round did")
		default:
		}
		close(finish)
		p.stop(t)
		if n := len(p.rounds); n != 0 {
			t.Errorf("%d more rounds after the end of the context", n)
		}
	})
}

func TestRun_LogsFaultsButNotTheInterruptionWhenItEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  func(ctx context.Context) error
		want int
	}{
		{"interrupted", func(ctx context.Context) error { return fmt.Errorf("reading outbox: %w", ctx.Err()) }, 0},
		{"fault", func(context.Context) error { return errors.New("disk full") }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := start(t, periodic.Duty{Every: time.Minute}, func(ctx context.Context) (bool, error) {
					<-ctx.Done()
					return false, tt.err(ctx)
				})
				<-p.rounds
				p.stop(t)
				if lines := p.lines(t); len(lines) != tt.want {
					t.Errorf("log %+v, want %d lines", lines, tt.want)
				}
			})
		})
	}
}

func TestRun_RefusesADutyThatCannotRun(t *testing.T) {
	t.Parallel()
	for name, duty := range map[string]periodic.Duty{
		"no Every":       {RunOnce: idle},
		"negative Every": {Every: -time.Second, RunOnce: idle},
		"no RunOnce":     {Every: time.Second},
	} {
		if err := duty.Run(t.Context()); err == nil {
			t.Errorf("%s: Run returned without an error", name)
		}
	}
}
