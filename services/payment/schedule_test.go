package payment

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/pspsim"
)

var (
	schedules    = flag.Int("payment.schedules", 150, "how many random schedules of faults are run")
	scheduleFrom = flag.Uint64("payment.from", 1, "the first of their seeds")
	scheduleSeed = flag.Uint64("payment.seed", 0, "run the schedule of this seed alone")
)

// Of the runner: how many rigs are in use at once, and how many schedules one takes, so that its database stays small.
const (
	scheduleRigs  = 4
	scheduleBatch = 100
)

// Whatever goes wrong, in any order: once the faults are over all comes to an end, nobody is charged twice, the provider
// agrees with the books, and every request is answered as it was before.
func TestSchedule_NoSequenceOfFaultsChargesTwice(t *testing.T) {
	t.Parallel()
	first, last := *scheduleFrom, *scheduleFrom+uint64(*schedules)-1
	if *scheduleSeed != 0 {
		first, last = *scheduleSeed, *scheduleSeed
	}
	batch := min(scheduleBatch, (last-first)/scheduleRigs+1)
	starts := make(chan uint64)
	var running sync.WaitGroup
	for range scheduleRigs {
		running.Go(func() {
			for from := range starts {
				to := min(from+batch-1, last)
				t.Run(fmt.Sprintf("seeds %d to %d", from, to), func(t *testing.T) { runSchedules(t, from, to) })
			}
		})
	}
	for from := first; from <= last; from += batch {
		starts <- from
	}
	close(starts)
	running.Wait()
}

// runSchedules runs the schedules of seeds on a rig.
func runSchedules(t *testing.T, from, to uint64) {
	r := newRig(t)
	for seed := from; seed <= to && !t.Failed(); seed++ {
		newSchedule(r, seed).run(t)
	}
	for _, wrong := range r.broken(t) {
		t.Error(wrong)
	}
}

// schedule is what a seed draws: steps, about one or two payments.
type schedule struct {
	*rig
	*rand.Rand
	seed     uint64
	subjects []*subject
	steps    []scheduled
	aged     bool // past the lifetime of the provider's keys

	sleeping sync.WaitGroup
	mu       sync.Mutex
	late     []func() // takes in the answers of those who slept
}

// scheduled is one of its steps.
type scheduled struct {
	name string
	run  func(t *testing.T)
}

// newSchedule draws the schedule of a seed.
func newSchedule(r *rig, seed uint64) *schedule {
	x := &schedule{rig: r, Rand: rand.New(rand.NewPCG(seed, 0)), seed: seed}
	for i := range 1 + x.IntN(2) {
		s := r.newSubject(fmt.Sprintf("seed-%d-%c", seed, 'a'+i))
		s.opens = []method{methodCharge, methodAuthorize}[x.IntN(2)]
		if x.IntN(10) == 0 {
			s.paymentMethod = "pm_declined"
		}
		x.subjects = append(x.subjects, s)
	}
	for range 5 + x.IntN(8) {
		x.draw()
	}
	return x
}

func (x *schedule) add(run func(t *testing.T), name string, args ...any) {
	x.steps = append(x.steps, scheduled{fmt.Sprintf(name, args...), run})
}

// oneOf draws one.
func oneOf[E any](x *schedule, all ...E) E { return all[x.IntN(len(all))] }

// drawWish draws what is asked for of a subject; what makes its payment the most often.
func (x *schedule) drawWish() *wish {
	s := oneOf(x, x.subjects...)
	undo := methodRefund
	if s.opens == methodAuthorize {
		undo = methodVoid
	}
	menu := []wish{
		{method: s.opens, name: opening, amount: total}, {method: s.opens, name: opening, amount: total},
		{method: undo, name: opening},
		{method: methodRefundPayment, name: "part-1", amount: 300}, {method: methodRefundPayment, name: "part-2", amount: 500},
		{method: methodRefundPayment, name: "rest"}, {method: methodRefundPayment, name: "too-much", amount: 1100},
	}
	if s.opens == methodAuthorize {
		menu = append(menu, wish{method: s.opens, name: opening, amount: total},
			wish{method: methodCapture, name: "capture-1", amount: 1000}, wish{method: methodCapture, name: "capture-1", amount: 1000},
			wish{method: methodCapture, name: "capture-2"}, wish{method: methodVoidPayment, name: "void-1"})
	}
	w := oneOf(x, menu...)
	if len(s.wishes) == 0 && x.IntN(8) > 0 {
		w = menu[0]
	}
	return s.wish(w.method, w.name, w.amount)
}

