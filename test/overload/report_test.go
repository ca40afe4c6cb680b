package overload

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// errNotSent is a call that the generator could not send any more.
var errNotSent = errors.New("the generator has too many calls out")

// result is what came of one load.
type result struct {
	load    float64
	began   time.Time
	lasted  time.Duration
	goodput float64   // orders that ended a second
	memory  int64     // of the process, in bytes, at the most
	live    []float64 // orders under way, second by second

	mu      sync.Mutex
	answers map[string]*answers
	seconds []second // by when a new order was due
}

// second is what came of the new orders that were due in a second.
type second struct {
	done   []time.Duration
	others int // refused, or failed
}

// answers are what came of the calls of a class, with how long each took.
type answers struct {
	done, refused []time.Duration
	failed        map[string]int
}

func newResult(load float64, d time.Duration) *result {
	r := &result{load: load, began: time.Now(), lasted: d, answers: map[string]*answers{}, seconds: make([]second, int(d.Seconds())+1)}
	for _, c := range classes {
		r.answers[c.name] = &answers{failed: map[string]int{}}
	}
	return r
}

// note takes note of a call that was due at a time and has ended.
func (r *result) note(class string, due time.Time, err error) {
	took := time.Since(due)
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.answers[class]
	if class == "new" {
		r.seconds[min(int(due.Sub(r.began).Seconds()), len(r.seconds)-1)].note(took, err)
	}
	switch {
	case err == nil:
		a.done = append(a.done, took)
	case refused(err):
		a.refused = append(a.refused, took)
	case errors.Is(err, errNotSent):
		a.failed["not sent"]++
	default:
		a.failed[err.Error()]++
	}
}

func (s *second) note(took time.Duration, err error) {
	if err != nil {
		s.others++
		return
	}
	s.done = append(s.done, took)
}

// normalAfter is how long it took until everything was as under a calm load, and stayed so: 98 in 100 orders accepted, half
// of them in a time that 99 in 100 need at most in calm, and at most twice as many under way as there. False when it never was.
func (r *result) normalAfter(calm *result) (time.Duration, bool) {
	longest, most := quantile(calm.answers["new"].done, 99), 2*slices.Max(calm.live)
	after := 0
	for i := range len(r.live) {
		s := r.seconds[i]
		if s.others*50 > len(s.done)+s.others || quantile(s.done, 50) > longest || r.live[i] > most {
			after = i + 1
		}
	}
	return time.Duration(after) * time.Second, after < len(r.live)
}

func (a *answers) sent() int {
	n := len(a.done) + len(a.refused)
	for _, m := range a.failed {
		n += m
	}
	return n
}

// quantile of durations, in percent; 0 of none.
func quantile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)*p/100]
}

// percentile of durations, in milliseconds.
func percentile(all []time.Duration, p int) string {
	if len(all) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", float64(quantile(all, p).Microseconds())/1000)
}

// report is all loads of a run.
type report struct {
	capacity float64
	phases   []*result
	ended    float64 // orders, by the time all had come to rest
}

// String is the report as a table of Markdown.
func (r *report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Capacity: %.0f orders a second.\n\n", r.capacity)
	b.WriteString("| load | goodput /s | of capacity | memory MiB | class | sent /s | done | refused | failed | done p50 ms | p99 | refused p50 | p99 |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range r.phases {
		for i, c := range classes {
			whole := "| | | | "
			if i == 0 {
				whole = fmt.Sprintf("| %g× | %.0f | %.0f %% | %d ", p.load, p.goodput, 100*p.goodput/r.capacity, p.memory>>20)
			}
			a := p.answers[c.name]
			failed := 0
			for _, n := range a.failed {
				failed += n
			}
			fmt.Fprintf(&b, "%s| %s | %.0f | %d | %d | %d | %s | %s | %s | %s |\n", whole, c.name, float64(a.sent())/p.lasted.Seconds(),
				len(a.done), len(a.refused), failed, percentile(a.done, 50), percentile(a.done, 99), percentile(a.refused, 50), percentile(a.refused, 99))
		}
	}
	if first, last := r.phases[0], r.phases[len(r.phases)-1]; last.load == first.load && last != first {
		if after, is := last.normalAfter(first); is {
			fmt.Fprintf(&b, "\nEverything was normal again %v after the last overload.\n", after)
		} else {
			fmt.Fprintf(&b, "\nNot everything was normal again %v after the last overload.\n", last.lasted)
		}
	}
	return b.String()
}

func (r *report) print(t *testing.T) {
	t.Helper()
	t.Log("\n" + r.String())
	for _, p := range r.phases {
		for _, c := range classes {
			if failed := p.answers[c.name].failed; len(failed) > 0 {
				t.Logf("at %g×, class %s failed: %v", p.load, c.name, failed)
			}
		}
	}
}

// telling is how long a load has to last to say whether orders end meanwhile: those that came first go through their steps together, so
// that on a slow machine none ends for seconds.
const telling = 10 * time.Second

// check holds what must hold on any machine: what finishes something gets through, orders go on being worked off, and each that was
// accepted has ended. How fast that is, the table says.
func (r *report) check(t *testing.T) {
	t.Helper()
	accepted := 0
	for _, p := range r.phases {
		accepted += len(p.answers["new"].done)
		if a := p.answers["finish"]; len(a.refused)*200 > a.sent() {
			t.Errorf("at %g×, %d of %d calls that finish something were refused", p.load, len(a.refused), a.sent())
		}
		if p.goodput <= 0 && p.lasted >= telling {
			t.Errorf("at %g×, no order ended", p.load)
		}
	}
	if r.ended < float64(accepted) {
		t.Errorf("%.0f of %d accepted orders ended", r.ended, accepted)
	}
}
