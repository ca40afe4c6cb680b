package saga

import (
	"math"
	"slices"
	"testing"
	"time"
)

// twin is the engine written a second time, to be compared with: it keeps no state, and answers every question by
// reading the whole history again, mostly backwards.
type twin struct {
	def    Definition
	events []Event
}

// last is the index of the last event of some types, of a step or (empty) of any; -1 for none.
func (w twin) last(step string, types ...EventType) int {
	for i, e := range slices.Backward(w.events) {
		if slices.Contains(types, e.Type) && (step == "" || e.Step == step) {
			return i
		}
	}
	return -1
}

func (w twin) turnedAt() int { return w.last("", CompensationDecided) }

func (w twin) paused() bool { return w.last("", SagaPaused) > w.last("", SagaResumed) }

func (w twin) phase() Phase {
	switch {
	case w.last("", SagaCompleted) >= 0:
		return Completed
	case w.last("", SagaCompensated) >= 0:
		return Compensated
	case w.last("", SagaParked) > w.last("", SagaRetried, StepResolved, StepRuledOut, StepSkipped, CompensationDecided):
		return Parked
	case w.turnedAt() >= 0:
		return Compensating
	}
	return Running
}

// forward is the history up to where the saga turned back.
func (w twin) forward() twin {
	if i := w.turnedAt(); i >= 0 {
		return twin{w.def, w.events[:i]}
	}
	return w
}

// reached is the step that was open last, or len(def.Steps) when all are done.
func (w twin) reached() int {
	n := 0
	for _, e := range w.forward().events {
		if e.Type == StepDone || e.Type == StepResolved || e.Type == StepSkipped {
			n++
		}
	}
	return n
}

// refused tells whether the step that was open last is known not to have happened.
func (w twin) refused() bool {
	if w.reached() == len(w.def.Steps) {
		return false
	}
	f, step := w.forward(), w.def.Steps[w.reached()].Name
	return f.last(step, StepRefused, StepRuledOut) > f.last("", SagaRetried)
}

// inDoubt tells whether the last that was heard of the open step is that nobody knows.
func (w twin) inDoubt(step Step) bool {
	heard := w.last(step.Name, StepUnknown, StepNotFound, StepRefused, StepRuledOut)
	return step.Lookup != "" && heard >= 0 && w.events[heard].Type == StepUnknown
}

// toUndo is the step to be compensated next, -1 for none.
func (w twin) toUndo() int {
	back := twin{w.def, w.events[w.turnedAt():]}
	for i := min(w.reached(), len(w.def.Steps)-1); i >= 0; i-- {
		step := w.def.Steps[i]
		if step.Compensate != "" && (i != w.reached() || !w.refused()) &&
			back.last(step.Name, StepCompensated, StepResolved, StepSkipped) < 0 {
			return i
		}
	}
	return -1
}

// count is how often something happened to a step since a person last gave new patience.
func (w twin) count(t EventType, step string) (n int) {
	for _, e := range w.events[w.last("", SagaRetried)+1:] {
		if e.Type == t && e.Step == step {
			n++
		}
	}
	return n
}

// pending tells whether the last that was heard of a step, since a person last gave new patience, is that it is pending.
func (w twin) pending(t EventType, step string) bool {
	for _, e := range slices.Backward(w.events) {
		if e.Step == step || e.Type == SagaRetried {
			return e.Type == t
		}
	}
	return false
}

// next says what the engine should do: what, to which step, until when, and the type of the event to record.
func (w twin) next(now time.Time) (op Op, step int, until time.Time, record EventType) {
	phase, due := w.phase(), w.events[len(w.events)-1].RetryAt
	if w.paused() || phase == Parked || phase == Completed || phase == Compensated {
		return 0, 0, time.Time{}, ""
	}
	if phase == Compensating {
		switch i := w.toUndo(); {
		case i < 0:
			return Record, 0, time.Time{}, SagaCompensated
		case now.Before(due):
			return Wait, 0, due, ""
		default:
			return Compensate, i, time.Time{}, ""
		}
	}
	i := w.reached()
	if i == len(w.def.Steps) {
		return Record, 0, time.Time{}, SagaCompleted
	}
	if w.refused() {
		return Record, 0, time.Time{}, CompensationDecided
	}
	if w.def.Steps[i].Kind == Compensatable {
		deadline := w.events[0].At.Add(w.def.Deadline)
		if !now.Before(deadline) {
			return Record, 0, time.Time{}, CompensationDecided
		}
		if due.After(deadline) {
			due = deadline
		}
	}
	if now.Before(due) {
		return Wait, 0, due, ""
	}
	if w.inDoubt(w.def.Steps[i]) {
		return LookUp, i, time.Time{}, ""
	}
	return Execute, i, time.Time{}, ""
}