// draw draws a step.
func (x *schedule) draw() {
	on := x.IntN(len(x.on))
	switch n := x.IntN(100); {
	case n < 28:
		w := x.drawWish()
		x.add(func(t *testing.T) { x.asks(t, on, w, 1) }, "process %d is asked for %s", on, w)
	case n < 36:
		w := x.drawWish()
		x.add(func(t *testing.T) { x.asks(t, on, w, 3) }, "both are asked thrice at once for %s", w)
	case n < 39:
		w := x.drawWish()
		x.add(func(t *testing.T) { x.asksOther(t, on, w) }, "process %d is asked for something else under the key of %s", on, w)
	case n < 60:
		x.drawFault()
	case n < 72:
		x.drawSleep(on)
	case n < 76:
		x.add(x.wake, "who sleeps wakes")
	case n < 82:
		x.add(func(t *testing.T) { x.resolve(t, x.on[on]) }, "process %d resolves", on)
	case n < 88:
		shuffle := x.Uint64()
		x.add(func(t *testing.T) { x.deliverSome(t, on, shuffle) }, "process %d gets webhooks, shuffled by %d", on, shuffle)
	case n < 91:
		s := oneOf(x, x.subjects...)
		x.add(func(t *testing.T) { x.inquire(t, s) }, "an operator inquires about %s", s.reference)
	default:
		by := oneOf(x, 10*time.Second, 10*time.Second, 10*time.Second, 10*time.Second, 20*time.Hour, 26*time.Hour)
		x.aged = x.aged || by > time.Hour
		x.add(func(t *testing.T) { x.pass(t, by) }, "%s pass", by)
	}
}

// drawFault draws something that goes wrong next, alone or with what asks for it.
func (x *schedule) drawFault() {
	lost := []mishap{lostBefore, lostAfter}
	died := []mishap{diedBefore, diedAfter}
	var o ordered
	switch x.IntN(8) {
	case 0, 1:
		o = ordered{atDo, oneOf(x, lost...)}
	case 2:
		o = ordered{atDo, oneOf(x, append(died, notSent, refuses)...)}
	case 3:
		o = ordered{oneOf(x, atIntent, atOutcome), oneOf(x, append(died, lost...)...)}
	case 4:
		o = ordered{atFinding, oneOf(x, lost...)}
	case 5:
		o = ordered{atLookUp, oneOf(x, lostAfter, notSent)}
	default:
		f := pspsim.Fault{
			Kind:  oneOf(x, pspsim.FaultErrorBefore, pspsim.FaultErrorAfter, pspsim.FaultRateLimited, pspsim.FaultMalformed, pspsim.FaultSlow, pspsim.FaultDecline),
			Op:    oneOf(x, "", pspsim.TypeCharge, pspsim.TypeAuthorize, pspsim.TypeCapture, pspsim.TypeRefund, pspsim.TypeVoid),
			Count: 1 + x.IntN(2), DelayMillis: 5,
		}
		x.add(func(t *testing.T) {
			if err := x.psp.Inject(f); err != nil {
				t.Error(err)
			}
		}, "the provider: %d times %s %s", f.Count, f.Kind, f.Op)
		return
	}
	x.add(func(*testing.T) { x.orders.add(o.at, o.how) }, "the next %s is %s", o.at, o.how)
}

// drawSleep draws somebody who falls asleep in the middle, and goes on later.
func (x *schedule) drawSleep(on int) {
	o := oneOf(x, ordered{atDo, heldBefore}, ordered{atDo, heldAfter}, ordered{atDo, heldAfter}, ordered{atLookUp, heldAfter})
	if x.IntN(3) == 0 {
		x.add(func(t *testing.T) {
			x.sleep(ordered{atLookUp, heldAfter}, func() func() { x.resolve(t, x.on[on]); return func() {} })
		}, "process %d resolves, and falls asleep after the first look-up", on)
		return
	}
	w := x.drawWish()
	x.add(func(t *testing.T) {
		x.expireAll(t)
		ask := x.asking(t, on, w, 1)
		x.sleep(o, func() func() {
			got := ask()
			return func() { w.answers = append(w.answers, got...) }
		})
	}, "process %d is asked for %s, at the %s %s", on, w, o.at, o.how)
}

// run runs the steps, ends the faults, and fails the test unless all comes to a right end.
func (x *schedule) run(t *testing.T) {
	for _, s := range x.steps {
		s.run(t)
	}
	x.wake(t)
	x.heal()
	quiet := x.settles(t)
	for range 6 {
		if quiet {
			break
		}
		quiet = x.settles(t)
	}
	var wrong, stories []string
	if !quiet {
		wrong = append(wrong, "it does not come to an end")
	}
	for _, s := range x.subjects {
		wrong = append(wrong, x.wrongs(t, s)...)
		stories = append(stories, x.story(t, s))
	}
	if len(wrong) > 0 || t.Failed() {
		t.Errorf("%s\n%s\n%s", strings.Join(wrong, "\n"), x, strings.Join(stories, ""))
	}
}

