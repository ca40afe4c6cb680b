package saga

import (
	"slices"
	"testing"
)

// The properties below look at what was sent and at what really happened. The engine's own state is believed for
// its phase only.

func TestSaga_ComesToAnEndThatIsTrue(t *testing.T) {
	t.Parallel()
	plays(t, func(p *play) func() {
		return func() {
			for i, step := range p.def.Steps {
				w := p.truth[i]
				switch {
				case p.s.Phase == Completed && !w.applied && !w.excused:
					p.t.Fatalf("completed, and step %s is not in effect:\n%v", step.Name, p.history)
				case p.s.Phase == Compensated && (w.applied || w.late) && !w.excused && (step.Compensate != "" || step.Kind != Compensatable):
					p.t.Fatalf("compensated, and step %s is or may come into effect:\n%v", step.Name, p.history)
				}
			}
			if (p.s.Phase == Parked || p.s.Phase == Compensated) && p.s.Cause == "" {
				p.t.Fatalf("%s without a cause", p.s.Phase)
			}
		}
	})
}

// opened are the steps that were opened before the saga turned back, and that nobody knows not to have happened, from
// the history alone.
func opened(def Definition, history []Event) map[int]bool {
	open := map[int]bool{0: true}
	for _, e := range history {
		i := def.index(e.Step)
		switch e.Type {
		case CompensationDecided:
			return open
		case StepDone, StepResolved, StepSkipped:
			open[i], open[i+1] = true, true
		case StepRefused, StepRuledOut:
			delete(open, i)
		case SagaRetried: // reopens what was refused
			open[slices.Max(append(doneSteps(def, history[:e.Seq]), -1))+1] = true
		}
	}
	return open
}

func doneSteps(def Definition, history []Event) (done []int) {
	for _, e := range history {
		if e.Type == StepDone || e.Type == StepResolved || e.Type == StepSkipped {
			done = append(done, def.index(e.Step))
		}
	}
	return done
}

func TestSaga_CompensatesWhatMayHaveHappenedInReverse(t *testing.T) {
	t.Parallel()
	plays(t, func(p *play) func() {
		var asked []int // the steps whose compensation was asked for, in order, each once
		p.next = func(todo []Command) {
			if len(todo) > 0 && todo[0].Op == Compensate && !slices.Contains(asked, todo[0].Step) {
				asked = append(asked, todo[0].Step)
			}
		}
		return func() {
			if p.s.Phase != Compensated {
				return
			}
			var want []int
			may := opened(p.def, p.history)
			for i, step := range slices.Backward(p.def.Steps) {
				settled := func(e Event) bool { // by a person, perhaps before it was asked for
					return e.Step == step.Name && (e.Type == StepResolved || e.Type == StepSkipped)
				}
				byPerson := slices.ContainsFunc(p.history[decision(p.history):], settled)
				if step.Compensate != "" && may[i] && (!byPerson || slices.Contains(asked, i)) {
					want = append(want, i)
				}
			}
			if !slices.Equal(asked, want) {
				p.t.Fatalf("compensated steps %v, want %v:\n%v", asked, want, p.history)
			}
		}
	})
}

// decision is the index of the decision to compensate, -1 for none.
func decision(history []Event) int {
	return slices.IndexFunc(history, func(e Event) bool { return e.Type == CompensationDecided })
}

func TestSaga_NeverTurnsBackFromThePivot(t *testing.T) {
	t.Parallel()
	plays(t, func(p *play) func() {
		check := func() {
			for i, step := range p.def.Steps {
				w := p.truth[i]
				if step.Kind != Compensatable && p.decided() && (w.applied || w.late) {
					p.t.Fatalf("has turned back, and step %s, %s, is or may come into effect:\n%v", step.Name, step.Kind, p.history)
				}
			}
		}
		p.next = func([]Command) { check() }
		return check
	})
}

func TestSaga_DecidesBeforeItCompensates(t *testing.T) {
	t.Parallel()
	plays(t, func(p *play) func() {
		p.next = func(todo []Command) {
			if len(todo) == 0 || todo[0].Op != Compensate {
				return
			}
			if i := decision(p.history); i < 0 || p.history[i].Cause == "" {
				p.t.Fatalf("compensates without a decision that has a cause:\n%v", p.history)
			}
		}
		return func() {
			decisions := 0
			for _, e := range p.history {
				if e.Type == CompensationDecided {
					decisions++
				}
			}
			if decisions > 1 {
				p.t.Fatalf("turned back %d times:\n%v", decisions, p.history)
			}
		}
	})
}