// outcome says which events an outcome should become, and when it is asked again (zero for not, or at once).
func (w twin) outcome(c Command, o Outcome, now time.Time, jitter float64) (types []EventType, again time.Time) {
	step := w.def.Steps[c.Step]
	r, unknown, pending := step.Forward, StepUnknown, StepPending
	if c.Op == Compensate {
		r, unknown, pending = step.Back, CompensationUnknown, CompensationPending
	}
	wait := func(factor, most float64, n int) time.Time {
		w := time.Duration(jitter * min(float64(r.Initial)*math.Pow(factor, float64(n)), most))
		return now.Add(max(w, o.RetryAfter))
	}
	switch o.Kind {
	case Success:
		return w.succeeded(c.Op, c.Step), time.Time{}
	case Denied:
		return []EventType{SagaParked}, time.Time{}
	case Pending:
		if w.pending(pending, step.Name) {
			return nil, time.Time{}
		}
		return []EventType{pending}, wait(r.Factor, float64(r.Max), 0)
	case Unknown:
		n := w.count(unknown, step.Name)
		switch {
		case n+1 < r.Attempts:
			return []EventType{unknown}, wait(r.Factor, float64(r.Max), n)
		case c.Op != Compensate && step.Kind == Compensatable:
			return w.turned(unknown, step.Compensate != "", c.Step), time.Time{}
		}
		return []EventType{unknown, SagaParked}, time.Time{}
	case NotFound:
		if c.Op == LookUp {
			return []EventType{StepNotFound}, time.Time{}
		}
	}
	switch {
	case c.Op == Compensate:
		return []EventType{SagaParked}, time.Time{}
	case step.Kind == Retriable:
		return []EventType{StepRefused, SagaParked}, time.Time{}
	}
	return w.turned(StepRefused, false, c.Step), time.Time{}
}

func (w twin) succeeded(op Op, step int) []EventType {
	if op != Compensate {
		if step == len(w.def.Steps)-1 {
			return []EventType{StepDone, SagaCompleted}
		}
		return []EventType{StepDone}
	}
	for _, earlier := range w.def.Steps[:step] {
		if earlier.Compensate != "" {
			return []EventType{StepCompensated}
		}
	}
	return []EventType{StepCompensated, SagaCompensated}
}

// turned is what happens when the saga turns back at a step; it ends there if nothing is to be undone.
func (w twin) turned(why EventType, undoStep bool, step int) []EventType {
	for _, earlier := range w.def.Steps[:step] {
		undoStep = undoStep || earlier.Compensate != ""
	}
	if undoStep {
		return []EventType{why, CompensationDecided}
	}
	return []EventType{why, CompensationDecided, SagaCompensated}
}

func TestTwin_CommandsAndConcludesTheSame(t *testing.T) {
	t.Parallel()
	plays(t, func(p *play) func() {
		p.next = func(todo []Command) {
			w := twin{p.def, p.history}
			if got := w.phase(); got != p.s.Phase {
				p.t.Fatalf("the saga is %s, its twin %s:\n%v", p.s.Phase, got, p.history)
			}
			var c Command
			if len(todo) > 0 {
				c = todo[0]
			}
			op, step, until, record := w.next(p.now)
			if len(todo) > 1 || c.Op != op || c.Step != step || !c.Until.Equal(until) || c.Event.Type != record {
				p.t.Fatalf("the saga wants %+v, its twin to %s step %d until %s, recording %q:\n%v", todo, op, step, until, record, p.history)
			}
		}
		p.outcome = func(c Command, o Outcome, jitter float64, events []Event) {
			want, again := twin{p.def, p.history}.outcome(c, o, p.now, jitter)
			var got []EventType
			for _, e := range events {
				got = append(got, e.Type)
			}
			var retryAt time.Time
			if len(events) > 0 {
				retryAt = events[0].RetryAt
			}
			// Powers and repeated products differ in the last bits.
			if late := retryAt.Sub(again).Abs(); !slices.Equal(got, want) || late > time.Microsecond {
				p.t.Fatalf("%s of %s: %s becomes %v, again at %s, and with its twin %v, again at %s:\n%v",
					c.Op, p.def.Steps[c.Step].Name, o.Kind, got, retryAt, want, again, p.history)
			}
		}
		return func() { p.next(Next(p.def, p.s, p.now)) }
	})
}