// String is the program, and how it is run again.
func (x *schedule) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "seed %d: go test ./services/payment -run Schedule -payment.seed=%d\n", x.seed, x.seed)
	for _, s := range x.subjects {
		fmt.Fprintf(&out, "  %s is made by %s with %s\n", s.reference, s.opens, s.paymentMethod)
	}
	for i, s := range x.steps {
		fmt.Fprintf(&out, "  %2d %s\n", i+1, s.name)
	}
	return out.String()
}

// settles has everybody find out, and all be asked for again; it tells whether nothing is left to find out.
func (x *schedule) settles(t *testing.T) (quiet bool) {
	x.pass(t, 10*time.Second)
	x.resolve(t, x.on[0])
	quiet = true
	for _, s := range x.subjects {
		x.deliverAll(t, x.on[1], s)
		var without []answer
		for _, w := range s.wishes {
			if a := x.ask(t, 0, w, 1); !a.definite() {
				without = append(without, a)
			}
		}
		for _, a := range without {
			quiet = quiet && x.excused(t, s, a)
		}
		quiet = !x.age(t, s, 0) && quiet
	}
	return quiet
}

// excused tells whether there is no answer for good reason: nobody can ask, or what was asked for has certainly not happened,
// and is not sent again as the provider may have forgotten the key.
func (x *schedule) excused(t *testing.T, s *subject, a answer) bool {
	p := x.account(t, s).payment
	if p == nil {
		return errors.Is(a.err, errNoPayment)
	}
	return x.aged && a.refusedWith(rpcerr.PaymentOutcomeUnknown) && p.Last.State == opCreated && p.Last.Sends > 0
}

// expireAll ends the leases of all requests.
func (x *schedule) expireAll(t *testing.T) {
	for _, s := range x.subjects {
		x.expire(t, s)
	}
}

// pass has time pass, here and at the provider.
func (x *schedule) pass(t *testing.T, by time.Duration) {
	if by > time.Hour {
		x.ahead.Add(int64(by))
	}
	for _, s := range x.subjects {
		x.age(t, s, by)
	}
}

// asks asks for a wish. Who died, or sleeps, does not work on it any more.
func (x *schedule) asks(t *testing.T, on int, w *wish, times int) {
	x.expireAll(t)
	x.ask(t, on, w, times)
}

// asksOther asks for something else under a key that is in use.
func (x *schedule) asksOther(t *testing.T, on int, w *wish) {
	inUse := pgtest.Column[bool](t, x.db, `SELECT EXISTS (SELECT FROM idem WHERE method = $1 AND key = $2)`, string(w.method), w.key())[0]
	if !inUse || w.method == methodRefund || w.method == methodVoid || w.method == methodVoidPayment {
		return // which mean nothing but their key, or their payment
	}
	other := *w
	other.amount++
	for _, a := range x.asking(t, on, &other, 1)() {
		if a.definite() && !a.refusedWith(rpcerr.IdempotencyKeyReused) && !a.refusedWith(rpcerr.StepTombstoned) {
			t.Errorf("another request under the key of %s: got %v", w, a)
		}
	}
}

// sleep has somebody do something and fall asleep in it, unless he does not come to where he would.
func (x *schedule) sleep(o ordered, do func() (late func())) {
	x.orders.first(o.at, o.how)
	over := make(chan struct{})
	x.sleeping.Go(func() {
		defer close(over)
		late := do()
		x.mu.Lock()
		defer x.mu.Unlock()
		x.late = append(x.late, late)
	})
	select {
	case <-x.orders.held:
	case <-over: // and so the answer is there before the next ones
		x.orders.drop(o.at, o.how)
		x.takeIn()
	}
}

// takeIn takes in the answers of those who are through.
func (x *schedule) takeIn() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, takeIn := range x.late {
		takeIn()
	}
	x.late = nil
}

// wake wakes who sleeps, and waits until they are through.
func (x *schedule) wake(*testing.T) {
	x.orders.wake()
	x.sleeping.Wait()
	x.takeIn()
}

// deliverSome delivers some of the webhooks there are, in any order, and again.
func (x *schedule) deliverSome(t *testing.T, on int, shuffle uint64) {
	chance := rand.New(rand.NewPCG(shuffle, 0))
	all := slices.Clone(x.since(t, x.subjects[0].since))
	chance.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, body := range all[:chance.IntN(len(all)+1)] {
		for range 1 + chance.IntN(2) {
			x.on[on].deliver(t, body)
		}
	}
	x.applyAll(t, x.on[on])
}