func TestSaga_BoundsTheAttempts(t *testing.T) {
	t.Parallel()
	plays(t, func(p *play) func() {
		return func() {
			type tried struct {
				kind EventType
				step string
			}
			unknown := map[tried]int{}
			for _, e := range p.history {
				if e.Type == SagaRetried {
					clear(unknown)
				}
				if e.Type != StepUnknown && e.Type != CompensationUnknown {
					continue
				}
				step, key := p.def.Steps[p.def.index(e.Step)], tried{e.Type, e.Step}
				most := step.Forward.Attempts
				if e.Type == CompensationUnknown {
					most = step.Back.Attempts
				}
				if unknown[key]++; unknown[key] > most {
					p.t.Fatalf("%s of step %s more than %d times:\n%v", e.Type, e.Step, most, p.history)
				}
			}
		}
	})
}

func TestSaga_SendsNothingTooEarlyNorTooLate(t *testing.T) {
	t.Parallel()
	plays(t, func(p *play) func() {
		p.next = func(todo []Command) {
			if len(todo) == 0 || todo[0].Op == Wait || todo[0].Op == Record {
				return
			}
			c := todo[0]
			if last := p.history[len(p.history)-1]; p.now.Before(last.RetryAt) {
				p.t.Fatalf("wants to %s at %s, and was to wait until %s", c.Op, p.now, last.RetryAt)
			}
			if deadline := epoch.Add(p.def.Deadline); c.Op == Execute && p.def.Steps[c.Step].Kind == Compensatable && !p.now.Before(deadline) {
				p.t.Fatalf("wants to execute %s at %s, past the deadline of %s", p.def.Steps[c.Step].Name, p.now, deadline)
			}
		}
		p.outcome = func(_ Command, o Outcome, _ float64, events []Event) {
			if len(events) == 0 {
				return
			}
			if e := events[0]; !e.RetryAt.IsZero() && e.RetryAt.Before(p.now.Add(o.RetryAfter)) {
				p.t.Fatalf("asks again at %s, and was asked at %s for %s of peace", e.RetryAt, p.now, o.RetryAfter)
			}
		}
		return func() {}
	})
}

func TestSaga_LooksAPivotInDoubtUpBeforeItIsSentAgain(t *testing.T) {
	t.Parallel()
	plays(t, func(p *play) func() {
		inDoubt := func(pivot Step) bool { // the last that was heard of it, but that it is pending, is that nobody knows
			for _, e := range slices.Backward(p.history) {
				if e.Step == pivot.Name && e.Type != StepPending {
					return e.Type == StepUnknown && pivot.Lookup != ""
				}
			}
			return false
		}
		p.next = func(todo []Command) {
			if len(todo) == 0 || todo[0].Op != Execute && todo[0].Op != LookUp {
				return
			}
			if step := p.def.Steps[todo[0].Step]; (todo[0].Op == LookUp) != inDoubt(step) {
				p.t.Fatalf("wants to %s %s, which is in doubt: %v\n%v", todo[0].Op, step.Name, inDoubt(step), p.history)
			}
		}
		return func() {}
	})
}

func TestSaga_PendingCostsNoPatience(t *testing.T) {
	t.Parallel()
	plays(t, func(p *play) func() {
		p.outcome = func(c Command, o Outcome, _ float64, events []Event) {
			if o.Kind != Pending {
				return
			}
			before := p.s.Steps[c.Step]
			if before.Pending {
				if len(events) > 0 {
					p.t.Fatalf("%s of step %d is pending again, and becomes %v:\n%v", c.Op, c.Step, events, p.history)
				}
				return
			}
			e := events[0]
			after, err := Apply(p.def, p.s, e)
			if err != nil || len(events) != 1 || e.Type != StepPending && e.Type != CompensationPending || after.Phase != p.s.Phase ||
				after.Steps[c.Step].Attempts != before.Attempts || after.Steps[c.Step].BackAttempts != before.BackAttempts {
				p.t.Fatalf("%s of step %d is pending, and becomes %v (%v)", c.Op, c.Step, events, err)
			}
			r := p.def.Steps[c.Step].Forward
			if c.Op == Compensate {
				r = p.def.Steps[c.Step].Back
			}
			if longest := max(r.Max, o.RetryAfter); e.RetryAt.After(p.now.Add(longest)) {
				p.t.Fatalf("asks again after %s, want at most %s", e.RetryAt.Sub(p.now), longest)
			}
		}
		return func() {}
	})
}

func TestMoneyAtRisk_IsNeverOverlooked(t *testing.T) {
	t.Parallel()
	plays(t, func(p *play) func() {
		check := func() {
			held, may := false, false // by the truth; and by the history
			for i, step := range p.def.Steps {
				held = held || step.Money && p.truth[i].applied && !p.truth[i].excused
				may = may || step.Money && opened(p.def, p.history)[i]
			}
			stuck := p.s.Phase == Compensating || p.s.Phase == Parked
			if got := p.s.MoneyAtRisk(p.def); got && (!stuck || !may) || !got && stuck && held {
				p.t.Fatalf("%s, money held: %v, may be held: %v, and money at risk is %v:\n%v", p.s.Phase, held, may, got, p.history)
			}
		}
		p.next = func([]Command) { check() }
		return check
	})
}
