package saga

import (
	"fmt"
	"time"
)

// Verb is what a person does to a saga.
type Verb string

// The verbs. Those of steps need evidence.
const (
	// RetryNow tries now what waits, and lets a parked saga go on where it stopped.
	RetryNow Verb = "retry"
	// TurnBack compensates; possible until the pivot may have happened.
	TurnBack Verb = "compensate"
	// Pause stops sending; what is under way is still recorded.
	Pause Verb = "pause"
	// Resume lets a paused saga go on.
	Resume Verb = "resume"
	// Resolve says that the step, or its compensation, took effect.
	Resolve Verb = "resolve"
	// RuleOut says that the open step did not happen and never will; the saga turns back.
	RuleOut Verb = "rule-out"
	// Skip lets the saga go on without the step, or without its compensation.
	Skip Verb = "skip"
)

// Instruction is a verb with who gives it, and why.
type Instruction struct {
	Verb Verb
	// Actor is who gives it.
	Actor string
	// Reason is why.
	Reason string
	// Step is the step that the verb is about: Resolve, RuleOut, Skip.
	Step string
	// Evidence is what the actor relies on: Resolve, RuleOut, Skip.
	Evidence string
}

// eventOf is the event that each verb records.
var eventOf = map[Verb]EventType{
	RetryNow: SagaRetried,
	TurnBack: CompensationDecided,
	Pause:    SagaPaused,
	Resume:   SagaResumed,
	Resolve:  StepResolved,
	RuleOut:  StepRuledOut,
	Skip:     StepSkipped,
}

// Operate says what an instruction means, as the event to be recorded. The error says why it is not possible.
func Operate(def Definition, s State, in Instruction, now time.Time) (Event, error) {
	e := Event{Seq: s.Seq + 1, Type: eventOf[in.Verb], At: now, Detail: Detail{Cause: in.Reason, Actor: in.Actor}}
	if e.Type == "" {
		return Event{}, fmt.Errorf("there is no verb %q", in.Verb)
	}
	switch in.Verb {
	case Resolve, RuleOut, Skip:
		e.Step, e.Evidence = in.Step, in.Evidence
	case TurnBack:
		e.Cause = fmt.Sprintf("decided by %s: %s", in.Actor, in.Reason)
	}
	if s.Phase == Completed || s.Phase == Compensated {
		return Event{}, fmt.Errorf("the saga has ended: it is %s", s.Phase)
	}
	if _, err := Apply(def, s, e); err != nil {
		return Event{}, err
	}
	return e, nil
}

// Explanation says what a saga waits for.
type Explanation struct {
	// Waits is what it waits for.
	Waits string
	// Why is what led to it.
	Why string
	// Unblocks is what makes it go on.
	Unblocks string
}

// Explain says what a saga waits for, why, and what makes it go on.
func Explain(def Definition, s State, now time.Time) Explanation {
	switch {
	case s.Phase == Completed || s.Phase == Compensated:
		return Explanation{Waits: "nothing: it is " + s.Phase.String(), Why: s.Cause}
	case s.Phase == Parked:
		return Explanation{Waits: "a person", Why: s.Cause, Unblocks: s.unblocksParked(def)}
	case s.Paused:
		return Explanation{Waits: "a person: it is paused", Why: s.Cause, Unblocks: "resume"}
	}
	return s.explainLive(def.Steps[s.At()], now)
}

// explainLive explains a saga that is at a step, and goes on by itself.
func (s State) explainLive(step Step, now time.Time) Explanation {
	st, call, waits := s.Steps[s.At()], s.callAt(step), now.Before(s.NextAt)
	e := Explanation{Waits: "the answer of " + call, Why: s.Cause, Unblocks: "its answer, or its timeout"}
	aim := "try " + call + " again"
	switch {
	case st.Doubt:
		aim = "find out what became of " + step.Name
		e.Waits += ", to " + aim
	case st.Pending:
		aim = "ask " + call + " again"
	}
	if waits {
		e.Waits, e.Unblocks = fmt.Sprintf("until %s to %s", s.NextAt.Format(time.RFC3339), aim), "time, or retry"
	}
	switch {
	case st.Pending:
		e.Why, e.Unblocks = s.sideAt(step)+" was taken over, and is not done yet", "word that it is done, or "+e.Unblocks
	case waits || st.Doubt:
		e.Why = fmt.Sprintf("the outcome of attempt %d is not known", s.attemptsAt())
	}
	return e
}

func (s State) unblocksParked(def Definition) string {
	step, name := s.Steps[s.At()], def.Steps[s.At()].Name
	switch {
	case s.Direction == Compensating:
		return fmt.Sprintf("retry, or resolve %s if its compensation took effect, or skip %s", name, name)
	case def.Steps[s.At()].Kind == Retriable:
		return fmt.Sprintf("retry, or resolve %s if it took effect, or skip %s", name, name)
	case def.Steps[s.At()].Kind == Pivot && step.Execution == Open:
		return fmt.Sprintf("retry, or find out whether %s happened: resolve %s, or rule it out", name, name)
	}
	return "retry, or compensate"
}

// callAt is the call that is next at the step the saga is at.
func (s State) callAt(step Step) string {
	if s.Steps[s.At()].Doubt {
		return step.Lookup
	}
	return s.sideAt(step)
}

// sideAt is what the saga wants of the step it is at: its execution or its compensation.
func (s State) sideAt(step Step) string {
	if s.direction() == Compensating {
		return step.Compensate
	}
	return step.Execute
}

func (s State) attemptsAt() int {
	if s.direction() == Compensating {
		return s.Steps[s.At()].BackAttempts
	}
	return s.Steps[s.At()].Attempts
}
